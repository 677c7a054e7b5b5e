// SPDX-License-Identifier: Apache-2.0
//
// TLSA records (RFC 6698 section 2) as the DNS tells them. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

namespace sluice::control {

struct TlsaRecord {
  uint8_t usage = 0;
  uint8_t selector = 0;
  uint8_t matching = 0;
  std::string data;  // bytes: a digest, or with matching type 0 the whole

  friend bool operator==(const TlsaRecord&, const TlsaRecord&) = default;
};

/// The words of RFC 7218, as numbers in the record.
inline constexpr uint8_t kDaneTa = 2, kDaneEe = 3;               // certificate usage
inline constexpr uint8_t kWholeCertificate = 0, kPublicKey = 1;  // selector
inline constexpr uint8_t kFull = 0, kSha256 = 1, kSha512 = 2;    // matching type

/// What an answer says. No records: there are none, or there is no such name.
struct TlsaAnswer {
  std::vector<TlsaRecord> records;
  bool authenticated = false;  // the resolver holds the answer for authentic
  std::chrono::seconds ttl{};  // the least of the records; of an absence, as the zone's SOA has it (RFC 2308)
};

/// The error says that the message is malformed.
std::expected<TlsaAnswer, std::string> tlsa_from(std::span<const uint8_t> message);

/// Why SMTP can make nothing of the record (RFC 7672 section 3.1); "" = it can.
std::string unusable_reason(const TlsaRecord& record);

/// As a zone file has it, the data cut to fit: "3 1 1 9f86d081884c7d65...".
std::string to_string(const TlsaRecord& record);

/// "_25._tcp.mx.example.net" (RFC 6698 section 3).
std::string tlsa_name(const std::string& server_name, uint16_t port);

}  // namespace sluice::control

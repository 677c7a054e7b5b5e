// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/tlsa.h"

#include <fmt/format.h>

#include <algorithm>

#include "controlplane/discovery/dns_message.h"
#include "controlplane/discovery/dns_types.h"

namespace sluice::control {

namespace {

constexpr size_t kHead = 3;  // usage, selector, matching type
constexpr size_t kShownBytes = 16;
constexpr size_t kSha256Bytes = 32, kSha512Bytes = 64;

bool take(const ns_rr& record, TlsaRecord& out) {
  if (ns_rr_rdlen(record) <= kHead) return false;
  const uint8_t* data = ns_rr_rdata(record);
  out.usage = data[0];
  out.selector = data[1];
  out.matching = data[2];
  out.data.assign(data + kHead, data + ns_rr_rdlen(record));
  return true;
}

/// How long an absence holds: the SOA's own TTL, or the last number in it if that is less.
std::chrono::seconds negative_ttl(std::span<const uint8_t> message) {
  std::chrono::seconds out{0};
  (void)for_each_record(message, ns_s_ns, ns_t_soa, [&](const ns_msg&, const ns_rr& record) {
    constexpr size_t kMinimum = 4;  // bytes, at the end
    if (ns_rr_rdlen(record) < kMinimum) return false;
    const uint8_t* at = ns_rr_rdata(record) + ns_rr_rdlen(record) - kMinimum;
    out = std::min(ttl_of(record), std::chrono::seconds(ns_get32(at) & 0x7fffffff));
    return true;
  });
  return out;
}

}  // namespace

std::expected<TlsaAnswer, std::string> tlsa_from(std::span<const uint8_t> message) {
  TlsaAnswer out{.authenticated = is_authentic_data(message)};
  const auto read = for_each_record(message, ns_s_an, kTypeTlsa, [&](const ns_msg&, const ns_rr& record) {
    out.ttl = out.records.empty() ? ttl_of(record) : std::min(out.ttl, ttl_of(record));
    return take(record, out.records.emplace_back());
  });
  if (!read) return std::unexpected(read.error());
  if (out.records.empty()) out.ttl = negative_ttl(message);
  return out;
}

std::string unusable_reason(const TlsaRecord& record) {
  if (record.usage < kDaneTa) return "usages 0 and 1 say nothing to SMTP (RFC 7672)";
  if (record.usage > kDaneEe) return fmt::format("usage {} is unknown", record.usage);
  if (record.selector > kPublicKey) return fmt::format("selector {} is unknown", record.selector);
  if (record.matching > kSha512) return fmt::format("matching type {} is unknown", record.matching);
  const size_t wanted = record.matching == kSha256 ? kSha256Bytes : record.matching == kSha512 ? kSha512Bytes : 0;
  if (wanted != 0 && record.data.size() != wanted)
    return fmt::format("a digest of {} bytes, not {}", record.data.size(), wanted);
  return "";
}

std::string to_string(const TlsaRecord& record) {
  std::string out = fmt::format("{} {} {} ", record.usage, record.selector, record.matching);
  for (const char byte : record.data.substr(0, kShownBytes)) out += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return record.data.size() > kShownBytes ? out + "..." : out;
}

std::string tlsa_name(const std::string& server_name, uint16_t port) {
  return fmt::format("_{}._tcp.{}", port, server_name);
}

}  // namespace sluice::control

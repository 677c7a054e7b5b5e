// SPDX-License-Identifier: Apache-2.0
//
// Answers of the DNS, and the members of a pool that follow from them, as a document. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/model.h"

namespace sluice::control {

struct DnsRecord {
  std::chrono::seconds ttl{};
  config::IpAddress address;  // of an A or AAAA record
  // Of an SRV record (RFC 2782).
  uint16_t priority = 0;
  uint16_t weight = 0;
  uint16_t port = 0;
  std::string target;  // in lower case, without the dot at its end; "" = the service is not offered

  friend bool operator==(const DnsRecord&, const DnsRecord&) = default;
};

using DnsRecords = std::vector<DnsRecord>;

/// The records of `type` in the answer section of a message, aliases left out. The error says that it is malformed.
std::expected<DnsRecords, std::string> records_from(std::span<const uint8_t> message, config::DnsType type);

/// A name with an endpoint behind it: "mx.example-10-0-1-17", with a port "mx.example-10-0-1-17-25". At most as long as
/// names may be: it is the front of `name` that stays.
std::string name_at(const std::string& name, const config::IpAddress& address, std::optional<uint16_t> port);

/// A document of members (config/load.h), one for each address, named by it: "10-0-1-17", "2001-db8--17".
std::string document_of(const DnsRecords& addresses);

/// Likewise one for each target and address, named by the target where that says which it is. Priorities become tiers,
/// the lowest 0; weights stay, but that 0 beside others is the least there is, and all 0 are alike. `addresses`: by
/// target. The error says which target has none.
std::expected<std::string, std::string> document_of(const DnsRecords& services,
                                                    const std::map<std::string, DnsRecords>& addresses);

}  // namespace sluice::control

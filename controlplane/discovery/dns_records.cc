// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/dns_records.h"

#include <arpa/nameser.h>
#include <fmt/format.h>
#include <resolv.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "config/bounds.h"
#include "controlplane/discovery/dns_message.h"
#include "controlplane/discovery/dns_types.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr size_t kSrvHead = 6;  // priority, weight, port

/// Whether `record` was taken.
bool take_address(const ns_rr& record, DnsRecord& out) {
  auto& bytes = out.address.bytes;
  if (ns_rr_type(record) == ns_t_aaaa) {
    if (ns_rr_rdlen(record) != bytes.size()) return false;
    std::memcpy(bytes.data(), ns_rr_rdata(record), bytes.size());
    return true;
  }
  constexpr size_t kMapped = 12;  // bytes before an IPv4 address (RFC 4291 section 2.5.5.2)
  if (ns_rr_rdlen(record) != bytes.size() - kMapped) return false;
  bytes[10] = bytes[11] = 0xff;
  std::memcpy(bytes.data() + kMapped, ns_rr_rdata(record), ns_rr_rdlen(record));
  return true;
}

bool take_service(const ns_msg& message, const ns_rr& record, DnsRecord& out) {
  const uint8_t* data = ns_rr_rdata(record);
  if (ns_rr_rdlen(record) <= kSrvHead) return false;
  out.priority = static_cast<uint16_t>(ns_get16(data));
  out.weight = static_cast<uint16_t>(ns_get16(data + 2));
  out.port = static_cast<uint16_t>(ns_get16(data + 4));
  std::array<char, NS_MAXDNAME> name{};
  const int used =
      ns_name_uncompress(ns_msg_base(message), ns_msg_end(message), data + kSrvHead, name.data(), name.size());
  if (used < 0) return false;
  out.target = name.data();
  std::ranges::transform(out.target, out.target.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  if (out.target.ends_with('.')) out.target.pop_back();
  return true;
}

std::string name_of(const config::IpAddress& address) {
  std::string out = address.to_string();
  std::ranges::replace_if(out, [](char c) { return c == '.' || c == ':'; }, '-');
  return out.front() == '-' ? "0" + out : out;
}

/// As much of the name as there is room for.
std::string with_suffix(const std::string& name, const std::string& suffix) {
  return name.substr(0, config::kMaxNameBytes - std::min(suffix.size(), config::kMaxNameBytes)) + suffix;
}

/// What one of several members of a target is called.
std::string name_within(const DnsRecord& service, const config::IpAddress& address, bool by_address, bool by_port) {
  if (by_address) return name_at(service.target, address, by_port ? std::optional(service.port) : std::nullopt);
  return with_suffix(service.target, by_port ? fmt::format("-{}", service.port) : "");
}

}  // namespace

std::string name_at(const std::string& name, const config::IpAddress& address, std::optional<uint16_t> port) {
  return with_suffix(name, "-" + name_of(address) + (port ? fmt::format("-{}", *port) : ""));
}

std::expected<DnsRecords, std::string> records_from(std::span<const uint8_t> message, config::DnsType type) {
  DnsRecords out;
  const auto read = for_each_record(message, ns_s_an, wire_type(type), [&](const ns_msg& parsed, const ns_rr& record) {
    DnsRecord& made = out.emplace_back();
    made.ttl = ttl_of(record);
    return type == config::DnsType::kSrv ? take_service(parsed, record, made) : take_address(record, made);
  });
  if (!read) return std::unexpected(read.error());
  return out;
}

std::string document_of(const DnsRecords& addresses) {
  json backends = json::array();
  for (const DnsRecord& record : addresses)
    backends.push_back({{"name", name_of(record.address)}, {"address", record.address.to_string()}});
  return json{{"backends", std::move(backends)}}.dump();
}

std::expected<std::string, std::string> document_of(const DnsRecords& services,
                                                    const std::map<std::string, DnsRecords>& addresses) {
  std::set<uint16_t> priorities;
  std::map<std::string, std::set<uint16_t>> ports;
  bool any_weight = false;
  for (const DnsRecord& service : services) {
    if (service.target.empty()) continue;
    priorities.insert(service.priority);
    ports[service.target].insert(service.port);
    any_weight |= service.weight != 0;
  }
  json backends = json::array();
  for (const DnsRecord& service : services) {
    if (service.target.empty()) continue;
    const auto found = addresses.find(service.target);
    if (found == addresses.end() || found->second.empty())
      return std::unexpected(fmt::format("{} has no address", service.target));
    const bool many_ports = ports[service.target].size() > 1, many_addresses = found->second.size() > 1;
    const int64_t tier =
        std::min<int64_t>(std::distance(priorities.begin(), priorities.find(service.priority)), config::kMaxTier);
    for (const DnsRecord& address : found->second) {
      json& backend = backends.emplace_back();
      backend = {{"name", name_within(service, address.address, many_addresses, many_ports)},
                 {"address", address.address.to_string()},
                 {"port", service.port},
                 {"tier", tier}};
      if (any_weight) backend["weight"] = std::max<uint16_t>(service.weight, 1);
    }
  }
  return json{{"backends", std::move(backends)}}.dump();
}

}  // namespace sluice::control

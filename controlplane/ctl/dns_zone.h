// SPDX-License-Identifier: Apache-2.0
//
// DNS records for the VIPs that are in service, of one site or several: as a snippet of a zone (RFC 1035 section 5) or
// as a script for nsupdate (RFC 2136). Pure: what sites say goes in as JSON, text comes out.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

namespace sluice::ctl {

/// What a site serves, from its `sluicectl status --json`.
struct DnsSite {
  std::string name;     // one label; "" = the only site
  uint16_t weight = 0;  // of its SRV records
  int64_t time_s = 0;   // when it said so, seconds since 1970
  bool connected = false;
  struct Vip {
    bool v4 = false;
    std::set<uint16_t> ports;      // that have a service
    std::vector<std::string> out;  // what is out of service, and why; empty = the VIP is in service
  };
  std::map<std::string, Vip> vips;
};

/// Takes a status apart; the error says what is not as expected.
std::expected<DnsSite, std::string> read_site(const nlohmann::json& status);

struct DnsPlan {
  std::string name;  // of the records, without the last dot
  uint32_t ttl_s = 60;
  uint16_t port = 0;  // 0 = a VIP is in service if all of its services are; else that of this port alone
  bool nsupdate = false;
  int64_t now_s = 0;
  int64_t age_max_s = 300;  // what a site said longer ago does not count
};

/// A and AAAA records of every VIP that is in service at any of `sites`. Where sites have names (and so weights), also
/// SRV records for submission (RFC 6186, RFC 8314) that lead to an address record for each site. What was left out is
/// said in comments. An error if there would be no record at all.
std::expected<std::string, std::string> write_zone(const DnsPlan& plan, const std::vector<DnsSite>& sites);

}  // namespace sluice::ctl

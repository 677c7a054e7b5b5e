// SPDX-License-Identifier: Apache-2.0
//
// Whether somebody here answers ARP and neighbour discovery for the VIPs.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <sstream>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

namespace {

using config::IpAddress;

/// Of a line pair such as "|-- 192.0.2.25" and "/32 host LOCAL".
void add_v4(const std::string& trie, std::set<IpAddress>& out) {
  std::istringstream lines(trie);
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    if (const size_t at = line.find("-- "); at != std::string::npos) last = line.substr(at + 3);
    if (!line.ends_with("/32 host LOCAL")) continue;
    if (const auto address = IpAddress::parse(last)) out.insert(*address);
  }
}

/// Lines such as "20010db8000000000000000000000025 04 80 00 80 slf0".
void add_v6(const std::string& lines_of_addresses, std::set<IpAddress>& out) {
  std::istringstream lines(lines_of_addresses);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() < 32) continue;
    std::string text;
    for (size_t i = 0; i < 32; i += 4) text += (i == 0 ? "" : ":") + line.substr(i, 4);
    if (const auto address = IpAddress::parse(text)) out.insert(*address);
  }
}

}  // namespace

void examine_vips(const Patient& patient, Report& report) {
  if (patient.config.announce.mode == config::AnnounceMode::kAddress)
    return report.ok("VIPs", "are put on the twins by control while they are in service");
  const auto v4 = patient.machine.text("/proc/net/fib_trie");
  const auto v6 = patient.machine.text("/proc/net/if_inet6");
  std::set<IpAddress> ours;
  add_v4(v4.value_or(""), ours);
  add_v6(v6.value_or(""), ours);
  std::set<IpAddress> missing;
  for (const config::Service& service : patient.config.services) {
    const bool can_tell = (service.vip.is_v4() ? v4 : v6).has_value();
    if (can_tell && !ours.contains(service.vip)) missing.insert(service.vip);
  }
  if (missing.empty()) return report.ok("VIPs", "are all addresses of this machine");
  std::vector<std::string> names;
  names.reserve(missing.size());
  for (const IpAddress& vip : missing) names.push_back(vip.to_string());
  report.warn("VIPs", fmt::format("no address of this machine: {}", fmt::join(names, ", ")),
              "ip address add VIP dev TWIN, unless routers have a route for it by another address of ours");
}

}  // namespace sluice::ctl

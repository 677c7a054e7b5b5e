// SPDX-License-Identifier: Apache-2.0
//
// What the kernel does with the packets that the twins bring it.
#include <fmt/format.h>

#include <string_view>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

namespace {

constexpr uint64_t kStrict = 1;             // RFC 3704
constexpr uint64_t kUsualNeighbours = 512;  // gc_thresh2 as the kernel comes

/// Whether answers pass us, so that the servers have us for their gateway.
bool is_gateway(const config::Config& config) {
  return std::ranges::any_of(
      config.services, [](const config::Service& service) { return service.forwarding == config::Forwarding::kNat; });
}

void examine_forwarding(const Patient& patient, Report& report) {
  if (!is_gateway(patient.config)) return;
  const auto examine_one = [&](bool v4, const std::string& name, const std::string& path) {
    if (count_servers(patient.config, v4) == 0) return;
    const auto value = patient.machine.number(path);
    if (value == 0)
      report.warn(name, "0: what mail servers send of their own (DNS, mail that goes out) is not passed on",
                  fmt::format("sysctl {}=1, if this machine is their gateway for that, too", name),
                  {{Remedy::Kind::kSysctl, name, "1"}});
    else if (value)
      report.ok(name, std::to_string(*value), {{Remedy::Kind::kSysctl, name, std::to_string(*value)}});
  };
  examine_one(true, "net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward");
  examine_one(false, "net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding");
}

/// Where the workers do not route as they do by default.
void examine_server_routing(const Patient& patient, Report& report) {
  const std::string topic = "dataplane.server_routing";
  if (!is_gateway(patient.config)) return;
  if (patient.config.dataplane.server_routing == config::ServerRouting::kKernel)
    report.ok(
        topic,
        "\"kernel\": what mail servers send of their own goes through the twins, up to some 50,000 packets a second "
        "of each port");
  if (patient.config.dataplane.server_routing == config::ServerRouting::kWorker)
    report.ok(topic, "\"worker\": no firewall of this machine sees what mail servers send of their own");
}

void examine_rp_filter(const Patient& patient, Report& report) {
  const auto value_of = [&](const std::string& interface) {
    return patient.machine.number(fmt::format("/proc/sys/net/ipv4/conf/{}/rp_filter", interface));
  };
  const uint64_t all = value_of("all").value_or(0), fresh = value_of("default").value_or(0);
  for (const config::Port& port : patient.config.dataplane.ports) {
    const auto own = value_of(port.twin);
    if (!own) continue;
    const std::string topic = "rp_filter, port " + port.name;
    const uint64_t value = std::max(all, *own);  // as the kernel takes it
    const auto remedies_of = [&](uint64_t wanted) {
      return Remedies{{Remedy::Kind::kSysctl, "net/ipv4/conf/" + port.twin + "/rp_filter", std::to_string(wanted)}};
    };
    if (value == kStrict)
      report.warn(topic,
                  fmt::format("1 (strict) on {}: the kernel drops what comes from where it has another way to, such as "
                              "answers to checks, and pings",
                              port.twin),
                  fmt::format("sysctl net.ipv4.conf.{}.rp_filter=2{}", port.twin,
                              all == kStrict ? " (2 outweighs the 1 of \"all\")" : ""),
                  remedies_of(2));
    else
      report.ok(topic, fmt::format("{} on {}", value, port.twin), value == fresh ? Remedies{} : remedies_of(value));
  }
}

/// Each server, and each router, takes an entry while it is checked.
void examine_neighbours(const Patient& patient, Report& report) {
  for (const bool v4 : {true, false}) {
    const size_t servers = count_servers(patient.config, v4);
    const std::string_view family = v4 ? "ipv4" : "ipv6";
    const auto threshold = [&](int n) {
      return patient.machine.number(fmt::format("/proc/sys/net/{}/neigh/default/gc_thresh{}", family, n));
    };
    const auto least = threshold(2);
    const auto most = threshold(3);
    if (servers == 0 || !least || !most) continue;
    const std::string topic = v4 ? "neighbours, IPv4" : "neighbours, IPv6";
    const std::string name = fmt::format("net.{}.neigh.default.gc_thresh", family);
    const std::string enough = std::to_string(2 * servers + 512), plenty = std::to_string(4 * servers + 1024);
    const std::string advice = fmt::format("sysctl {0}2={1} {0}3={2}", name, enough, plenty);
    const Remedies remedies{{Remedy::Kind::kSysctl, name + "2", enough}, {Remedy::Kind::kSysctl, name + "3", plenty}};
    if (servers >= *most)
      report.fail(topic, fmt::format("{} mail servers, and the kernel knows at most {} (gc_thresh3)", servers, *most),
                  advice, remedies);
    else if (servers >= *least)
      report.warn(
          topic,
          fmt::format("{} mail servers, and beyond {} (gc_thresh2) the kernel forgets the oldest", servers, *least),
          advice, remedies);
    else
      report.ok(topic, fmt::format("room for {}, {} mail servers", *most, servers),
                servers < kUsualNeighbours ? Remedies{}
                                           : Remedies{{Remedy::Kind::kSysctl, name + "2", std::to_string(*least)},
                                                      {Remedy::Kind::kSysctl, name + "3", std::to_string(*most)}});
  }
}

}  // namespace

void examine_kernel(const Patient& patient, Report& report) {
  examine_forwarding(patient, report);
  examine_server_routing(patient, report);
  examine_rp_filter(patient, report);
  examine_neighbours(patient, report);
}

}  // namespace sluice::ctl

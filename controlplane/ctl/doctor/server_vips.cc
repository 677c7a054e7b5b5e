// SPDX-License-Identifier: Apache-2.0
//
// The VIPs on mail servers behind dsr, ipip and gue, where checks, which go to the servers' own addresses, prove
// nothing: each server has to have the VIP, and may not tell any link of it. So the stations of our links are asked who
// has it, and each server that checks find well gets a SYN to the VIP as its mode sends a client's. The SYN may pass no
// router: a server without the VIP may pass it on, and it would come to us as a client's.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "config/choices.h"
#include "controlplane/ctl/doctor/asking.h"

namespace sluice::ctl {

namespace {

using config::IpAddress;
using nlohmann::json;

/// Services of which mail servers have the VIP, too.
std::vector<config::Service> services_by_vip(const config::Config& config) {
  std::vector<config::Service> out = config.services_and_routes();
  std::erase_if(out, [](const config::Service& service) {
    return service.forwarding == config::Forwarding::kNat || service.forwarding == config::Forwarding::kFullnat;
  });
  return out;
}

// Who else says that a VIP is his.

/// Who is known by his MAC address.
struct Known {
  std::set<std::string> ours;                            // of this machine
  std::map<std::string, std::set<std::string>> servers;  // by that of the next hop: several, if it is a router's
};

Known known_macs(const Patient& patient) {
  Known out;
  for (const std::string& interface : patient.machine.entries("/sys/class/net"))
    out.ours.insert(patient.machine.text("/sys/class/net/" + interface + "/address").value_or(""));
  if (patient.status == nullptr) return out;
  for (const json& backend : patient.status->at("backends"))
    if (const json& hop = backend.at("next_hop"); !hop.is_null())
      out.servers[hop.at("mac").get<std::string>()].insert(name_of(backend));
  return out;
}

/// Behind a router's MAC address there may be many.
std::string listed(const std::set<std::string>& names) {
  constexpr size_t kMost = 3;
  const size_t count = std::min(names.size(), kMost);
  std::vector<std::string> shown(names.begin(), std::next(names.begin(), static_cast<std::ptrdiff_t>(count)));
  if (names.size() > kMost) shown.push_back(fmt::format("{} more", names.size() - kMost));
  return fmt::format("{}", fmt::join(shown, ", "));
}

std::string topic_of(const AddressProbe& probe) {
  return fmt::format("VIP {} on {}", probe.address.to_string(), probe.twin);
}

std::string_view protocol_of(const AddressProbe& probe) {
  return probe.address.is_v4() ? "ARP" : "neighbour discovery";
}

void report_thief(const AddressProbe& probe, const std::string& mac, const std::set<std::string>& servers,
                  Report& report) {
  report.fail(
      topic_of(probe),
      fmt::format("{} ({}) answers {} for it: packets of clients may go there, past the balancer", listed(servers), mac,
                  protocol_of(probe)),
      probe.address.is_v4()
          ? "on that server: sysctl net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2, and the VIP on a "
            "device of its own (dummy), not on that of the link"
          : "on that server: the VIP on a device of its own (dummy), not on that of the link");
}

/// It may be a mail server's other card, or another node that has the VIP and gets its packets by a route.
void report_stranger(const AddressProbe& probe, const std::string& mac, config::AnnounceMode mode, Report& report) {
  const std::string found =
      fmt::format("{}, which is no mail server that we know by it, answers {} for it, too", mac, protocol_of(probe));
  const std::string advice =
      "find the station by its MAC address, on the switch; a mail server must not answer for the VIP on any of its "
      "links (arp_ignore=1, arp_announce=2)";
  if (mode == config::AnnounceMode::kAddress)
    report.fail(topic_of(probe), found, advice);
  else
    report.warn(topic_of(probe), found, advice + "; another node that has the VIP may, if routers do not ask for it");
}

/// On each twin for each VIP. What cannot be asked for want of an address is in the report.
std::vector<AddressProbe> address_probes(const Patient& patient, const std::vector<config::Service>& services,
                                         Report& report) {
  const Sources sources(patient);
  std::set<IpAddress> vips;
  for (const config::Service& service : services) vips.insert(service.vip);
  const bool any_v6 = std::ranges::any_of(vips, [](const IpAddress& vip) { return !vip.is_v4(); });
  std::vector<AddressProbe> out;
  for (const std::string& twin : twins_of(patient)) {
    const auto source = sources.on_link(twin);
    if (any_v6 && !source)
      report.warn("VIPs on " + twin, "it has no IPv6 address from which those of IPv6 could be asked for",
                  fmt::format("ip link set {} up, and ip address add ... dev {}", twin, twin));
    for (const IpAddress& vip : vips)
      if (vip.is_v4() || source) out.push_back({twin, source.value_or(IpAddress{}), vip});
  }
  return out;
}

void examine_claims(const Patient& patient, const std::vector<config::Service>& services, Report& report) {
  const std::vector<AddressProbe> probes = address_probes(patient, services, report);
  if (probes.empty()) return;
  const auto claims = patient.machine.probe_addresses(probes);
  if (!claims) return report_unasked("VIPs on links", claims.error(), report);
  const Known known = known_macs(patient);
  const std::vector<OwnAddress> own = patient.machine.own_addresses();
  const auto is_here = [&](const IpAddress& vip) {
    return std::ranges::find(own, vip, &OwnAddress::address) != own.end();
  };
  bool silent = true;
  for (size_t i = 0; i < probes.size(); i++) {
    for (const std::string& mac : claims->at(i)) {
      const auto servers = known.servers.find(mac);
      const bool is_server = servers != known.servers.end();
      // Where the VIP is not ours now, another node may have it.
      if (known.ours.contains(mac) || (!is_server && !is_here(probes[i].address))) continue;
      silent = false;
      if (is_server)
        report_thief(probes[i], mac, servers->second, report);
      else
        report_stranger(probes[i], mac, patient.config.announce.mode, report);
    }
  }
  if (silent)
    report.ok("VIPs on links", fmt::format("nobody else answers for them on {}", fmt::join(twins_of(patient), ", ")));
}

// Whether the servers have them.

struct Visit {
  std::string server;  // "mta/mta1"
  SynProbe probe;
};

/// One for each port of a server.
std::vector<Visit> visits_of(const Patient& patient, const std::vector<config::Service>& services) {
  const Sources sources(patient);
  std::vector<Visit> out;
  std::set<std::tuple<IpAddress, config::SocketAddress, config::Forwarding>> seen;
  for (const config::Service& service : services) {
    for (const json& backend : patient.status->at("backends")) {
      if (backend.at("pool").get<std::string>() != service.pool) continue;
      const auto server = well_server(patient, backend);
      if (!server || server->port != service.port) continue;
      const auto source = sources.towards(server->twin, service.vip.is_v4());
      const config::SocketAddress to{service.vip, service.port};
      if (!source || !seen.emplace(server->address, to, service.forwarding).second) continue;
      out.push_back({server->name,
                     {.twin = server->twin,
                      .mac = server->mac,
                      .forwarding = service.forwarding,
                      .server = server->address,
                      .source = *source,
                      .to = to,
                      .hops = 1}});
    }
  }
  return out;
}

void report_visit(const Visit& visit, SynAnswer::What what, Report& report) {
  const SynProbe& probe = visit.probe;
  const std::string vip = probe.to.address.to_string();
  const std::string_view mode = config::name_of(probe.forwarding);
  const bool refused = what == SynAnswer::What::kRefused;
  const bool tunnelled = probe.forwarding != config::Forwarding::kDsr;
  report.fail(fmt::format("VIP {} on {}", vip, visit.server),
              fmt::format("it is well at {}, where checks go, and {} {} by {}", probe.server.to_string(),
                          refused ? "refuses connections to" : "does not answer for", probe.to.to_string(), mode),
              refused ? "on that server: the program has to listen on the VIP, too"
                      : fmt::format("on that server: ip address add {}/{} dev mailvip (a dummy device){}; rp_filter=0 "
                                    "on the device by which packets come; no filter",
                                    vip, probe.to.address.is_v4() ? 32 : 128,
                                    tunnelled ? fmt::format("; a device that unpacks {}", mode) : ""));
}

void examine_presence(const Patient& patient, const std::vector<config::Service>& services, Report& report) {
  const std::vector<std::string> twins = twins_of(patient);
  if (patient.status == nullptr || twins.empty()) return;  // both are told elsewhere
  std::vector<Visit> visits = visits_of(patient, services);
  const size_t all = visits.size();
  if (all == 0) return;
  if (all > kMostSyns) visits.erase(visits.begin() + kMostSyns, visits.end());
  std::vector<SynProbe> probes;
  std::ranges::transform(visits, std::back_inserter(probes), &Visit::probe);
  const auto answers = patient.machine.probe_syns(probes, twins);
  const std::string topic = "VIPs on mail servers";
  if (!answers) return report_unasked(topic, answers.error(), report);
  size_t good = 0;
  for (size_t i = 0; i < visits.size(); i++) {
    if (answers->at(i).what == SynAnswer::What::kOpen)
      good++;
    else
      report_visit(visits[i], answers->at(i).what, report);
  }
  const std::string of_all = all == visits.size() ? "" : fmt::format(" ({} of {} were asked)", visits.size(), all);
  if (good != 0) report.ok(topic, fmt::format("answer at {} mail servers' ports{}", good, of_all));
}

}  // namespace

void examine_server_vips(const Patient& patient, Report& report) {
  const std::vector<config::Service> services = services_by_vip(patient.config);
  if (services.empty()) return;
  examine_claims(patient, services, report);
  examine_presence(patient, services, report);
}

}  // namespace sluice::ctl

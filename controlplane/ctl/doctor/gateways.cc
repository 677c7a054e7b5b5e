// SPDX-License-Identifier: Apache-2.0
//
// Whether the answers of mail servers behind nat come back through us; checks, which come from their own network, do
// not tell. The newest sessions do: a server that control reaches, to which SYNs went and of which no SYN-ACK came by,
// answers by another way. As a gateway may go wrong after years, these count before all since the data plane started. A
// server that has answered no client yet is asked, from an address of ours at which it can only answer by its gateway.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <set>

#include "controlplane/ctl/doctor/asking.h"

namespace sluice::ctl {

namespace {

using config::IpAddress;
using nlohmann::json;

constexpr double kPointSeconds = 10;
constexpr size_t kLeastPoints = 6;
constexpr const char* kAdvice =
    "its way to the clients has to lead through this machine: ip route, on the server; or forwarding = \"fullnat\"";

/// Pools of which all services see both directions, and leave the way back to the server.
std::set<std::string> pools_by_gateway(const config::Config& config) {
  std::set<std::string> out, others;
  for (const config::Service& service : config.services_and_routes())
    (service.forwarding == config::Forwarding::kNat ? out : others).insert(service.pool);
  for (const std::string& pool : others) out.erase(pool);
  return out;
}

/// Their servers' ports that checks find well, as control says them.
std::vector<std::pair<Server, const json*>> servers_by_gateway(const Patient& patient) {
  std::vector<std::pair<Server, const json*>> out;
  if (patient.status == nullptr) return out;
  const auto pools = pools_by_gateway(patient.config);
  for (const json& backend : patient.status->at("backends")) {
    if (!pools.contains(backend.at("pool").get<std::string>())) continue;
    if (auto server = well_server(patient, backend)) out.emplace_back(std::move(*server), &backend);
  }
  return out;
}

struct Flows {
  RecentFlows count;
  bool are_recent = false;  // or all since the data plane started
};

Flows flows_of(const Patient& patient, const Server& server, const json& backend) {
  const auto recent = patient.recent_flows.find(fmt::format("{}:{}", server.name, server.port));
  if (recent != patient.recent_flows.end()) return {recent->second, true};
  const json& figures = backend.at("figures");
  if (figures.is_null()) return {};
  return {{figures.at("flows_created").get<double>(), figures.at("flows_established").get<double>()}};
}

/// What was heard of a server's ports.
struct Asked {
  Server server;
  IpAddress source;
};

/// Each server once, of which sessions tell nothing.
std::vector<Asked> untold_servers(const Patient& patient) {
  const auto servers = servers_by_gateway(patient);
  std::set<IpAddress> seen;
  for (const auto& [server, backend] : servers) {
    const RecentFlows count = flows_of(patient, server, *backend).count;
    if (count.established > 0 || count.created >= kEnoughFlows) seen.insert(server.address);
  }
  const Sources sources(patient);
  std::vector<Asked> out;
  for (const auto& [server, backend] : servers) {
    const auto source = sources.beyond(server.twin, server.address);
    if (source && out.size() < kMostSyns && seen.insert(server.address).second) out.push_back({server, *source});
  }
  return out;
}

/// Whether it came back through us.
bool report_answer(const Asked& asked, const SynAnswer& answer, Report& report) {
  if (answer.twin == asked.server.twin) return true;
  const std::string address = asked.server.address.to_string(), source = asked.source.to_string();
  report.fail("gateway of " + asked.server.name,
              answer.twin.empty()
                  ? fmt::format("{} port {} answers checks, and no SYN from {}, which is not of its network: it has no "
                                "way back through us",
                                address, asked.server.port, source)
                  : fmt::format("{} port {} answers a SYN from {} by another way: it came back by {}, not {}", address,
                                asked.server.port, source, answer.twin, asked.server.twin),
              kAdvice);
  return false;
}

}  // namespace

std::optional<RecentFlows> recent_flows_in(const json& series) {
  const json& created = series.at("new_flows_per_s");
  const json& established = series.at("established_per_s");
  RecentFlows out;
  size_t points = 0;
  for (size_t i = std::min(created.size(), established.size()); i-- > 0;) {  // the newest stands last
    if (created[i].is_null() || established[i].is_null()) continue;
    out.created += created[i].get<double>() * kPointSeconds;
    out.established += established[i].get<double>() * kPointSeconds;
    if (++points >= kLeastPoints && out.created >= kEnoughFlows) return out;
  }
  return std::nullopt;
}

void examine_gateways(const Patient& patient, Report& report) {
  size_t good = 0;
  for (const auto& [server, backend] : servers_by_gateway(patient)) {
    const Flows flows = flows_of(patient, server, *backend);
    if (flows.count.created < kEnoughFlows) continue;
    if (flows.count.established > 0) {
      good++;
      continue;
    }
    report.fail(
        "gateway of " + server.name,
        fmt::format("it answers checks, and of {}{:.0f} connections to {} port {} not one answer came back through us",
                    flows.are_recent ? "the last " : "", flows.count.created, server.address.to_string(), server.port),
        kAdvice);
  }
  if (good != 0) report.ok("gateways", fmt::format("answers of {} mail servers' ports come back through us", good));
}

void ask_gateways(const Patient& patient, Report& report) {
  const std::vector<Asked> all = untold_servers(patient);
  if (all.empty()) return;
  std::vector<SynProbe> probes;
  probes.reserve(all.size());
  for (const auto& [server, source] : all)
    probes.push_back({.twin = server.twin,
                      .mac = server.mac,
                      .server = server.address,
                      .source = source,
                      .to = {server.address, server.port}});
  const auto answers = patient.machine.probe_syns(probes, twins_of(patient));
  const std::string topic = "gateways, asked";
  if (!answers) return report_unasked(topic, answers.error(), report);
  size_t good = 0;
  std::set<std::string> sources;
  for (size_t i = 0; i < all.size(); i++) {
    if (!report_answer(all[i], answers->at(i), report)) continue;
    good++;
    sources.insert(all[i].source.to_string());
  }
  if (good != 0)
    report.ok(topic,
              fmt::format("answers of {} mail servers to {} come back through us", good, fmt::join(sources, " and ")));
}

}  // namespace sluice::ctl

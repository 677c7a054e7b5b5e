// SPDX-License-Identifier: Apache-2.0
//
// What control knows of the running instance. Whether answers come back through us shows in sessions alone: a server
// that control reaches, to which SYNs went and of which no SYN-ACK came by, answers by another way. The newest sessions
// tell, as a gateway may go wrong after years; where the last hour had too few, all since the data plane started.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

namespace {

using nlohmann::json;

constexpr double kPointSeconds = 10;
constexpr size_t kLeastPoints = 6;

/// Pools of which all services see both directions.
std::set<std::string> pools_seen_both_ways(const config::Config& config) {
  std::set<std::string> out, others;
  for (const config::Service& service : config.services_and_routes())
    (service.forwarding == config::Forwarding::kNat ? out : others).insert(service.pool);
  for (const std::string& pool : others) out.erase(pool);
  return out;
}

void examine_gateways(const Patient& patient, Report& report) {
  const auto pools = pools_seen_both_ways(patient.config);
  size_t told = 0, silent = 0;
  for (const json& backend : patient.status->at("backends")) {
    const json& figures = backend.at("figures");
    if (!pools.contains(backend.at("pool").get<std::string>()) || figures.is_null()) continue;
    if (backend.at("health").get<std::string>() != "up") continue;
    const std::string name = backend.at("pool").get<std::string>() + "/" + backend.at("name").get<std::string>();
    const auto port = backend.at("port").get<uint16_t>();
    const auto recent = patient.recent_flows.find(fmt::format("{}:{}", name, port));
    const bool is_recent = recent != patient.recent_flows.end();
    const double created = is_recent ? recent->second.created : figures.at("flows_created").get<double>();
    const double answered = is_recent ? recent->second.established : figures.at("flows_established").get<double>();
    if (created < kEnoughFlows) continue;
    told++;
    if (answered > 0) continue;
    silent++;
    report.fail(
        "gateway of " + name,
        fmt::format("it answers checks, and of {}{:.0f} connections to {} port {} not one answer came back through us",
                    is_recent ? "the last " : "", created, backend.at("address").get<std::string>(), port),
        "its way to the clients has to lead through this machine: ip route, on the server; or forwarding = "
        "\"fullnat\"");
  }
  if (told > silent)
    report.ok("gateways", fmt::format("answers of {} mail servers' ports come back through us", told - silent));
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

void examine_control(const Patient& patient, Report& report) {
  if (patient.status == nullptr)
    return report.warn("control", "does not answer: what it knows of servers is not in this report",
                       "systemctl start sluice-control@" + patient.config.instance);
  const json& dataplane = patient.status->at("dataplane");
  if (dataplane.at("connected").get<bool>())
    report.ok("data plane", "control is connected to it");
  else
    report.fail("data plane", "control is not connected to it: " + dataplane.at("reason").get<std::string>(),
                "systemctl status sluice-dataplane@" + patient.config.instance);
  examine_gateways(patient, report);
}

}  // namespace sluice::ctl

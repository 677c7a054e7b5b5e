// SPDX-License-Identifier: Apache-2.0
//
// What control knows of the running instance. Whether answers come back through us shows in sessions alone: a server
// that control reaches, to which SYNs went and of which no SYN-ACK came by, answers by another way.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

namespace {

using nlohmann::json;

constexpr uint64_t kEnoughFlows = 20;

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
    const auto created = figures.at("flows_created").get<uint64_t>();
    if (created < kEnoughFlows) continue;
    told++;
    if (figures.at("flows_established").get<uint64_t>() != 0) continue;
    silent++;
    report.fail(
        "gateway of " + backend.at("pool").get<std::string>() + "/" + backend.at("name").get<std::string>(),
        fmt::format("it answers checks, and of {} connections to {} port {} not one answer came back through us",
                    created, backend.at("address").get<std::string>(), backend.at("port").get<uint16_t>()),
        "its way to the clients has to lead through this machine: ip route, on the server; or forwarding = "
        "\"fullnat\"");
  }
  if (told > silent)
    report.ok("gateways", fmt::format("answers of {} mail servers' ports come back through us", told - silent));
}

}  // namespace

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

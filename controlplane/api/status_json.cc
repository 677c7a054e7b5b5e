// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/status_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "config/choices.h"
#include "controlplane/api/json_rows.h"
#include "controlplane/base/mac_address.h"
#include "controlplane/changes/by_hand_json.h"
#include "controlplane/changes/sources.h"
#include "controlplane/figures/figures_json.h"
#include "controlplane/figures/sampler.h"
#include "controlplane/kernel/route_watch.h"
#include "healthcheck/prober.h"

namespace sluice::control {

using nlohmann::json;

namespace {

/// Rates of the last second.
template <typename Subject>
json last_rates(const ApiContext& context, const Subject& subject) {
  return context.history == nullptr ? json() : rates_json(context.history->newest(subject_of(subject)));
}

/// After a start, sessions go on by what was published before until the first verdicts are there.
std::string_view service_word(const Placement& placement) {
  if (!placement.is_judged) return "starting";
  return placement.in_service ? "in service" : "out of service";
}

}  // namespace

json service_json(const ApiContext& context, const ServiceState& service) {
  const Placement& placement = context.model.placements()[service.placement];
  return {{"name", service.config.name},
          {"vip", service.config.vip.to_string()},
          {"port", service.config.port},
          {"pool", service.config.pool},
          {"check", placement.check},
          {"scheduler", config::name_of(service.config.scheduler)},
          {"forwarding", config::name_of(service.config.forwarding)},
          {"on_backend_down", config::name_of(service.config.on_backend_down)},
          {"on_no_backend", config::name_of(service.config.on_no_backend)},
          {"syn_proxy", config::name_of(service.config.syn_proxy)},
          {"state", service_word(placement)},
          {"reason", placement.reason},
          {"since", to_rfc3339(placement.since)},
          {"figures", figures_json(figures_of(context.channel, service))},
          {"rates", last_rates(context, service)}};
}

namespace {

json panic_json(const std::optional<PoolPanic>& panic) {
  if (!panic) return nullptr;
  return {{"why", panic->why},
          {"end", panic->end},
          {"since", to_rfc3339(panic->since)},
          {"until", panic->until ? json(to_rfc3339(*panic->until)) : json(nullptr)}};
}

/// What drains; null for what is in the file.
json removal_json(const Removal& removal) {
  return {{"since", to_rfc3339(removal.since)}, {"deadline", to_rfc3339(removal.deadline)}};
}

}  // namespace

json service_json(const ApiContext& context, const RemovedService& service) {
  const auto figures = figures_of(context.channel, static_cast<const ServiceState&>(service));
  return {{"name", service.config.name},
          {"vip", service.config.vip.to_string()},
          {"port", service.config.port},
          {"state", kRemovedState},
          {"reason", reason_of(service.removal)},
          {"since", to_rfc3339(service.removal.since)},
          {"removal", removal_json(service.removal)},
          {"figures", figures_json(figures)}};
}

json pool_json(const ApiContext& context, const Placement& placement) {
  size_t usable = 0;
  for (const size_t i : placement.members) usable += context.model.members()[i].is_usable();
  const auto tier = placement.tiers.active();
  return {{"name", placement.pool},
          {"port", placement.port},
          {"check", placement.check},
          {"state", service_word(placement)},
          {"reason", placement.reason},
          {"since", to_rfc3339(placement.since)},
          {"min_healthy", placement.min_healthy},
          {"usable", usable},
          {"tier", tier ? json(*tier) : json(nullptr)},
          {"certificate_fault", placement.certificate_fault},
          {"panic", panic_json(placement.panic)},
          {"backends", placement.members.size()},
          {"table_size", placement.table_size},
          {"table_digest", fmt::format("{:016x}", placement.table->digest)},
          {"rates", last_rates(context, placement)}};
}

std::vector<double> shares_of(const Model& model) {
  std::vector<double> out(model.members().size(), -1);
  for (const Placement& placement : model.placements()) {
    const double total = std::accumulate(placement.table_weights.begin(), placement.table_weights.end(), 0.0);
    for (size_t i = 0; i < placement.members.size() && i < placement.table_weights.size(); i++) {
      double& share = out[placement.members[i]];
      if (share < 0) share = total > 0 ? placement.table_weights[i] / total : 0;
    }
  }
  return out;
}

namespace {

json next_hop_json(const Member& member) {
  if (!member.next_hop) return nullptr;
  return {{"mac", to_string(member.next_hop->mac)}, {"port", member.port_out.name}, {"vlan", member.port_out.vlan}};
}

json factors_json(const Member& member) {
  json out = json::array();
  for (NamedFactor& factor : member.explained_factors())
    out.push_back({{"name", factor.name}, {"value", factor.value}, {"reason", std::move(factor.reason)}});
  return out;
}

json certificate_json(const Member& member, SystemTime now) {
  if (!member.certificate) return nullptr;
  const health::Certificate& certificate = *member.certificate;
  const auto left = std::chrono::floor<std::chrono::days>(certificate.not_after - now);
  return {{"subject", certificate.subject},
          {"not_after", to_rfc3339(certificate.not_after)},
          {"days_left", left.count()},
          {"sha256", certificate.sha256},
          {"key_sha256", certificate.key_sha256}};
}

json last_check_json(const ApiContext& context, const Member& member) {
  const auto state = context.prober == nullptr ? std::nullopt : context.prober->state(member.label());
  if (!state || !state->last) return nullptr;
  json times = json::object();
  for (const health::StepTime& time : state->last->times) times[std::string(health::name_of(time.step))] = time.us;
  return {{"at", to_rfc3339(state->last_at)},
          {"fact", health::name_of(state->last->fact)},
          {"probes", state->probes},
          {"passed_in_a_row", state->successes},
          {"failed_in_a_row", state->failures},
          {"step_us", std::move(times)}};
}

}  // namespace

json backend_json(const ApiContext& context, const Member& member, double share) {
  const WeightFactors factors = member.factors();
  return {{"pool", member.pool},
          {"name", member.name},
          {"address", member.address.to_string()},
          {"port", member.port},
          {"check", member.check},
          {"origin", config::name_of(member.origin)},
          {"zone", member.zone},
          {"state", member.state()},
          {"reason", member.reason()},
          {"since", to_rfc3339(member.since)},
          {"admin", name_of(member.admin)},
          {"health", name_of(member.health)},
          {"health_reason", member.health_reason},
          {"standing", name_of(member.standing)},
          {"not_run", member.not_run},
          {"leaving", member.leaving},
          {"removal", member.removal ? removal_json(*member.removal) : json(nullptr)},
          {"last_check", last_check_json(context, member)},
          {"certificate", certificate_json(member, context.journal.now())},
          {"next_hop", next_hop_json(member)},
          {"weight",
           {{"configured", factors.configured},
            {"by_hand", factors.by_hand ? json(*factors.by_hand) : json(nullptr)},
            {"effective", effective_weight(factors)},
            {"share", std::max(share, 0.0)},
            {"factors", factors_json(member)}}},
          {"figures", figures_json(figures_of(context.channel, member))},
          {"rates", last_rates(context, member)}};
}

namespace {

json counters_json(const WorkerCounters& counters) {
  json out = json::object();
  for (size_t i = 0; i < channel::kCounterCount; i++) {
    out[std::string(channel::kCounterInfo[i].name)] = counters[i];
  }
  return out;
}

json dataplane_json(const ApiContext& context) {
  const DataplaneState& state = context.dataplane;
  json out{{"connected", state.connected},
           {"reason", state.reason},
           {"since", to_rfc3339(state.since)},
           {"settled", context.channel.is_settled()},
           {"last_push_us", nullptr}};
  if (const auto latency = context.channel.last_latency()) out["last_push_us"] = latency->count();
  if (const ChannelMapping* mapping = context.channel.mapping()) {
    const channel::StatsHeader& header = mapping->stats_header();
    out["workers"] = mapping->workers();
    out["pid"] = header.pid;
    out["started"] = to_rfc3339(SystemTime(std::chrono::milliseconds(header.start_time_ms)));
    out["tsc_hz"] = header.tsc_hz;
  }
  return out;
}

void add_counters(json& out, const ChannelMapping* mapping) {
  out["counters"] = nullptr;
  out["workers"] = json::array();
  if (mapping == nullptr) return;
  for (uint32_t worker = 0; worker < mapping->workers(); worker++) {
    out["workers"].push_back({{"worker", worker},
                              {"applied_sequence", mapping->applied(worker)},
                              {"counters", counters_json(worker_counters(*mapping, worker))}});
  }
  out["counters"] = counters_json(worker_counters(*mapping));
}

}  // namespace

namespace {

json configuration_json(const ConfigurationState* state) {
  if (state == nullptr) return nullptr;
  return {{"path", state->path},
          {"loaded", to_rfc3339(state->loaded)},
          {"last_attempt", state->last_attempt ? json(to_rfc3339(*state->last_attempt)) : json(nullptr)},
          {"fault", state->fault}};
}

json blocked_json(const Sources* sources) {
  if (sources == nullptr) return nullptr;
  return {{"by_hand", sources->by_hand().size()}, {"file", block_file_json(*sources)}};
}

/// Who routes the mail servers' own traffic.
json routing_json(const ApiContext& context) {
  if (context.routing == nullptr) return nullptr;
  const RoutingFacts& facts = *context.routing;
  const auto of = [](const std::string& why_not) {
    return json{{"by", why_not.empty() ? "workers" : "kernel"}, {"reason", why_not}};
  };
  return {{"setting", config::name_of(context.config.dataplane.server_routing)},
          {"ipv4", of(facts.why_not_v4)},
          {"ipv6", of(facts.why_not_v6)},
          {"routes", facts.routes.prefixes},
          {"hosts", facts.routes.hosts},
          {"left", facts.routes.left},
          {"left_first", facts.routes.why_left}};
}

}  // namespace

void add_services(JsonRows& out, const ApiContext& context) {
  out.array("services", context.model.services().size(),
            [&context](size_t i) { return service_json(context, context.model.services()[i]); });
}

void add_pools(JsonRows& out, const ApiContext& context) {
  out.array("pools", context.model.placements().size(),
            [&context](size_t i) { return pool_json(context, context.model.placements()[i]); });
}

void add_backends(JsonRows& out, const ApiContext& context) {
  out.array("backends", context.model.members().size(), [&context, shares = shares_of(context.model)](size_t i) {
    return backend_json(context, context.model.members()[i], shares[i]);
  });
}

LongAnswer status_answer(const ApiContext& context) {
  json head{{"version", SLUICE_VERSION},
            {"instance", context.config.instance},
            {"time", to_rfc3339(context.journal.now())},
            {"started", to_rfc3339(context.started)},
            {"dataplane", dataplane_json(context)},
            {"configuration", configuration_json(context.configuration)},
            {"by_hand",
             context.overrides == nullptr ? json::array() : by_hand_json(*context.overrides, told_by(context.channel))},
            {"blocked", blocked_json(context.sources)},
            {"announce", announce_json(context)},
            {"fleet", fleet_self_json(context.fleet)},
            {"ports", ports_json(context)},
            {"server_routing", routing_json(context)},
            {"removed_services", json::array()}};
  for (const RemovedService& service : context.model.removed_services())
    head["removed_services"].push_back(service_json(context, service));
  add_counters(head, context.channel.mapping());
  JsonRows out(head);
  add_services(out, context);
  add_pools(out, context);
  add_backends(out, context);
  return std::move(out).take();
}

json event_json(const JournalEntry& entry) {
  return {{"id", entry.id},     {"time", to_rfc3339(entry.time)}, {"severity", name_of(entry.severity)},
          {"kind", entry.kind}, {"subject", entry.subject},       {"text", entry.text}};
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/status.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "config/choices.h"
#include "controlplane/maglev.h"

namespace sluice::control {

using channel::read_counter;
using nlohmann::json;

namespace {

/// Sum over the workers of one counter of a block that `block(stats)` selects.
template <typename Block>
uint64_t sum(const ChannelMapping& mapping, Block block) {
  uint64_t out = 0;
  for (uint32_t worker = 0; worker < mapping.workers(); worker++)
    out += read_counter(block(mapping.worker_stats(worker)));
  return out;
}

json flow_figures(const ChannelMapping* mapping, channel::BackendId id) {
  if (mapping == nullptr || id >= channel::kMaxBackends) return nullptr;
  const auto total = [&](uint64_t channel::BackendCounters::* counter) {
    return sum(*mapping, [&](const auto& stats) -> const uint64_t& { return stats.backends[id].*counter; });
  };
  using Counters = channel::BackendCounters;
  uint64_t last_new_flow_ms = 0;
  for (uint32_t worker = 0; worker < mapping->workers(); worker++) {
    const auto& counters = mapping->worker_stats(worker).backends[id];
    last_new_flow_ms = std::max(last_new_flow_ms, read_counter(counters.last_new_flow_ms));
  }
  return {{"flows_now", total(&Counters::flows_now)},
          {"flows_created", total(&Counters::flows_created)},
          {"flows_established", total(&Counters::flows_established)},
          {"last_new_flow_ms", last_new_flow_ms},  // CLOCK_MONOTONIC; 0 = none yet
          {"packets_in", total(&Counters::packets_in)},
          {"bytes_in", total(&Counters::bytes_in)},
          {"packets_out", total(&Counters::packets_out)},
          {"bytes_out", total(&Counters::bytes_out)}};
}

json service_figures(const ChannelMapping* mapping, channel::ServiceId id) {
  if (mapping == nullptr || id >= channel::kMaxServices) return nullptr;
  const auto total = [&](uint64_t channel::ServiceCounters::* counter) {
    return sum(*mapping, [&](const auto& stats) -> const uint64_t& { return stats.services[id].*counter; });
  };
  using Counters = channel::ServiceCounters;
  return {{"flows_now", total(&Counters::flows_now)},
          {"flows_created", total(&Counters::flows_created)},
          {"flows_established", total(&Counters::flows_established)},
          {"flows_refused", total(&Counters::flows_refused)},
          {"packets_in", total(&Counters::packets_in)},
          {"bytes_in", total(&Counters::bytes_in)},
          {"packets_out", total(&Counters::packets_out)},
          {"bytes_out", total(&Counters::bytes_out)}};
}

std::string_view service_word(bool in_service) {
  return in_service ? "in service" : "out of service";
}

json service_json(const StatusSources& sources, const ServiceState& service) {
  const Placement& placement = sources.model.placements()[service.placement];
  const Publisher* publisher = sources.channel.publisher();
  return {
      {"name", service.config.name},
      {"vip", service.config.vip.to_string()},
      {"port", service.config.port},
      {"pool", service.config.pool},
      {"check", placement.check},
      {"scheduler", config::name_of(service.config.scheduler)},
      {"forwarding", config::name_of(service.config.forwarding)},
      {"on_backend_down", config::name_of(service.config.on_backend_down)},
      {"state", service_word(placement.in_service)},
      {"reason", placement.reason},
      {"since", to_rfc3339(placement.since)},
      {"figures", service_figures(sources.channel.mapping(),
                                  publisher == nullptr ? channel::kNoService : publisher->service_id(service.key))}};
}

json pool_json(const Model& model, const Placement& placement) {
  size_t usable = 0;
  for (const size_t i : placement.members) usable += model.members()[i].is_usable();
  return {{"name", placement.pool},
          {"port", placement.port},
          {"check", placement.check},
          {"state", service_word(placement.in_service)},
          {"reason", placement.reason},
          {"since", to_rfc3339(placement.since)},
          {"min_healthy", placement.min_healthy},
          {"usable", usable},
          {"backends", placement.members.size()},
          {"table_size", placement.table_size}};
}

/// Share of new flows that each member gets in the first placement that has it.
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

json next_hop_json(const Member& member, const config::Config& config) {
  if (!member.next_hop) return nullptr;
  const NextHop& hop = *member.next_hop;
  return {{"mac", fmt::format("{:02x}", fmt::join(hop.mac.bytes, ":"))},
          {"port", config.dataplane.ports[hop.port_index].name},
          {"vlan", hop.vlan}};
}

json backend_json(const StatusSources& sources, const Member& member, double share) {
  const WeightFactors factors = member.factors();
  const Publisher* publisher = sources.channel.publisher();
  return {{"pool", member.pool},
          {"name", member.name},
          {"address", member.address.to_string()},
          {"port", member.port},
          {"check", member.check},
          {"state", member.state()},
          {"reason", member.reason()},
          {"since", to_rfc3339(member.since)},
          {"admin", name_of(member.admin)},
          {"health", name_of(member.health)},
          {"health_reason", member.health_reason},
          {"next_hop", next_hop_json(member, sources.config)},
          {"weight",
           {{"configured", factors.configured},
            {"effective", effective_weight(factors)},
            {"share", std::max(share, 0.0)},
            {"factors", {{"admin", factors.admin}, {"health", factors.health}, {"reachable", factors.reachable}}}}},
          {"figures", flow_figures(sources.channel.mapping(),
                                   publisher == nullptr ? channel::kNoBackend : publisher->backend_id(member.key))}};
}

json counters_json(const channel::WorkerStats& stats) {
  json out = json::object();
  for (size_t i = 0; i < channel::kCounterCount; i++) {
    out[std::string(channel::kCounterInfo[i].name)] = read_counter(stats.counters[i]);
  }
  return out;
}

json dataplane_json(const StatusSources& sources) {
  const DataplaneState& state = sources.dataplane;
  json out{{"connected", state.connected},
           {"reason", state.reason},
           {"since", to_rfc3339(state.since)},
           {"settled", sources.channel.is_settled()},
           {"last_push_us", nullptr}};
  if (const auto latency = sources.channel.last_latency()) out["last_push_us"] = latency->count();
  if (const ChannelMapping* mapping = sources.channel.mapping()) {
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
  json total = json::object();
  for (uint32_t worker = 0; worker < mapping->workers(); worker++) {
    json counters = counters_json(mapping->worker_stats(worker));
    for (const auto& [name, value] : counters.items()) {
      total[name] = total.value(name, uint64_t{0}) + value.get<uint64_t>();
    }
    out["workers"].push_back(
        {{"worker", worker}, {"applied_sequence", mapping->applied(worker)}, {"counters", std::move(counters)}});
  }
  out["counters"] = std::move(total);
}

}  // namespace

json status_json(const StatusSources& sources) {
  const SystemTime now = sources.journal.now();
  json out{{"version", SLUICE_VERSION},
           {"instance", sources.config.instance},
           {"time", to_rfc3339(now)},
           {"started", to_rfc3339(sources.started)},
           {"dataplane", dataplane_json(sources)},
           {"services", json::array()},
           {"pools", json::array()},
           {"backends", json::array()}};
  for (const ServiceState& service : sources.model.services())
    out["services"].push_back(service_json(sources, service));
  for (const Placement& placement : sources.model.placements()) {
    out["pools"].push_back(pool_json(sources.model, placement));
  }
  const std::vector<double> shares = shares_of(sources.model);
  for (size_t i = 0; i < shares.size(); i++) {
    out["backends"].push_back(backend_json(sources, sources.model.members()[i], shares[i]));
  }
  add_counters(out, sources.channel.mapping());
  return out;
}

json events_json(const Journal& journal, size_t limit) {
  json out = json::array();
  for (auto entry = journal.entries().rbegin(); entry != journal.entries().rend() && out.size() < limit; ++entry) {
    out.push_back({{"time", to_rfc3339(entry->time)},
                   {"severity", name_of(entry->severity)},
                   {"kind", entry->kind},
                   {"subject", entry->subject},
                   {"text", entry->text}});
  }
  return {{"events", std::move(out)}};
}

std::string to_rfc3339(SystemTime time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000);
}

}  // namespace sluice::control

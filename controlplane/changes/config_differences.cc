// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/config_differences.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <string_view>
#include <type_traits>

#include "config/choices.h"
#include "controlplane/changes/limits.h"

namespace sluice::control {

namespace {

using What = ReloadPlan::What;

// --- Words for values ---

template <class T>
std::string shown(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return std::string(config::name_of(value));
  } else if constexpr (std::is_same_v<T, std::string>) {
    return value.empty() ? "\"\"" : value;
  } else if constexpr (std::is_same_v<T, config::IpAddress>) {
    return value.to_string();
  } else {
    return fmt::to_string(value);
  }
}

template <class T>
std::string shown(const std::optional<T>& value) {
  return value ? shown(*value) : "none";
}

/// Collects what differs between two things of one type.
class Differences {
 public:
  template <class T>
  Differences& compare(std::string_view name, const T& before, const T& after) {
    if (before != after) texts_.push_back(fmt::format("{} {} -> {}", name, shown(before), shown(after)));
    return *this;
  }
  /// For what has no short form.
  Differences& note(std::string_view name, bool differs) {
    if (differs) texts_.push_back(fmt::format("{} changed", name));
    return *this;
  }
  /// `equal`: whether the two are the same in everything. Settings that nobody compared by name are named as a whole.
  std::string text(bool equal) const {
    if (equal) return "";
    return texts_.empty() ? "other settings changed" : fmt::format("{}", fmt::join(texts_, ", "));
  }

 private:
  std::vector<std::string> texts_;
};

std::string difference(const config::Backend& before, const config::Backend& after) {
  return Differences()
      .compare("address", before.address, after.address)
      .compare("port", before.port, after.port)
      .compare("weight", before.weight, after.weight)
      .compare("max_connections", before.max_connections, after.max_connections)
      .note("warm_up", before.warm_up != after.warm_up)
      .compare("zone", before.zone, after.zone)
      .compare("from", before.origin, after.origin)
      .text(before == after);
}

std::string difference(const config::Service& before, const config::Service& after) {
  return Differences()
      .compare("vip", before.vip, after.vip)
      .compare("port", before.port, after.port)
      .compare("pool", before.pool, after.pool)
      .compare("check", before.check, after.check)
      .compare("scheduler", before.scheduler, after.scheduler)
      .compare("table_size", before.table_size, after.table_size)
      .compare("hash_on", before.hash_on, after.hash_on)
      .compare("forwarding", before.forwarding, after.forwarding)
      .compare("proxy", before.proxy, after.proxy)
      .compare("on_backend_down", before.on_backend_down, after.on_backend_down)
      .compare("on_no_backend", before.on_no_backend, after.on_no_backend)
      .compare("text_421", before.text_421, after.text_421)
      .compare("syn_proxy", before.syn_proxy, after.syn_proxy)
      .compare("idle_timeout", before.idle_timeout, after.idle_timeout)
      .text(before == after);
}

std::string difference(config::Pool before, config::Pool after) {
  before.backends.clear();  // shown one by one
  after.backends.clear();
  return Differences()
      .compare("check", before.check, after.check)
      .compare("min_healthy", before.min_healthy, after.min_healthy)
      .compare("on_removal", before.on_removal, after.on_removal)
      .compare("removal_deadline (ms)", before.removal_deadline.count(), after.removal_deadline.count())
      .text(before == after);
}

std::string difference(const config::Check& before, const config::Check& after) {
  return Differences().compare("type", before.type, after.type).text(before == after);
}

// --- Lists of things that have names ---

/// `prefix` goes before names.
template <class T>
void compare_lists(std::string_view kind, const std::string& prefix, const std::vector<T>& before,
                   const std::vector<T>& after, std::vector<ReloadPlan::Change>& out) {
  std::map<std::string_view, const T*> known;
  for (const T& each : before) known.emplace(each.name, &each);
  for (const T& each : after) {
    const auto earlier = known.find(each.name);
    if (earlier == known.end()) {
      out.push_back({What::kAdded, std::string(kind), prefix + each.name, ""});
      continue;
    }
    std::string text = difference(*earlier->second, each);
    if (!text.empty()) out.push_back({What::kChanged, std::string(kind), prefix + each.name, std::move(text)});
    known.erase(earlier);
  }
  for (const T& each : before) {
    if (known.contains(each.name)) out.push_back({What::kRemoved, std::string(kind), prefix + each.name, ""});
  }
}

void compare_pools(const config::Config& before, const config::Config& after, std::vector<ReloadPlan::Change>& out) {
  compare_lists("pool", "", before.pools, after.pools, out);
  static const config::Pool kNone;
  std::set<std::string> names;
  for (const auto* config : {&before, &after}) {
    for (const config::Pool& pool : config->pools) names.insert(pool.name);
  }
  for (const std::string& name : names) {
    const config::Pool* a = before.find_pool(name);
    const config::Pool* b = after.find_pool(name);
    compare_lists("backend", name + "/", (a != nullptr ? *a : kNone).backends, (b != nullptr ? *b : kNone).backends,
                  out);
  }
}

void compare_log(const config::Control& before, const config::Control& after, std::vector<ReloadPlan::Change>& out) {
  const bool equal = before.log_level == after.log_level && before.log_format == after.log_format;
  std::string text = Differences()
                         .compare("level", before.log_level, after.log_level)
                         .compare("format", before.log_format, after.log_format)
                         .text(equal);
  if (!text.empty()) out.push_back({What::kChanged, "control", "log", std::move(text)});
}

std::string listed(const std::vector<config::IpPrefix>& prefixes) {
  return fmt::format("{}", fmt::join(prefixes | std::views::transform(&config::IpPrefix::to_string), ", "));
}

void compare_sources(const config::Sources& before, const config::Sources& after,
                     std::vector<ReloadPlan::Change>& out) {
  const auto limits = [](const config::Sources& sources) {
    return fmt::format("{}", fmt::join(sources.limits | std::views::transform(in_words), "; "));
  };
  const auto routes = [](const config::Sources& sources) {
    const auto words = [](const config::Route& route) {
      return fmt::format("{} of {} to {}", listed(route.from), route.service, route.pool);
    };
    return fmt::format("{}", fmt::join(sources.routes | std::views::transform(words), "; "));
  };
  std::string text = Differences()
                         .compare("block_file", before.block_file, after.block_file)
                         .compare("allow", listed(before.allow), listed(after.allow))
                         .compare("limits", limits(before), limits(after))
                         .compare("routes", routes(before), routes(after))
                         .text(before == after);
  if (!text.empty()) out.push_back({What::kChanged, "sources", "sources", std::move(text)});
}

void compare_announce(const config::Announce& before, const config::Announce& after,
                      std::vector<ReloadPlan::Change>& out) {
  std::string text = Differences()
                         .compare("mode", before.mode, after.mode)
                         .compare("table", before.table, after.table)
                         .compare("protocol", unsigned{before.protocol}, unsigned{after.protocol})
                         .compare("metric", before.metric, after.metric)
                         .compare("draining_metric", before.draining_metric, after.draining_metric)
                         .note("hold_down", before.hold_down != after.hold_down)
                         .compare("require", before.require, after.require)
                         .compare("last_node", before.last_node, after.last_node)
                         .text(before == after);
  if (!text.empty()) out.push_back({What::kChanged, "announce", "announce", std::move(text)});
}

void compare_routing(config::ServerRouting before, config::ServerRouting after, std::vector<ReloadPlan::Change>& out) {
  std::string text = Differences().compare("server_routing", before, after).text(before == after);
  if (!text.empty()) out.push_back({What::kChanged, "dataplane", "dataplane", std::move(text)});
}

void compare_records(const config::Records& before, const config::Records& after,
                     std::vector<ReloadPlan::Change>& out) {
  std::string text = Differences()
                         .compare("to", before.to, after.to)
                         .compare("share", before.share, after.share)
                         .compare("rotate_mb", before.rotate_mb, after.rotate_mb)
                         .compare("keep", before.keep, after.keep)
                         .text(before == after);
  if (!text.empty()) out.push_back({What::kChanged, "records", "records", std::move(text)});
}

}  // namespace

std::vector<ReloadPlan::Change> config_changes(const config::Config& running, const config::Config& wanted) {
  std::vector<ReloadPlan::Change> out;
  compare_log(running.control, wanted.control, out);
  compare_routing(running.dataplane.server_routing, wanted.dataplane.server_routing, out);
  compare_lists("check", "", running.checks, wanted.checks, out);
  compare_pools(running, wanted, out);
  compare_lists("service", "", running.services, wanted.services, out);
  compare_sources(running.sources, wanted.sources, out);
  compare_announce(running.announce, wanted.announce, out);
  compare_records(running.records, wanted.records, out);
  const config::Fleet& before = running.fleet;
  const config::Fleet& after = wanted.fleet;
  std::string fleet = Differences()
                          .compare("zone", before.zone, after.zone)
                          .note("etcd", before.etcd != after.etcd)
                          .text(before.zone == after.zone && before.etcd == after.etcd);
  if (!fleet.empty()) out.push_back({What::kChanged, "fleet", "fleet", std::move(fleet)});
  return out;
}

std::vector<std::string> dataplane_differences(const config::Config& running, const config::Config& wanted) {
  config::Dataplane before = running.dataplane;
  const config::Dataplane& after = wanted.dataplane;
  before.server_routing = after.server_routing;  // goes by a reload
  std::vector<std::string> out;
  const auto note = [&](std::string_view name, bool differs) {
    if (differs) out.push_back(fmt::format("dataplane.{}", name));
  };
  note("workers", before.workers != after.workers);
  note("lcores", before.lcores != after.lcores);
  note("idle", before.idle != after.idle);
  note("flow_capacity", before.flow_capacity != after.flow_capacity);
  note("burst", before.burst != after.burst);
  note("memory_mb", before.memory_mb != after.memory_mb);
  note("hugepages", before.hugepages != after.hugepages);
  note("flow_store", before.flow_store != after.flow_store);
  note("ports", before.ports != after.ports);
  note("timers", before.timers != after.timers);
  if (out.empty() && before != after) out.emplace_back("dataplane");
  if (StartSettings::of(running).fleet != StartSettings::of(wanted).fleet) out.emplace_back("fleet");
  return out;
}

std::vector<std::string> control_differences(const config::Config& before, const config::Config& after) {
  std::vector<std::string> out;
  if (before.instance != after.instance) out.emplace_back("instance");
  if (before.control.api != after.control.api) out.emplace_back("control.api");
  if (before.control.http != after.control.http) out.emplace_back("control.http");
  if (before.control.http_names != after.control.http_names) out.emplace_back("control.http_names");
  if (before.control.token_file != after.control.token_file) out.emplace_back("control.token_file");
  if (before.control.read_token_file != after.control.read_token_file) out.emplace_back("control.read_token_file");
  if (before.control.placement_secret_file != after.control.placement_secret_file)
    out.emplace_back("control.placement_secret_file");
  if (before.control.tls != after.control.tls) out.emplace_back("control.tls");
  if (before.control.api_group != after.control.api_group) out.emplace_back("control.api_group");
  if (before.control.state != after.control.state) out.emplace_back("control.state");
  return out;
}

config::Config without_restart(const config::Config& running, config::Config wanted) {
  wanted.instance = running.instance;
  const config::ServerRouting server_routing = wanted.dataplane.server_routing;  // control's own part
  wanted.dataplane = running.dataplane;
  wanted.dataplane.server_routing = server_routing;
  wanted.fleet.node = running.fleet.node;
  wanted.fleet.peers = running.fleet.peers;
  wanted.control.api = running.control.api;
  wanted.control.http = running.control.http;
  wanted.control.http_names = running.control.http_names;
  wanted.control.token_file = running.control.token_file;
  wanted.control.read_token_file = running.control.read_token_file;
  wanted.control.placement_secret_file = running.control.placement_secret_file;
  wanted.control.tls = running.control.tls;
  wanted.control.api_group = running.control.api_group;
  wanted.control.state = running.control.state;
  return wanted;
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "config/keepalived/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "config/imports/names.h"

namespace sluice::config::keepalived {

namespace {

using imports::check_name;
using imports::Draft;
using imports::DraftBackend;
using imports::DraftCheck;
using imports::DraftPool;
using imports::DraftService;
using imports::Names;

constexpr uint16_t kSubmissions = 465;
constexpr uint32_t kMostTier = 7;

class Converter {
 public:
  explicit Converter(Remarks& remarks) : remarks_(remarks) {}

  Draft convert(const std::vector<VirtualServer>& servers) {
    for (const VirtualServer& server : servers) add(server);
    return std::move(draft_);
  }

 private:
  void add(const VirtualServer& from) {
    for (const bool v4 : {true, false}) {
      std::vector<Listener> listeners;
      std::ranges::copy_if(from.listeners, std::back_inserter(listeners),
                           [&](const auto& each) { return each.vip.is_v4() == v4; });
      if (!listeners.empty()) add_family(from, listeners, v4);
    }
  }

  void add_family(const VirtualServer& from, const std::vector<Listener>& listeners, bool v4) {
    DraftPool pool;
    pool.name = pool_names_.take(from.name);
    pool.check = add_check(from, pool.name, listeners.front().port);
    Names names;
    std::set<std::pair<IpAddress, std::optional<uint16_t>>> seen;
    const bool by_tier = from.scheduler == "fo";
    const bool alike = by_tier || from.scheduler == "rr" || from.scheduler == "lc";  // whatever their weights
    for (const RealServer& server : from.servers) {
      if (!add_backend(server, from, listeners, v4, pool, names, seen)) continue;
      DraftBackend& backend = pool.backends.back();
      backend.weight = alike ? std::min(server.weight, 1U) : server.weight;
      if (by_tier) backend.tier = tier_of(from, server);
    }
    if (pool.backends.empty())
      return remarks_.leave_out(from.line, "virtual_server without a real_server that can be reached");
    if (std::ranges::all_of(pool.backends, [](const auto& each) { return each.weight == 1U; })) {
      for (DraftBackend& each : pool.backends) each.weight.reset();
    }
    if (from.sorry && add_backend(*from.sorry, from, listeners, v4, pool, names, seen)) {
      DraftBackend& sorry = pool.backends.back();
      sorry.tier = by_tier ? kMostTier : 1;
      remarks_.warn(from.sorry->line,
                    fmt::format("sorry_server: backend {} of tier {}, which takes sessions when no other can, and is "
                                "checked as they are",
                                sorry.name, *sorry.tier));
    }
    for (const Listener& listener : listeners) add_service(from, listener, pool.name);
    draft_.pools.push_back(std::move(pool));
  }

  bool add_backend(const RealServer& server, const VirtualServer& from, const std::vector<Listener>& listeners, bool v4,
                   DraftPool& pool, Names& names, std::set<std::pair<IpAddress, std::optional<uint16_t>>>& seen) {
    const bool is_nat = from.forwarding == Forwarding::kNat;
    if (is_nat && server.address.is_v4() != v4) {
      remarks_.leave_out(server.line, fmt::format("real_server {}: of another family than the VIP, which NAT keeps",
                                                  server.address.to_string()));
      return false;
    }
    DraftBackend out;
    out.address = server.address.to_string();
    out.max_connections = server.most;
    const bool differs =
        server.port && std::ranges::any_of(listeners, [&](const auto& each) { return each.port != *server.port; });
    if (differs && is_nat) out.port = server.port;
    if (differs && !is_nat)
      remarks_.warn(server.line, fmt::format("real_server {} {}: packets go there as clients sent them, port and all",
                                             out.address, *server.port));
    if (!seen.insert({server.address, out.port}).second) {
      remarks_.leave_out(server.line, fmt::format("real_server {}: is there already", out.address));
      return false;
    }
    out.name = names.take(out.address);
    pool.backends.push_back(std::move(out));
    return true;
  }

  /// By weight, the heaviest first.
  static uint32_t tier_of(const VirtualServer& from, const RealServer& server) {
    std::set<uint32_t> heavier;
    for (const RealServer& other : from.servers) {
      if (other.weight > server.weight) heavier.insert(other.weight);
    }
    return std::min(static_cast<uint32_t>(heavier.size()), kMostTier - 1);
  }

  void add_service(const VirtualServer& from, const Listener& listener, const std::string& pool) {
    DraftService out;
    out.name = service_names_.take(
        from.listeners.size() == 1 ? from.name : fmt::format("{}-{}", listener.vip.to_string(), listener.port));
    out.vip = listener.vip.to_string();
    out.port = listener.port;
    out.pool = pool;
    out.forwarding = from.forwarding;
    out.keep_when_down = from.keeps_sessions || std::ranges::any_of(from.servers, &RealServer::keeps_sessions);
    choose_scheduler(from, out);
    draft_.services.push_back(std::move(out));
  }

  void choose_scheduler(const VirtualServer& from, DraftService& out) {
    const std::string& name = from.scheduler;
    const bool by_hash = name == "sh" || name == "mh";
    if (by_hash || from.persistent) {
      out.scheduler = Scheduler::kMaglev;
      const bool with_port = !from.persistent && (from.flags.contains("sh-port") || from.flags.contains("mh-port"));
      out.hash_on = with_port ? HashOn::kConnection : from.persists_prefix ? HashOn::kClientPrefix : HashOn::kClient;
      if (from.persistent)
        remarks_.warn(*from.persistent,
                      "persistence_timeout: a client's address decides its server for good, by a hash, "
                      "and no longer by the server that it had last");
      return;
    }
    if (name == "rr" || name == "wrr") {
      out.scheduler = Scheduler::kWrr;
    } else if (name == "fo") {
      out.scheduler = Scheduler::kMaglev;
    } else {
      out.scheduler = Scheduler::kLeastConn;
      constexpr std::array<std::string_view, 5> kAlike{"lc", "wlc", "sed", "nq", "twos"};
      if (std::ranges::find(kAlike, name) == kAlike.end())
        remarks_.warn(from.line, fmt::format("scheduler {}: the less loaded of two that are drawn is taken", name));
    }
  }

  // --- Checks ---

  /// One for the whole pool; "" if nobody is checked.
  std::string add_check(const VirtualServer& from, const std::string& pool, uint16_t port) {
    const Checker* first = nullptr;
    for (const RealServer& server : from.servers) {
      if (server.checkers.empty()) {
        remarks_.warn(server.line,
                      fmt::format("real_server {}: nothing checks it there; here all of a pool are checked alike",
                                  server.address.to_string()));
      }
      for (const Checker& checker : server.checkers) {
        if (first == nullptr) {
          first = &checker;
        } else if (!checker.is_like(*first)) {
          remarks_.leave_out(checker.line,
                             "a check of another kind: all of a pool are checked as the first of them is");
        }
      }
    }
    if (first == nullptr) {
      remarks_.warn(from.line, "no server is checked: one that has died keeps getting its share");
      return "";
    }
    DraftCheck out;
    out.name = check_names_.take(check_name(pool));
    out.type = first->type;
    out.port = first->port;
    out.helo = first->helo;
    if (out.type == CheckType::kEhlo && first->port.value_or(port) == kSubmissions) {
      out.type = CheckType::kSmtps;
      remarks_.warn(first->line, "SMTP_CHECK on 465, where TLS comes first: the check here begins with TLS");
    }
    if (out.type == CheckType::kTcp)
      remarks_.warn(first->line,
                    "TCP_CHECK only connects: a mail server that accepts and never greets counts as healthy; "
                    "type = \"banner\" or \"ehlo\" waits for its greeting");
    out.soft_is_down = out.type == CheckType::kEhlo;
    out.interval = first->timing.delay_loop ? first->timing.delay_loop : from.timing.delay_loop;
    if (!out.interval) out.interval = Milliseconds{60'000};  // keepalived's own
    const auto before_retry = first->timing.before_retry ? first->timing.before_retry : from.timing.before_retry;
    out.fast_interval = std::min(before_retry.value_or(Milliseconds{1000}), *out.interval);
    const auto connect = first->timing.connect_timeout ? first->timing.connect_timeout : from.timing.connect_timeout;
    out.connect_timeout = connect.value_or(Milliseconds{5000});
    const auto retry = first->timing.retry ? first->timing.retry : from.timing.retry;
    out.fall = retry.value_or(1) + 1;
    out.rise = 1;
    std::string name = out.name;
    draft_.checks.push_back(std::move(out));
    return name;
  }

  Remarks& remarks_;
  Draft draft_;
  Names pool_names_, service_names_, check_names_;
};

}  // namespace

Draft convert(const std::vector<VirtualServer>& servers, Remarks& remarks) {
  return Converter(remarks).convert(servers);
}

}  // namespace sluice::config::keepalived

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/route_watch.h"

#include <fmt/format.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <utility>

#include "controlplane/kernel/packet_rules.h"

namespace sluice::control {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr uint32_t kGroups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
constexpr int kShare = 20;  // of the time, at most one such part is spent on reading

bool is_on(const std::string& path) {
  std::ifstream file(path);
  int value = 0;
  return (file >> value) && value != 0;
}

}  // namespace

RouteWatch::RouteWatch(asio::io_context& io, Changed changed, std::string proc)
    : changed_(std::move(changed)),
      proc_(std::move(proc)),
      queries_(0),
      notifications_(kGroups),
      waiter_(io, dup(notifications_.fd())),
      timer_(io) {
  queries_.be_strict();
}

void RouteWatch::follow(config::ServerRouting rule, RouteWays ways) {
  if (rule == rule_ && ways == ways_) return;
  rule_ = rule;
  ways_ = std::move(ways);
  if (!started_) return;
  look();
  survey();
}

void RouteWatch::start() {
  started_ = true;
  look();
  survey();
  next_look_ = next_refresh_ = Clock::now() + kLook;
  wait_for_notifications();
  wait();
}

void RouteWatch::stop() {
  error_code ignored;
  waiter_.close(ignored);
  timer_.cancel();
}

void RouteWatch::wait_for_notifications() {
  waiter_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code error) {
    if (error) return;
    (void)notifications_.poll();  // what changed does not matter: all is read again
    if (!due_) {
      due_ = true;
      not_before_ = std::max(not_before_, Clock::now() + kDelay);
      wait();
    }
    wait_for_notifications();
  });
}

void RouteWatch::wait() {
  timer_.expires_at(due_ ? std::min(not_before_, next_look_) : next_look_);
  timer_.async_wait([this](error_code cancelled) {
    if (!cancelled) tick();
  });
}

void RouteWatch::tick() {
  const auto now = Clock::now();
  if (now >= next_look_) {
    next_look_ = now + kLook;
    if (look()) due_ = true, not_before_ = now;
  }
  if (due_ && now >= not_before_) survey();
  if (now >= next_refresh_) {
    next_refresh_ = now + kRefresh;
    refresh();
  }
  wait();
}

bool RouteWatch::look() {
  std::string found;
  if (rule_ == config::ServerRouting::kAuto) {
    for (const uint8_t family : {AF_INET, AF_INET6}) {
      const auto rules = queries_.ask(netlink::dump_rules(family, queries_.next_sequence()));
      for (const netlink::Message& message : rules.value_or(std::vector<netlink::Message>{})) {
        const auto* rule = std::get_if<netlink::Rule>(&message);
        if (rule == nullptr || rule->ordinary || !found.empty()) continue;
        found = fmt::format("policy routing: rule {} of {}", rule->priority, rule->is_v4 ? "IPv4" : "IPv6");
      }
    }
    if (found.empty()) {
      std::set<std::string> twins;
      for (const auto& [twin, way] : ways_) twins.insert(twin);
      const auto rules = packet_rules(twins, proc_);
      found = rules ? *rules : rules.error();
    }
  }
  interference_ = std::move(found);
  const std::string v4 = why_not(true), v6 = why_not(false);
  return v4 != facts_.why_not_v4 || v6 != facts_.why_not_v6;
}

/// Why the workers do not route a family, as far as settings and others' say go; "" if they do.
std::string RouteWatch::why_not(bool v4) const {
  if (rule_ == config::ServerRouting::kKernel) return "dataplane.server_routing is \"kernel\"";
  if (!too_much_.empty()) return too_much_;
  if (ways_.empty()) return "no port is bound to one of the data plane's";
  if (v4) {
    for (const auto& [twin, way] : ways_) {
      if (!is_on(fmt::format("{}/sys/net/ipv4/conf/{}/forwarding", proc_, twin)))
        return fmt::format("net.ipv4.conf.{}.forwarding is not 1", twin);
    }
  } else if (!is_on(proc_ + "/sys/net/ipv6/conf/all/forwarding")) {
    return "net.ipv6.conf.all.forwarding is not 1";
  }
  return interference_;
}

bool RouteWatch::read(KernelRoutes& out) {
  const auto gather = [&](const netlink::Bytes& request, auto& into) {
    using T = typename std::remove_reference_t<decltype(into)>::value_type;
    auto answer = queries_.ask(request);
    if (!answer) return answer.error() == ENOENT;  // that table is empty
    for (netlink::Message& message : *answer) {
      if (auto* found = std::get_if<T>(&message)) into.push_back(std::move(*found));
    }
    return true;
  };
  return gather(netlink::dump_links(queries_.next_sequence()), out.links) &&
         gather(netlink::dump_neighbors(queries_.next_sequence()), out.neighbors) &&
         gather(netlink::dump_routes(AF_INET, RT_TABLE_MAIN, queries_.next_sequence()), out.routes) &&
         gather(netlink::dump_routes(AF_INET6, RT_TABLE_MAIN, queries_.next_sequence()), out.routes);
}

void RouteWatch::survey() {
  const auto began = Clock::now();
  due_ = false;
  too_much_.clear();
  RoutedFamilies families{why_not(true).empty(), why_not(false).empty()};
  ServerRoutes routes;
  if (families.v4 || families.v6) {
    KernelRoutes kernel;
    if (!read(kernel)) {  // what is known stays, and all is asked again
      due_ = true;
      not_before_ = Clock::now() + kLook;
      return;
    }
    auto built = server_routes(kernel, ways_, families);
    if (built) {
      routes = std::move(*built);
    } else {
      too_much_ = built.error();
    }
  }
  const auto took = Clock::now() - began;
  not_before_ = Clock::now() + std::max<Clock::duration>(kDelay, took * kShare);
  settle(std::move(routes));
}

void RouteWatch::settle(ServerRoutes routes) {
  const bool was_asked = facts_.routes.table == nullptr && facts_.why_not_v4.empty() && facts_.why_not_v6.empty();
  RoutingFacts now;
  now.why_not_v4 = why_not(true);
  now.why_not_v6 = why_not(false);
  now.families = {now.why_not_v4.empty(), now.why_not_v6.empty()};
  const auto& before = facts_.routes.table;
  const bool is_same_table =
      before != nullptr && routes.table != nullptr ? before->is_like(*routes.table) : before == routes.table;
  if (is_same_table) routes.table = before;  // whether it changed is whether the object did
  now.routes = std::move(routes);
  const bool changed = was_asked || !is_same_table || now.why_not_v4 != facts_.why_not_v4 ||
                       now.why_not_v6 != facts_.why_not_v6 || now.routes.left != facts_.routes.left ||
                       now.routes.prefixes != facts_.routes.prefixes || now.routes.hosts != facts_.routes.hosts;
  facts_ = std::move(now);
  if (changed) changed_(facts_);
}

void RouteWatch::refresh() {
  const auto& entries = facts_.routes.in_use;
  for (size_t n = 0; n < std::min(kRefreshed, entries.size()); n++) {
    const netlink::Neighbor& entry = entries[refreshed_++ % entries.size()];
    if ((entry.state & NUD_STALE) != 0)
      (void)queries_.ask(netlink::use_neighbor(entry.link, entry.address, queries_.next_sequence()));
  }
}

}  // namespace sluice::control

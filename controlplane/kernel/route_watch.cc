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
#include <system_error>
#include <utility>

#include "controlplane/kernel/packet_rules.h"

namespace sluice::control {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr uint32_t kGroups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
constexpr uint32_t kRuleOfLocal = 0, kRuleOfMain = 32766;  // the rules by which these tables are looked into
constexpr int kStrict = 1;  // rp_filter: the way back has to be the way that a packet came
constexpr int kShare = 20;  // of the time, at most one such part is spent on reading

/// 0 as well if there is none.
int number_in(const std::string& path) {
  std::ifstream file(path);
  int value = 0;
  return file >> value ? value : 0;
}

bool any(RoutedFamilies families) {
  return families.v4 || families.v6;
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
  if (ways != ways_) facts_.routes = {};  // they lead to ports as they were
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
    notifications_.discard();  // what changed does not matter: all is read again
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
    if (look()) due_ = true;
    if (due_ && too_much_.empty() && !any(allowed())) not_before_ = now;  // it reads nothing
  }
  if (now >= next_refresh_) {
    next_refresh_ = now + kRefresh;
    refresh();
    due_ = true;
  }
  if (due_ && now >= not_before_) survey();
  wait();
}

bool RouteWatch::look() {
  if (rule_ != config::ServerRouting::kAuto) {
    interference_.reset();
  } else if (auto found = who_has_a_say()) {
    interference_ = std::move(found);
  }
  const std::string v4 = why_not(true), v6 = why_not(false);
  return v4 != facts_.why_not_v4 || v6 != facts_.why_not_v6;
}

/// In words; "" = nobody. Empty: that changed while the kernel told of it.
std::optional<std::string> RouteWatch::who_has_a_say() {
  auto routing = policy_routing();
  if (!routing || !routing->empty()) return routing;
  std::set<std::string> twins;
  for (const auto& [twin, way] : ways_) twins.insert(twin);
  const auto rules = packet_rules(twins, proc_);
  return rules ? *rules : rules.error();
}

/// Likewise, of the rules of policy routing.
std::optional<std::string> RouteWatch::policy_routing() {
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    const char* const name = family == AF_INET ? "IPv4" : "IPv6";
    const auto rules = queries_.ask(netlink::dump_rules(family, queries_.next_sequence()));
    if (!rules && (rules.error() == EOPNOTSUPP || rules.error() == EAFNOSUPPORT)) continue;  // there is no such thing
    if (!rules && rules.error() == EINTR) return std::nullopt;
    if (!rules) return fmt::format("the kernel does not list its rules of {}: {}", name, std::strerror(rules.error()));
    std::set<uint32_t> there;
    for (const netlink::Message& message : *rules) {
      const auto* rule = std::get_if<netlink::Rule>(&message);
      if (rule == nullptr) continue;
      if (!rule->ordinary) return fmt::format("policy routing: rule {} of {}", rule->priority, name);
      there.insert(rule->priority);
    }
    for (const uint32_t priority : {kRuleOfLocal, kRuleOfMain})
      if (!there.contains(priority)) return fmt::format("policy routing: {} has no rule {}", name, priority);
  }
  return "";
}

RoutedFamilies RouteWatch::allowed() const {
  return {why_not(true).empty(), why_not(false).empty()};
}

/// Why the workers do not route a family, as far as settings and others' say go; "" if they do.
std::string RouteWatch::why_not(bool v4) const {
  if (rule_ == config::ServerRouting::kKernel) return "dataplane.server_routing is \"kernel\"";
  if (!too_much_.empty()) return too_much_;
  if (ways_.empty()) return "no port is bound to one of the data plane's";
  if (v4) {
    for (const auto& [twin, way] : ways_) {
      if (number_in(fmt::format("{}/sys/net/ipv4/conf/{}/forwarding", proc_, twin)) == 0)
        return fmt::format("net.ipv4.conf.{}.forwarding is not 1", twin);
    }
  } else if (number_in(proc_ + "/sys/net/ipv6/conf/all/forwarding") == 0) {
    return "net.ipv6.conf.all.forwarding is not 1";
  }
  if (rule_ != config::ServerRouting::kAuto) return "";
  const int all = number_in(proc_ + "/sys/net/ipv4/conf/all/rp_filter");
  for (const auto& [twin, way] : ways_) {  // the greater of both counts
    const int own = number_in(fmt::format("{}/sys/net/ipv4/conf/{}/rp_filter", proc_, twin));
    if (v4 && std::max(all, own) == kStrict)
      return fmt::format("net.ipv4.conf.{}.rp_filter is 1 (strict)", own == kStrict ? twin : "all");
  }
  return interference_.value_or("its rules change while the kernel tells of them");
}

std::expected<std::optional<KernelRoutes>, std::string> RouteWatch::read(RoutedFamilies families) const try {
  // Of its own, as what is given up halfway goes with the socket.
  NetlinkSocket queries(0);
  queries.be_strict();
  constexpr size_t kMost = channel::kMaxServerRoutes;
  KernelRoutes out;
  int error = 0;
  const auto gather = [&](const netlink::Bytes& request, size_t limit, auto& into) {
    using T = typename std::remove_reference_t<decltype(into)>::value_type;
    auto answer = queries.ask(request, limit);
    if (!answer) error = answer.error();
    if (!answer) return false;
    for (netlink::Message& message : *answer)
      if (auto* found = std::get_if<T>(&message)) into.push_back(std::move(*found));
    return true;
  };
  if (!gather(netlink::dump_links(queries.next_sequence()), SIZE_MAX, out.links)) return std::nullopt;
  if (!gather(netlink::dump_neighbors(queries.next_sequence()), 2 * kMost, out.neighbors)) {
    if (error == E2BIG) return std::unexpected(fmt::format("the kernel has more than {} neighbours", 2 * kMost));
    return std::nullopt;
  }
  for (const bool v4 : {true, false}) {
    if (!(v4 ? families.v4 : families.v6)) continue;
    const uint8_t family = v4 ? AF_INET : AF_INET6;
    for (const uint32_t table : {RT_TABLE_LOCAL, RT_TABLE_MAIN}) {
      if (gather(netlink::dump_routes(family, table, queries.next_sequence()), kMost, out.routes)) continue;
      if (error == E2BIG)
        return std::unexpected(fmt::format("the kernel has more than {} {} routes", kMost, v4 ? "IPv4" : "IPv6"));
      if (error != ENOENT) return std::nullopt;  // that table is empty
    }
  }
  return out;
} catch (const std::system_error&) {
  return std::nullopt;
}

void RouteWatch::survey() {
  const auto began = Clock::now();
  due_ = false;
  too_much_.clear();
  const RoutedFamilies families = allowed();
  ServerRoutes routes;
  if (any(families)) {
    const auto kernel = read(families);
    if (kernel && !*kernel) {  // what is known stays, as far as it may, and all is asked again
      due_ = true;
      not_before_ = Clock::now() + kLook;
      if ((facts_.families.v4 && !families.v4) || (facts_.families.v6 && !families.v6)) settle({});
      return;
    }
    auto built = kernel ? server_routes(**kernel, ways_, families) : std::unexpected(kernel.error());
    if (built) {
      routes = std::move(*built);
    } else {
      too_much_ = built.error();
    }
  }
  const auto now = Clock::now();
  not_before_ = now + std::max<Clock::duration>(kDelay, (now - began) * kShare);
  if (!too_much_.empty()) due_ = true, not_before_ = now + kRest;
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
  for (const netlink::Neighbor& entry : stale_ones(facts_.routes.in_use, kRefreshed, refreshed_))
    (void)queries_.ask(netlink::use_neighbor(entry.link, entry.address, queries_.next_sequence()));
}

}  // namespace sluice::control

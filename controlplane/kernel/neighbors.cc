// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/neighbors.h"

#include <fmt/format.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>
#include <utility>

namespace sluice::control {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace {

constexpr uint32_t kGroups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
constexpr uint16_t kUsable = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
constexpr auto kTick = 250ms;
constexpr auto kRouteDelay = 20ms;  // changes of routes come in crowds
constexpr auto kGrace = 5s;
constexpr auto kFirstPause = 1s;  // the kernel itself tries for 3 s
constexpr auto kLongestPause = 8s;
constexpr auto kResyncPause = 1s;            // a dump that failed may have taken as long
constexpr auto kRefresh = 30s;               // of entries that went stale
constexpr size_t kLooksPerTick = 64;         // of the slow round that finds what no notification told
constexpr size_t kMaxRoutesRemembered = 64;  // beyond, every target is looked up again
// The kernel's answers where no route leads on. Any other error is one of asking, and says nothing of routes.
constexpr std::array kNoWay = {ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL};

std::string_view route_type_name(uint8_t type) {
  switch (type) {
    case RTN_BLACKHOLE:
      return "a blackhole";
    case RTN_UNREACHABLE:
      return "unreachable";
    case RTN_PROHIBIT:
      return "prohibited";
    case RTN_BROADCAST:
      return "a broadcast";
    case RTN_MULTICAST:
      return "multicast";
    default:
      return "not a plain one";
  }
}

}  // namespace

Neighbors::Neighbors(asio::io_context& io, std::set<std::string> twins, Changed changed, Fault fault)
    : twins_(std::move(twins)),
      changed_(std::move(changed)),
      fault_(std::move(fault)),
      queries_(0),
      notifications_(kGroups),
      waiter_(io, dup(notifications_.fd())),
      timer_(io) {}

void Neighbors::follow(const std::vector<config::IpAddress>& addresses) {
  std::map<config::IpAddress, Target> before = std::exchange(targets_, {});
  std::vector<config::IpAddress> added;
  for (const config::IpAddress& address : addresses) {
    if (auto known = before.extract(address)) {
      targets_.insert(std::move(known));
    } else if (targets_.try_emplace(address).second) {
      added.push_back(address);
    }
  }
  for (const auto& [address, target] : before) {
    if (target.hop) by_neighbor_.erase({target.hop->neighbor, address});
  }
  if (!started_) return;
  for (const config::IpAddress& address : added) {
    look_up(address, targets_[address]);
    settle(address, targets_[address]);
  }
}

void Neighbors::follow_twins(std::set<std::string> twins) {
  if (twins == twins_) return;
  twins_ = std::move(twins);
  if (!started_) return;
  links_changed_ = true;
  find_hops();
  settle();
}

void Neighbors::set_links_down(std::set<std::string> twins) {
  down_ = std::move(twins);
}

std::optional<MacAddress> Neighbors::mac_of(const std::string& interface) const {
  const auto found = std::ranges::find(links_, interface, [](const auto& entry) { return entry.second.name; });
  return found == links_.end() ? std::nullopt : found->second.mac;
}

void Neighbors::start() {
  started_ = true;
  resync();
  wait_for_notifications();
  arm_timer();
}

void Neighbors::stop() {
  error_code ignored;
  waiter_.close(ignored);
  timer_.cancel();
}

void Neighbors::wait_for_notifications() {
  waiter_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code error) {
    if (error) return;
    read_notifications();
    wait_for_notifications();
  });
}

void Neighbors::read_notifications() {
  auto messages = notifications_.poll();
  if (!messages) {  // ENOBUFS: some were lost, and nobody knows which
    resync();
    return;
  }
  for (netlink::Message& message : *messages) apply(std::move(message));
  report_twins();
  settle_touched();
  const bool is_due = links_changed_ || !changed_routes_.empty();
  if (is_due && timer_.expiry() > Clock::now() + kRouteDelay) {  // not put off again and again
    timer_.expires_after(kRouteDelay);
    arm_timer();
  }
}

void Neighbors::apply(netlink::Message message) {
  if (auto* link = std::get_if<netlink::Link>(&message)) {
    links_changed_ = true;
    if (!link->gone) {
      links_[link->index] = std::move(*link);
      return;
    }
    links_.erase(link->index);
    std::erase_if(neighbors_, [&](const auto& entry) { return entry.first.first == link->index; });
  } else if (auto* neighbor = std::get_if<netlink::Neighbor>(&message)) {
    const NeighborKey key{neighbor->link, neighbor->address};
    touched_.insert(key);
    if (neighbor->gone) {
      neighbors_.erase(key);
    } else {
      neighbors_[key] = *neighbor;
    }
  } else if (auto* route = std::get_if<netlink::Route>(&message)) {
    if (changed_routes_.size() < kMaxRoutesRemembered) {
      changed_routes_.push_back(std::move(*route));
    } else {
      links_changed_ = true;
    }
  }
}

void Neighbors::resync() {
  std::vector<netlink::Message> all;
  for (const netlink::Bytes& request :
       {netlink::dump_links(queries_.next_sequence()), netlink::dump_neighbors(queries_.next_sequence())}) {
    auto messages = queries_.ask(request);
    if (!messages) {
      resync_due_ = Clock::now() + kResyncPause;
      tell_fault(fmt::format("the kernel does not list links or neighbours: {}", std::strerror(messages.error())));
      return;
    }
    all.insert(all.end(), std::make_move_iterator(messages->begin()), std::make_move_iterator(messages->end()));
  }
  resync_due_.reset();
  links_.clear();
  neighbors_.clear();
  for (netlink::Message& message : all) apply(std::move(message));
  links_changed_ = true;
  report_twins();
  find_hops();
  settle();
}

void Neighbors::tell_fault(std::string text) {
  if (fault_ && text != last_fault_) fault_(text);
  last_fault_ = std::move(text);
}

void Neighbors::report_twins() {
  if (!twin_changed_) return;
  for (const std::string& twin : twins_) {
    const bool up =
        std::ranges::any_of(links_, [&](const auto& link) { return link.second.name == twin && link.second.up; });
    const auto known = reported_up_.find(twin);
    if (known != reported_up_.end() && known->second == up) continue;
    reported_up_[twin] = up;
    twin_changed_(twin, up);
  }
}

bool Neighbors::has_route(const config::IpAddress& address) const {
  const auto target = targets_.find(address);
  return target != targets_.end() && target->second.hop.has_value();
}

void Neighbors::find_hops() {
  for (auto& [address, target] : targets_) {
    const bool affected = links_changed_ || std::any_of(changed_routes_.begin(), changed_routes_.end(),
                                                        [&](const auto& route) { return covers(route, address); });
    if (affected) look_up(address, target);
  }
  links_changed_ = false;
  changed_routes_.clear();
}

std::expected<Neighbors::Hop, std::string> Neighbors::find_hop(const config::IpAddress& address, const Target& target) {
  if (links_.empty()) return std::unexpected("the kernel has not listed its interfaces yet");
  const auto answer = queries_.ask(netlink::get_route(address, queries_.next_sequence()));
  const bool is_known = answer || std::ranges::find(kNoWay, answer.error()) != kNoWay.end();
  if (!is_known && target.hop) return target.hop;  // asked again soon
  const auto* route = answer && !answer->empty() ? std::get_if<netlink::Route>(&answer->front()) : nullptr;
  if (route == nullptr) {
    return std::unexpected(
        fmt::format("no route to {} ({})", address.to_string(), std::strerror(answer ? ENETUNREACH : answer.error())));
  }
  if (route->type == RTN_LOCAL) return std::unexpected(address.to_string() + " is an address of this machine");
  if (route->type != RTN_UNICAST) {
    return std::unexpected(fmt::format("the route to {} is {}", address.to_string(), route_type_name(route->type)));
  }
  const std::string name = link_name(route->link);
  if (!twins_.contains(name)) {
    return std::unexpected(
        fmt::format("the route to {} leaves by {}, which is no port's twin", address.to_string(), name));
  }
  return Hop{{route->link, route->gateway.value_or(address)}, name};
}

std::string Neighbors::link_name(int link) const {
  const auto known = links_.find(link);
  return known == links_.end() ? fmt::format("interface {}", link) : known->second.name;
}

void Neighbors::look_up(const config::IpAddress& address, Target& target) {
  auto hop = find_hop(address, target);
  if (target.hop) by_neighbor_.erase({target.hop->neighbor, address});
  target.hop = std::move(hop);
  if (target.hop) by_neighbor_.insert({target.hop->neighbor, address});
}

void Neighbors::settle_touched() {
  for (const NeighborKey& key : std::exchange(touched_, {})) {
    // Collected first: settling tells the owner, who may call back.
    std::vector<config::IpAddress> addresses;
    for (auto it = by_neighbor_.lower_bound({key, {}}); it != by_neighbor_.end() && it->first == key; ++it) {
      addresses.push_back(it->second);
    }
    for (const config::IpAddress& address : addresses) {
      if (const auto target = targets_.find(address); target != targets_.end()) settle(address, target->second);
    }
  }
}

void Neighbors::settle() {
  touched_.clear();
  for (auto& [address, target] : targets_) settle(address, target);
}

void Neighbors::settle(const config::IpAddress& address, Target& target) {
  Reachability now = reach(address, target);
  nudge(target, now.has_value());
  if (now) {
    target.lost.reset();
  } else if (target.reported && target.reported->has_value()) {
    const netlink::Neighbor* neighbor = find_neighbor(target);
    const bool failed = neighbor != nullptr && (neighbor->state & NUD_FAILED) != 0;
    if (down_.contains((*target.reported)->twin)) {
      target.lost = Clock::now();  // it is given its time once the link is back
      return;
    }
    if (!target.lost) target.lost = Clock::now();
    if (!failed && Clock::now() - *target.lost < kGrace) return;
  }
  if (target.reported == now) return;
  target.reported = now;
  changed_(address, now);
}

const netlink::Neighbor* Neighbors::find_neighbor(const Target& target) const {
  if (!target.hop) return nullptr;
  const auto known = neighbors_.find(target.hop->neighbor);
  return known == neighbors_.end() ? nullptr : &known->second;
}

Reachability Neighbors::reach(const config::IpAddress& address, const Target& target) const {
  if (!target.hop) return std::unexpected(target.hop.error());
  const netlink::Neighbor* neighbor = find_neighbor(target);
  if (neighbor != nullptr && (neighbor->state & kUsable) != 0 && neighbor->mac) {
    return NextHop{*neighbor->mac, target.hop->twin, target.hop->neighbor.second != address};
  }
  const auto& [link, hop] = target.hop->neighbor;
  const std::string whom =
      hop == address ? hop.to_string() : hop.to_string() + ", the gateway to " + address.to_string();
  if (neighbor != nullptr && (neighbor->state & NUD_FAILED) != 0) {
    return std::unexpected(fmt::format("no answer to ARP or ND from {} on {}", whom, link_name(link)));
  }
  return std::unexpected(fmt::format("no neighbour entry for {} on {}", whom, link_name(link)));
}

void Neighbors::nudge(const Target& target, bool is_good) {
  if (!target.hop) return;
  const netlink::Neighbor* neighbor = find_neighbor(target);
  if (is_good && (neighbor->state & NUD_STALE) == 0) {
    attempts_.erase(target.hop->neighbor);
    return;
  }
  const auto now = Clock::now();
  const auto [known, is_first] = attempts_.try_emplace(target.hop->neighbor);
  Attempt& attempt = known->second;
  if (!is_good) attempt.pause = std::min<Clock::duration>(attempt.pause, kLongestPause);
  if (!is_first && now - attempt.asked < attempt.pause) return;
  attempt.asked = now;
  attempt.pause = is_good ? kRefresh : std::clamp<Clock::duration>(attempt.pause * 2, kFirstPause, kLongestPause);
  const auto& [link, address] = target.hop->neighbor;
  const auto done = queries_.ask(netlink::use_neighbor(link, address, queries_.next_sequence()));
  if (done || !fault_) return;
  std::string text = done.error() == EPERM
                         ? "the kernel does not let us ask for neighbours: sluice-control needs CAP_NET_ADMIN"
                         : fmt::format("the kernel refuses to resolve {} on {}: {}", address.to_string(),
                                       link_name(link), std::strerror(done.error()));
  tell_fault(std::move(text));
}

void Neighbors::look_again_at_some() {
  auto it = targets_.lower_bound(next_look_);
  for (size_t n = 0; n < std::min(kLooksPerTick, targets_.size()); n++, ++it) {
    if (it == targets_.end()) it = targets_.begin();
    look_up(it->first, it->second);
  }
  next_look_ = it == targets_.end() ? config::IpAddress{} : it->first;
}

void Neighbors::arm_timer() {
  timer_.async_wait([this](error_code cancelled) {
    if (cancelled) return;
    if (resync_due_ && Clock::now() >= *resync_due_) resync();
    find_hops();
    look_again_at_some();
    std::erase_if(attempts_, [](const auto& entry) { return Clock::now() - entry.second.asked > 2 * kRefresh; });
    settle();
    timer_.expires_after(kTick);
    arm_timer();
  });
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/client_routers.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <variant>
#include <vector>

namespace sluice::control {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace {

constexpr uint32_t kGroups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
constexpr uint16_t kUsable = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
constexpr uint16_t kFixed = NUD_PERMANENT | NUD_NOARP;  // by an operator, for good
constexpr auto kRound = 10s;                            // of using the gateways' entries
constexpr size_t kMaxStations = 4096;                   // clients on the link are stations too

}  // namespace

ClientRouters::ClientRouters(asio::io_context& io, Moved moved)
    : moved_(std::move(moved)),
      queries_(0),
      notifications_(kGroups),
      waiter_(io, dup(notifications_.fd())),
      timer_(io) {}

void ClientRouters::follow(std::set<std::string> twins) {
  if (twins == twins_) return;
  twins_ = std::move(twins);
  std::erase_if(macs_, [this](const auto& known) { return !twins_.contains(known.first.first); });
  for (std::set<Station>* stations : {&gateways_, &fixed_})
    std::erase_if(*stations, [this](const Station& station) { return !twins_.contains(station.first); });
  if (started_) survey();
}

void ClientRouters::start() {
  started_ = true;
  survey();
  wait_for_notifications();
  wait_for_next_round();
}

void ClientRouters::stop() {
  error_code ignored;
  waiter_.close(ignored);
  timer_.cancel();
}

void ClientRouters::wait_for_notifications() {
  waiter_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code error) {
    if (error) return;
    read_notifications();
    wait_for_notifications();
  });
}

void ClientRouters::wait_for_next_round() {
  timer_.expires_after(kRound);
  timer_.async_wait([this](error_code cancelled) {
    if (cancelled) return;
    if (is_stale_) survey();
    use_gateways();
    wait_for_next_round();
  });
}

void ClientRouters::read_notifications() {
  const auto messages = notifications_.poll();
  if (!messages) return survey();  // some were lost
  for (const netlink::Message& message : *messages) apply(message);
}

void ClientRouters::survey() {
  std::vector<netlink::Message> all;
  is_stale_ = true;  // until all of it is read: what is known stays
  for (const auto dump : {netlink::dump_links, netlink::dump_neighbors, netlink::dump_routes}) {
    auto messages = queries_.ask(dump(queries_.next_sequence()));
    if (!messages) return;
    all.insert(all.end(), std::make_move_iterator(messages->begin()), std::make_move_iterator(messages->end()));
  }
  is_stale_ = false;
  links_.clear();
  gateways_.clear();
  for (const netlink::Message& message : all) apply(message);
}

void ClientRouters::apply(const netlink::Message& message) {
  if (const auto* link = std::get_if<netlink::Link>(&message)) apply(*link);
  if (const auto* neighbor = std::get_if<netlink::Neighbor>(&message)) apply(*neighbor);
  if (const auto* route = std::get_if<netlink::Route>(&message)) apply(*route);
}

void ClientRouters::apply(const netlink::Link& link) {
  links_.erase(link.index);
  if (!link.gone && twins_.contains(link.name)) links_.emplace(link.index, link.name);
}

void ClientRouters::apply(const netlink::Neighbor& neighbor) {
  const auto link = links_.find(neighbor.link);
  if (link == links_.end()) return;
  const Station station{link->second, neighbor.address};
  const bool fixed = !neighbor.gone && (neighbor.state & kFixed) != 0;
  if (fixed && fixed_.size() < kMaxStations) fixed_.insert(station);
  if (!fixed) fixed_.erase(station);
  // One that fails or vanishes is still remembered: where it turns up again tells whether it has moved.
  if (neighbor.gone || (neighbor.state & kUsable) == 0 || !neighbor.mac) return;
  if (macs_.size() >= kMaxStations && !macs_.contains(station)) return;
  const auto [known, is_new] = macs_.try_emplace(station, *neighbor.mac);
  if (is_new || known->second == *neighbor.mac) return;
  const RouterMove move{link->second, neighbor.address, known->second, *neighbor.mac};
  known->second = *neighbor.mac;
  moved_(move);
}

void ClientRouters::apply(const netlink::Route& route) {
  if (route.type != RTN_UNICAST) return;
  add_gateway(route.link, route.gateway);
  for (const netlink::RouteHop& hop : route.hops) add_gateway(hop.link, hop.gateway);
}

void ClientRouters::add_gateway(int link, const std::optional<config::IpAddress>& gateway) {
  const auto twin = links_.find(link);
  if (twin == links_.end() || !gateway || gateways_.size() >= kMaxGateways) return;
  const auto [added, is_new] = gateways_.emplace(twin->second, *gateway);
  if (is_new) use(link, *added);
}

/// Linux from 5.16 on takes what is used for no longer fixed, and asks for its address.
void ClientRouters::use(int link, const Station& gateway) {
  if (fixed_.contains(gateway)) return;
  (void)queries_.ask(netlink::use_neighbor(link, gateway.second, queries_.next_sequence()));
}

void ClientRouters::use_gateways() {
  for (const Station& gateway : gateways_) {
    const auto link = std::ranges::find(links_, gateway.first, &std::pair<const int, std::string>::second);
    if (link != links_.end()) use(link->first, gateway);
  }
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/announce/vip_routes.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "controlplane/announce/our_protocol.h"
#include "controlplane/base/state_file.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr uint32_t kGroups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

bool is_in(const netlink::Route& route, const VipRoutes::Place& place) {
  return route.table == place.table && route.protocol == place.protocol;
}

bool is_host_route(const netlink::Route& route) {
  return route.prefix_bits == (route.is_v4 ? 32 : 128);
}

/// What it stands for, if it is one that we would make.
std::optional<VipRoute> vip_route(const netlink::Route& route) {
  if (route.type != RTN_BLACKHOLE || !is_host_route(route)) return std::nullopt;
  return VipRoute{route.destination, route.metric};
}

std::string refusal(std::string_view what, const config::IpAddress& address, uint32_t table, int error) {
  return fmt::format("{} the route to {} in table {}: {}", what, address.to_string(), table, std::strerror(error));
}

/// Where routes of ours may lie, as a process before us wrote it down. What makes no sense is left out.
std::vector<VipRoutes::Place> places_from(const std::string& text) {
  std::vector<VipRoutes::Place> out;
  const json whole = json::parse(text, nullptr, false);
  for (const json& each : whole.is_array() ? whole : json::array()) {
    if (!each.is_object() || !each.contains("table") || !each.contains("protocol")) continue;
    const auto protocol = our_protocol(each["protocol"]);
    if (!protocol || !each["table"].is_number_unsigned()) continue;
    const auto table = each["table"].get<uint64_t>();
    if (table > UINT32_MAX) continue;
    out.push_back({static_cast<uint32_t>(table), *protocol});
  }
  return out;
}

}  // namespace

VipRoutes::VipRoutes(boost::asio::io_context& io, Journal& journal, const std::string& state_directory)
    : journal_(journal),
      path_(state_directory + "/routes.json"),
      queries_(0),
      upkeep_(io, journal, kGroups, "routes",
              {.concerns_us = [this](const netlink::Message& message) { return concerns_us(message); },
               .settle = [this] { return settle(); }}) {
  queries_.be_strict();
}

std::set<VipRoute> VipRoutes::start(std::optional<Place> place) {
  const auto kept = read_state(path_);
  if (const std::optional<std::string> text = kept.value_or(std::nullopt)) former_ = places_from(*text);
  follow(place);
  upkeep_.start();
  std::set<VipRoute> out;
  const auto found = place_ ? list(*place_) : std::vector<netlink::Route>{};
  if (!found) return out;
  for (const netlink::Route& route : *found)
    if (const auto known = vip_route(route)) out.insert(*known);
  return out;
}

void VipRoutes::follow(std::optional<Place> place) {
  if (place == place_) return;
  if (place_) former_.push_back(*place_);
  place_ = place;
  std::erase_if(former_, [&](const Place& each) { return each == place; });
  remember();  // before there is a route that nobody knows of
  made_.clear();
}

void VipRoutes::want(std::set<VipRoute> routes) {
  if (wanted_ == routes && fault().empty() && former_.empty()) return;
  wanted_ = std::move(routes);
  upkeep_.settle();
}

/// Of all the routes of a router's kernel, those of our table alone matter.
bool VipRoutes::concerns_us(const netlink::Message& message) const {
  const auto* route = std::get_if<netlink::Route>(&message);
  return route != nullptr && place_ && route->table == place_->table;
}

std::expected<std::vector<netlink::Route>, std::string> VipRoutes::list(const Place& place) {
  std::vector<netlink::Route> out;
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    const auto answer = queries_.ask(netlink::dump_routes(family, place.table, queries_.next_sequence()));
    if (!answer && answer.error() == ENOENT) continue;  // the table has no route
    if (!answer) return std::unexpected(fmt::format("table {}: {}", place.table, std::strerror(answer.error())));
    for (const netlink::Message& message : *answer)
      if (const auto* route = std::get_if<netlink::Route>(&message); route != nullptr && is_in(*route, place))
        out.push_back(*route);
  }
  return out;
}

void VipRoutes::remember() {
  json text = json::array();
  const auto add = [&](const Place& place) { text.push_back({{"table", place.table}, {"protocol", place.protocol}}); };
  if (place_) add(*place_);
  std::ranges::for_each(former_, add);
  const std::string whole = text.dump() + "\n";
  if (const auto before = read_state(path_); before && *before == whole) return;
  if (const auto saved = save_state(path_, whole); !saved)
    journal_.record(Severity::kWarning, "control", "state", saved.error());
}

std::optional<std::string> VipRoutes::settle() {
  if (!wanted_) return std::nullopt;
  std::string fault = place_ ? settle(*place_, *wanted_) : "";
  settle_former(fault);  // after the new ones are there
  return fault;
}

void VipRoutes::settle_former(std::string& fault) {
  const auto cleared = std::erase_if(former_, [&](const Place& place) {
    const std::string left = settle(place, {});
    if (fault.empty()) fault = left;
    return left.empty();
  });
  if (cleared != 0) remember();
}

std::string VipRoutes::settle(const Place& place, const std::set<VipRoute>& wanted) {
  const auto found = list(place);
  if (!found) return found.error();
  std::set<VipRoute> missing = wanted;
  std::vector<netlink::Route> strays;
  for (const netlink::Route& route : *found) {
    const auto known = vip_route(route);
    if (!known || !wanted.contains(*known)) strays.push_back(route);
    if (known) missing.erase(*known);
  }
  std::string fault;
  const auto note = [&](const std::string& what) {
    if (fault.empty()) fault = what;
  };
  std::set<VipRoute> made = wanted;
  size_t remade = 0;
  for (const VipRoute& route : missing) {
    const auto others = std::ranges::stable_partition(strays, [&](const netlink::Route& stray) {
      const bool goes_first = place.table <= kLastTableOfFrr || stray.metric == route.metric;
      return !goes_first || !is_host_route(stray) || stray.destination != route.vip;
    });
    const std::string refused = make(place, route, {others.begin(), others.end()});
    strays.erase(others.begin(), others.end());
    note(refused);
    if (!refused.empty()) {
      made.erase(route);
    } else if (place == place_ && made_.contains(route)) {
      remade++;
    }
  }
  for (const netlink::Route& route : strays) note(remove(route));  // after all that is wanted is there
  if (place == place_) made_ = std::move(made);
  upkeep_.count_remade(remade);
  return fault;
}

std::string VipRoutes::make(const Place& place, const VipRoute& route, const std::vector<netlink::Route>& others) {
  std::vector<netlink::Bytes> requests;
  requests.reserve(others.size() + 1);
  for (const netlink::Route& other : others) requests.push_back(netlink::delete_route(other, queries_.next_sequence()));
  requests.push_back(
      netlink::add_blackhole(route.vip, place.table, place.protocol, route.metric, queries_.next_sequence()));
  const auto answers = queries_.ask_all(requests);
  const int error = answers ? answers->back() : answers.error();
  return error == 0 ? "" : refusal("cannot make", route.vip, place.table, error);
}

std::string VipRoutes::remove(const netlink::Route& route) {
  const auto answer = queries_.ask(netlink::delete_route(route, queries_.next_sequence()));
  const bool is_gone = answer || answer.error() == ESRCH || answer.error() == ENOENT;
  return is_gone ? "" : refusal("cannot remove", route.destination, route.table, answer.error());
}

}  // namespace sluice::control

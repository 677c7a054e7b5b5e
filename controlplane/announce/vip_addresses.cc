// SPDX-License-Identifier: Apache-2.0
#include "controlplane/announce/vip_addresses.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>

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

constexpr uint32_t kGroups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;

bool is_whole(const netlink::InterfaceAddress& address) {
  return address.prefix_bits == (address.address.is_v4() ? 32 : 128);
}

std::string refusal(std::string_view what, const config::IpAddress& address, const std::string& twin,
                    std::string_view why) {
  return fmt::format("cannot {} {} on {}: {}", what, address.to_string(), twin, why);
}

/// Where addresses of ours may be, as a process before us wrote it down. What makes no sense is left out.
std::map<VipAddresses::Place, std::set<config::IpAddress>> places_from(const std::string& text) {
  std::map<VipAddresses::Place, std::set<config::IpAddress>> out;
  const json whole = json::parse(text, nullptr, false);
  for (const json& each : whole.is_array() ? whole : json::array()) {
    if (!each.is_object() || !each.contains("twin") || !each.contains("protocol")) continue;
    const auto protocol = our_protocol(each["protocol"]);
    if (!protocol || !each["twin"].is_string()) continue;
    auto& addresses = out[{each["twin"].get<std::string>(), *protocol}];
    if (!each.contains("addresses") || !each["addresses"].is_array()) continue;
    for (const json& address : each["addresses"]) {
      if (!address.is_string()) continue;
      if (const auto known = config::IpAddress::parse(address.get<std::string>())) addresses.insert(*known);
    }
  }
  return out;
}

}  // namespace

VipAddresses::VipAddresses(boost::asio::io_context& io, Journal& journal, const std::string& state_directory)
    : journal_(journal),
      path_(state_directory + "/addresses.json"),
      queries_(0),
      teller_(io),
      upkeep_(io, journal, kGroups, "addresses",
              {.concerns_us = [this](const netlink::Message& message) { return concerns_us(message); },
               .settle = [this] { return settle(); }}) {}

std::set<config::IpAddress> VipAddresses::start(std::set<Place> places) {
  const auto kept = read_state(path_);
  if (const std::optional<std::string> text = kept.value_or(std::nullopt)) remembered_ = places_from(*text);
  for (const auto& [place, addresses] : remembered_) former_.insert(place);
  follow(std::move(places));
  upkeep_.start();
  std::set<config::IpAddress> out;
  const auto kernel = look();
  if (!kernel) return out;
  for (const Place& place : places_) {
    const auto twin = kernel->twins.find(place.twin);
    if (twin == kernel->twins.end()) continue;
    for (const netlink::InterfaceAddress& address : twin->second.addresses)
      if (is_ours(place, address, kernel->keeps_protocols)) out.insert(address.address);
  }
  return out;
}

void VipAddresses::stop() {
  upkeep_.stop();
  teller_.stop();
}

void VipAddresses::follow(std::set<Place> places) {
  if (places == places_) return;
  former_.insert(places_.begin(), places_.end());
  places_ = std::move(places);
  std::erase_if(former_, [this](const Place& each) { return places_.contains(each); });
  remember();  // before there is an address that nobody knows of
}

void VipAddresses::want(Wanted vips) {
  if (wanted_ == vips && fault().empty() && former_.empty()) return;
  wanted_ = std::move(vips);
  upkeep_.settle();
}

void VipAddresses::tell_again(const std::string& twin) {
  for (auto& [place, done] : done_)
    if (place.twin == twin) done.told.clear();
  upkeep_.settle();
}

bool VipAddresses::concerns_us(const netlink::Message& message) const {
  if (const auto* address = std::get_if<netlink::InterfaceAddress>(&message)) return links_.contains(address->link);
  const auto* link = std::get_if<netlink::Link>(&message);
  if (link == nullptr) return false;
  const auto is_its = [&](const Place& place) { return place.twin == link->name; };
  return links_.contains(link->index) || std::ranges::any_of(places_, is_its);
}

std::expected<VipAddresses::Kernel, std::string> VipAddresses::look() {
  const auto links = queries_.ask(netlink::dump_links(queries_.next_sequence()));
  const auto addresses = queries_.ask(netlink::dump_addresses(queries_.next_sequence()));
  if (!links) return std::unexpected(fmt::format("interfaces: {}", std::strerror(links.error())));
  if (!addresses) return std::unexpected(fmt::format("addresses: {}", std::strerror(addresses.error())));
  std::set<std::string> names;
  for (const auto* places : {&places_, &former_})
    for (const Place& place : *places) names.insert(place.twin);
  Kernel out;
  std::map<int, Twin*> by_index;
  for (const netlink::Message& message : *links) {
    const auto* link = std::get_if<netlink::Link>(&message);
    if (link == nullptr || !names.contains(link->name)) continue;
    by_index[link->index] = &out.twins.insert_or_assign(link->name, Twin{*link, {}}).first->second;
  }
  for (const netlink::Message& message : *addresses) {
    const auto* address = std::get_if<netlink::InterfaceAddress>(&message);
    if (address == nullptr) continue;
    out.keeps_protocols |= address->protocol != 0;  // the kernel's own have one, that of the loopback device too
    if (const auto twin = by_index.find(address->link); twin != by_index.end())
      twin->second->addresses.push_back(*address);
  }
  links_.clear();
  for (const auto& [index, twin] : by_index) links_.insert(index);
  return out;
}

bool VipAddresses::is_ours(const Place& place, const netlink::InterfaceAddress& address, bool keeps_protocols) const {
  if (!is_whole(address)) return false;
  if (keeps_protocols) return address.protocol == place.protocol;
  const auto known = remembered_.find(place);
  return known != remembered_.end() && known->second.contains(address.address);
}

void VipAddresses::remember() {
  Made now;
  for (const auto* places : {&places_, &former_}) {
    for (const Place& place : *places) {
      const auto before = remembered_.find(place);
      now[place] = before == remembered_.end() ? std::set<config::IpAddress>{} : before->second;
    }
  }
  if (wanted_) {
    for (const Place& place : places_) {
      for (const auto& [vip, is_wanted] : *wanted_)
        if (is_wanted) now[place].insert(vip);
    }
  }
  if (now == remembered_) return;
  remembered_ = std::move(now);
  json text = json::array();
  for (const auto& [place, addresses] : remembered_) {
    json names = json::array();
    for (const config::IpAddress& address : addresses) names.push_back(address.to_string());
    text.push_back({{"twin", place.twin}, {"protocol", place.protocol}, {"addresses", std::move(names)}});
  }
  if (const auto saved = save_state(path_, text.dump() + "\n"); !saved)
    journal_.record(Severity::kWarning, "control", "state", saved.error());
}

std::optional<std::string> VipAddresses::settle() {
  if (!wanted_) return std::nullopt;
  std::string fault = settle_former();  // first: of one twin's addresses only the number may have changed
  if (places_.empty()) return fault;
  const auto kernel = look();
  if (!kernel) return kernel.error();
  for (const Place& place : places_) {
    const std::string own = settle(place, *kernel, *wanted_);
    if (fault.empty()) fault = own;
  }
  remember();
  return fault;
}

std::string VipAddresses::settle_former() {
  if (former_.empty()) return "";
  const auto kernel = look();
  if (!kernel) return kernel.error();
  std::string fault;
  std::set<Place> left;
  for (const Place& place : former_) {
    const std::string own = settle(place, *kernel, {});
    if (!own.empty()) left.insert(place);
    if (fault.empty()) fault = own;
    done_.erase(place);
  }
  former_ = std::move(left);
  remember();
  return fault;
}

std::string VipAddresses::settle(const Place& place, const Kernel& kernel, const Wanted& wanted) {
  const auto found = kernel.twins.find(place.twin);
  if (found == kernel.twins.end()) {
    done_.erase(place);
    return "";
  }
  const auto& [link, addresses] = found->second;
  Done& done = done_[place];
  if (std::exchange(done.link, link.index) != link.index) done = {.link = link.index, .made = {}, .told = {}};
  if (!link.up) done.told.clear();
  std::string fault;
  const auto note = [&](const std::string& what) {
    if (fault.empty()) fault = what;
  };
  std::set<config::IpAddress> missing, ours;
  for (const auto& [vip, is_wanted] : wanted)
    if (is_wanted) missing.insert(vip);
  for (const netlink::InterfaceAddress& address : addresses) {
    const auto vip = wanted.find(address.address);
    if (!is_ours(place, address, kernel.keeps_protocols)) {
      if (vip == wanted.end()) continue;
      missing.erase(address.address);
      note(fmt::format("{} on {} is somebody else's: it stays, whether the VIP is in service or not",
                       address.address.to_string(), place.twin));
    } else if (vip != wanted.end() && vip->second) {
      missing.erase(address.address);
      ours.insert(address.address);
    } else {
      note(remove(place, address));
    }
  }
  const std::set<config::IpAddress> before = std::exchange(done.made, std::move(ours));
  if (!link.up) return fault;
  remember();
  note(make(place, link, missing, done));
  upkeep_.count_remade(static_cast<size_t>(std::ranges::count_if(
      missing, [&](const config::IpAddress& vip) { return before.contains(vip) && done.made.contains(vip); })));
  note(tell(place, link, done));
  return fault;
}

std::string VipAddresses::make(const Place& place, const netlink::Link& link,
                               const std::set<config::IpAddress>& missing, Done& done) {
  std::string fault;
  for (const config::IpAddress& vip : missing) {
    done.told.erase(vip);
    const auto answer = queries_.ask(netlink::add_address(link.index, vip, place.protocol, queries_.next_sequence()));
    if (answer) {
      done.made.insert(vip);
    } else if (fault.empty()) {
      fault = refusal("put", vip, place.twin, std::strerror(answer.error()));
    }
  }
  return fault;
}

std::string VipAddresses::remove(const Place& place, const netlink::InterfaceAddress& address) {
  teller_.forget(address.link, address.address);
  const auto answer = queries_.ask(netlink::delete_address(address, queries_.next_sequence()));
  const bool is_gone = answer || answer.error() == EADDRNOTAVAIL || answer.error() == ENODEV;
  return is_gone ? "" : refusal("remove", address.address, place.twin, std::strerror(answer.error()));
}

std::string VipAddresses::tell(const Place& place, const netlink::Link& link, Done& done) {
  std::erase_if(done.told, [&](const config::IpAddress& vip) { return !done.made.contains(vip); });
  std::string fault;
  for (const config::IpAddress& vip : done.made) {
    if (done.told.contains(vip) || !link.mac) continue;
    const std::string why = teller_.tell(link.index, *link.mac, vip);
    if (why.empty()) done.told.insert(vip);
    if (fault.empty() && !why.empty()) fault = refusal("tell the link of", vip, place.twin, why);
  }
  return fault;
}

}  // namespace sluice::control

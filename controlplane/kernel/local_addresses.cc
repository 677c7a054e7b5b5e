// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/local_addresses.h"

#include <linux/rtnetlink.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace sluice::control {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr uint32_t kGroups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;

}  // namespace

LocalAddresses::LocalAddresses(asio::io_context& io, Changed changed)
    : changed_(std::move(changed)),
      queries_(0),
      notifications_(kGroups),
      waiter_(io, dup(notifications_.fd())),
      timer_(io) {}

void LocalAddresses::presume(const std::vector<LocalAddress>& earlier) {
  for (const LocalAddress& address : earlier) known_.emplace(address, Clock::now());
}

void LocalAddresses::follow(const config::Config& config) {
  twins_.clear();
  vips_.clear();
  for (const config::Port& port : config.dataplane.ports) {
    if (port.faces != config::Faces::kClients) twins_.insert(port.twin);
  }
  for (const config::Service& service : config.services) vips_.push_back(service.vip);
  std::ranges::sort(vips_);
  of_peers_ = {config.fleet.peers.addresses.begin(), config.fleet.peers.addresses.end()};
  survey();
}

void LocalAddresses::start() {
  wait_for_notifications();
}

void LocalAddresses::stop() {
  error_code ignored;
  waiter_.close(ignored);
  timer_.cancel();
}

void LocalAddresses::wait_for_notifications() {
  waiter_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code error) {
    if (error) return;
    (void)notifications_.poll();  // what changed does not matter: there are few addresses, all are looked at again
    survey();
    wait_for_notifications();
  });
}

void LocalAddresses::survey() {
  const auto links = queries_.ask(netlink::dump_links(queries_.next_sequence()));
  const auto addresses = queries_.ask(netlink::dump_addresses(queries_.next_sequence()));
  if (!links || !addresses) return survey_later();
  std::map<int, std::string> twin_by_link;
  for (const netlink::Message& message : *links) {
    const auto* link = std::get_if<netlink::Link>(&message);
    if (link == nullptr || link->gone) continue;
    if (twins_.contains(link->name)) twin_by_link.emplace(link->index, link->name);
  }
  std::set<LocalAddress> present;
  for (const netlink::Message& message : *addresses) {
    const auto* found = std::get_if<netlink::InterfaceAddress>(&message);
    if (found == nullptr || !found->usable || std::ranges::binary_search(vips_, found->address)) continue;
    const auto twin = twin_by_link.find(found->link);
    if (twin != twin_by_link.end() && !of_peers_.contains(found->address))
      present.insert({twin->second, found->address});
  }
  for (const config::IpAddress& address : of_peers_) present.insert({"", address});
  for (auto& [address, missed] : known_) {
    if (present.erase(address) != 0) {
      missed.reset();
    } else if (!missed) {
      missed = Clock::now();
    }
  }
  for (const LocalAddress& address : present) known_.emplace(address, std::nullopt);
  settle();
}

void LocalAddresses::survey_later() {
  timer_.expires_after(kGrace / 5);
  timer_.async_wait([this](error_code cancelled) {
    if (!cancelled) survey();
  });
}

void LocalAddresses::settle() {
  std::erase_if(known_, [](const auto& entry) { return entry.second && Clock::now() - *entry.second >= kGrace; });
  std::vector<LocalAddress> now;
  bool is_any_missed = false;
  for (const auto& [address, missed] : known_) {
    now.push_back(address);
    is_any_missed |= missed.has_value();
  }
  if (is_any_missed) survey_later();
  if (now == reported_) return;
  reported_ = now;
  changed_(now);
}

}  // namespace sluice::control

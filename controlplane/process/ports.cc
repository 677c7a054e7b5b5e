// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "controlplane/channel/published_ports.h"

namespace sluice::control {

Ports::Ports(boost::asio::io_context& io, Model& model, const ChannelClient& channel, Neighbors& neighbors,
             Journal& journal, std::function<void()> changed)
    : model_(model),
      channel_(channel),
      neighbors_(neighbors),
      journal_(journal),
      changed_(std::move(changed)),
      timer_(io) {}

void Ports::follow(std::vector<config::Port> ours) {
  ours_ = std::move(ours);
  std::set<std::string> twins;
  for (const config::Port& port : ours_) twins.insert(port.twin);
  neighbors_.follow_twins(std::move(twins));
  if (channel_.mapping() == nullptr) {
    model_.set_ports(assume_ports(ours_));
  } else {
    look();
  }
}

void Ports::start() {
  wait();
}

void Ports::stop() {
  timer_.cancel();
}

void Ports::wait() {
  timer_.expires_after(kPeriod);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    look();
    wait();
  });
}

void Ports::look() {
  const ChannelMapping* mapping = channel_.mapping();
  if (mapping == nullptr) return;
  const std::vector<PublishedPort> theirs = published_ports(*mapping);
  tell_moments(theirs);
  tell_members(theirs);
  tell_steering(theirs);
  auto now = bind_ports(ours_, theirs, [this](const std::string& twin) { return neighbors_.mac_of(twin); });
  if (now == model_.ports()) return;
  const std::vector<BoundPort> before = model_.ports();
  std::set<std::string> down;
  for (const BoundPort& port : now) {
    if (!port.link_up) down.insert(port.twin);
  }
  neighbors_.set_links_down(std::move(down));
  tell_differences(before, now);
  if (model_.set_ports(std::move(now))) changed_();
}

void Ports::tell_differences(const std::vector<BoundPort>& before, const std::vector<BoundPort>& now) {
  for (const BoundPort& port : now) {
    const auto earlier = std::ranges::find(before, port.name, &BoundPort::name);
    const BoundPort none{.name = port.name};
    const BoundPort& old = earlier == before.end() ? none : *earlier;
    if (!port.fault.empty() && port.fault != old.fault) {
      journal_.record(Severity::kError, "port", port.name, "no backend is reached through it: " + port.fault);
    } else if (port.fault.empty() && !old.fault.empty()) {
      journal_.record(Severity::kInfo, "port", port.name, "it is the data plane's again");
    }
    if (port.link_up != old.link_up) on_link_(port.name, port.link_up);
  }
}

void Ports::tell_moments(const std::vector<PublishedPort>& theirs) {
  std::map<std::string, uint64_t> now;
  for (const PublishedPort& port : theirs) {
    now.emplace(port.name, port.link_changes);
    const auto before = link_changes_.find(port.name);
    if (before != link_changes_.end() && port.link_changes >= before->second + 2) {
      journal_.record(Severity::kWarning, "port", port.name, "its link went and came back between two looks at it");
    }
  }
  link_changes_ = std::move(now);
}

void Ports::tell_steering(const std::vector<PublishedPort>& theirs) {
  decltype(steering_) now;
  for (const PublishedPort& port : theirs) {
    now.emplace(port.name, port.steering);
    const auto before = steering_.find(port.name);
    if (before != steering_.end() && before->second == port.steering) continue;
    if (port.steering == channel::Steering::kSteers && before != steering_.end()) {
      journal_.record(Severity::kInfo, "port", port.name,
                      port.driver + " is proven to put packets before the worker that has their flow");
    } else if (port.steering == channel::Steering::kMisplaces) {
      const auto fault = static_cast<size_t>(port.steering_fault);
      journal_.record(Severity::kWarning, "port", port.name,
                      fmt::format("{} puts packets before other workers than the one that has their flow: {}; workers "
                                  "hand them over",
                                  port.driver, channel::kSteeringFaultText[fault]));
    }
  }
  steering_ = std::move(now);
}

void Ports::tell_members(const std::vector<PublishedPort>& theirs) {
  decltype(member_links_) now;
  for (const PublishedPort& port : theirs) {
    for (const PublishedMember& member : port.members) {
      const auto& [known, fresh] = *now.emplace(std::pair(port.name, member.device), member.link_up).first;
      const auto before = member_links_.find(known);
      if (before == member_links_.end() || before->second == fresh) continue;
      journal_.record(fresh ? Severity::kInfo : Severity::kWarning, "port", port.name,
                      fmt::format("{}, of its bond: link {}", member.device, fresh ? "up" : "down"));
    }
  }
  member_links_ = std::move(now);
}

}  // namespace sluice::control

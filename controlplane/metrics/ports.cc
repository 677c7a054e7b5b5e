// SPDX-License-Identifier: Apache-2.0
//
// Ports: link and card counters as the data plane publishes them. The counters' names are the contract's.
#include <fmt/format.h>

#include <algorithm>

#include "controlplane/base/mac_address.h"
#include "controlplane/metrics/metrics.h"

namespace sluice::control {

namespace {

constexpr double kBytesPerMbit = 125'000;

std::string labels_of(const PublishedPort& port) {
  return joined(label("port", port.name), label("twin", port.twin));
}

void write_members(MetricsWriter& writer, std::span<const PublishedPort> published) {
  const auto write = [&](const char* name, const char* help, bool PublishedMember::* figure) {
    if (std::ranges::all_of(published, [](const PublishedPort& port) { return port.members.empty(); })) return;
    writer.begin(name, MetricType::kGauge, help);
    for (const PublishedPort& port : published) {
      for (const PublishedMember& member : port.members)
        writer.add(labels_of(port), member.*figure ? 1.0 : 0.0, label("member", member.device));
    }
  };
  write("sluice_port_member_link_up", "1 while this device of a bond has a link", &PublishedMember::link_up);
  write("sluice_port_member_carries", "1 while packets go through this device of a bond", &PublishedMember::carries);
}

/// Of the ports that are to steer.
void write_steering(MetricsWriter& writer, std::span<const PublishedPort> published) {
  const auto is_meant = [](const PublishedPort& port) { return port.steering != channel::Steering::kNotMeant; };
  if (std::ranges::none_of(published, is_meant)) return;
  writer.begin("sluice_port_steering", MetricType::kGauge,
               "1 for what is known of the card: whether it puts packets before the worker that has their flow");
  for (const PublishedPort& port : published) {
    for (size_t i = 1; is_meant(port) && i < channel::kSteeringName.size(); i++) {
      writer.add(labels_of(port), static_cast<size_t>(port.steering) == i ? 1.0 : 0.0,
                 label("state", channel::kSteeringName[i]));
    }
  }
  writer.begin("sluice_port_rss_misplaced_total", MetricType::kCounter,
               "packets that the card was to steer, and put before another worker, which has handed them over");
  for (const PublishedPort& port : published) {
    if (is_meant(port)) writer.add(labels_of(port), port.rss_misplaced);
  }
}

}  // namespace

void write_ports(MetricsWriter& writer, std::span<const PublishedPort> published, std::span<const BoundPort> ours) {
  if (published.empty()) return;
  writer.begin("sluice_port_info", MetricType::kGauge, "always 1; what the port is");
  for (const PublishedPort& port : published) {
    writer.add(labels_of(port), 1.0, joined(label("driver", port.driver), label("mac", to_string(port.mac))));
  }
  writer.begin("sluice_port_link_up", MetricType::kGauge, "1 while the card has a link");
  for (const PublishedPort& port : published) writer.add(labels_of(port), port.link_up ? 1.0 : 0.0);
  writer.begin("sluice_port_link_speed_bytes", MetricType::kGauge,
               "speed of the link, in bytes a second; 0 if down or unknown");
  for (const PublishedPort& port : published) {
    writer.add(labels_of(port), kBytesPerMbit * static_cast<double>(port.link_up ? port.speed_mbps : 0));
  }
  writer.begin("sluice_port_link_changes_total", MetricType::kCounter, "times that the link went or came");
  for (const PublishedPort& port : published) writer.add(labels_of(port), port.link_changes);
  for (size_t i = 0; i < channel::kPortCounterCount; i++) {
    const channel::PortCounterInfo& info = channel::kPortCounterInfo[i];
    writer.begin(fmt::format("sluice_port_{}_total", info.name), MetricType::kCounter, info.help);
    for (const PublishedPort& port : published) writer.add(labels_of(port), port.counters[i]);
  }
  write_members(writer, published);
  write_steering(writer, published);
  writer.begin("sluice_port_refused", MetricType::kGauge,
               "1 if nothing is sent through this port of our configuration, as the data plane has it otherwise");
  for (const BoundPort& port : ours) {
    writer.add(joined(label("port", port.name), label("twin", port.twin)), port.fault.empty() ? 0.0 : 1.0);
  }
}

}  // namespace sluice::control

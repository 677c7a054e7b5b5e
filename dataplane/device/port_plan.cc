// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/port_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice {
namespace {

const char* rss_name(const PortPlan& plan) {
  if (plan.rss_types == 0) return "no RSS";
  return plan.steering.steers ? "RSS by client" : "RSS";
}

}  // namespace

PortPlan plan_port(const DeviceCapabilities& device, Faces faces, uint32_t workers) {
  PortPlan plan;
  const uint32_t pairs = std::min<uint32_t>(device.receive_queues_max, device.transmit_queues_max);
  plan.receive_queues = plan.transmit_queues = static_cast<uint16_t>(std::clamp<uint32_t>(workers, 1, pairs));
  if (workers > 1 && pairs < workers) {
    plan.why_not = fmt::format("it has {} queue{} for {} workers", pairs, pairs == 1 ? "" : "s", workers);
  } else if (workers > 1) {
    plan.steering = plan_steering(device.rss, faces, workers, plan.why_not);
  }
  if (plan.steering.steers) {
    plan.rss_types = plan.steering.types;
    // Of each packet's hash is seen what the card has made of it.
    plan.receive_offloads = device.receive_offloads & RTE_ETH_RX_OFFLOAD_RSS_HASH;
  } else if (plan.receive_queues > 1) {
    plan.rss_types = device.rss.types & kRssTcp;
  }
  if (!device.queues_in_pairs) {
    plan.transmit_queues = static_cast<uint16_t>(std::clamp<uint32_t>(workers, 1, device.transmit_queues_max));
  }
  plan.drop_when_full = plan.receive_queues > 1;
  // Fast free returns all of a queue's packets to one pool. With one worker there is only one; with more, a worker
  // may send what another received.
  if (workers == 1) plan.transmit_offloads |= device.transmit_offloads & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
  return plan;
}

std::string describe(const PortPlan& plan) {
  const auto plural = [](uint16_t n, const char* what) {
    return fmt::format("{} {} queue{}", n, what, n == 1 ? "" : "s");
  };
  return fmt::format("{} and {}, {}", plural(plan.receive_queues, "receive"), plural(plan.transmit_queues, "transmit"),
                     rss_name(plan));
}

}  // namespace sluice

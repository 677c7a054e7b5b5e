// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/port_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice {
namespace {

constexpr uint64_t kRssTcp = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;

const char* rss_name(const PortPlan& plan) {
  if (plan.rss_types == 0) return "no RSS";
  return plan.by_client ? "RSS by client" : "RSS";
}

}  // namespace

uint64_t client_rss_types(Faces faces) {
  switch (faces) {
    case Faces::kClients:
      return kRssTcp | RTE_ETH_RSS_L3_SRC_ONLY | RTE_ETH_RSS_L4_SRC_ONLY;
    case Faces::kBackends:
      return kRssTcp | RTE_ETH_RSS_L3_DST_ONLY | RTE_ETH_RSS_L4_DST_ONLY;
    case Faces::kBoth:
      return 0;
  }
  return 0;
}

bool can_spread(const DeviceCapabilities& device, Faces faces, uint32_t workers) {
  const uint64_t rss = client_rss_types(faces);
  return rss != 0 && (device.rss_types & rss) == rss && device.receive_queues_max >= workers &&
         device.transmit_queues_max >= workers;
}

PortPlan plan_port(const DeviceCapabilities& device, Faces faces, uint32_t workers, Spread spread) {
  PortPlan plan;
  const uint32_t pairs = std::min<uint32_t>(device.receive_queues_max, device.transmit_queues_max);
  plan.receive_queues = plan.transmit_queues = static_cast<uint16_t>(std::clamp<uint32_t>(workers, 1, pairs));
  if (spread == Spread::kRss) {
    plan.rss_types = client_rss_types(faces);
    plan.by_client = true;
  } else if (plan.receive_queues > 1) {
    plan.rss_types = device.rss_types & kRssTcp;
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

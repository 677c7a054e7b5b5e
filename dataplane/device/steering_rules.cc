// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/steering_rules.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

namespace sluice {
namespace {

constexpr uint64_t kSides =
    RTE_ETH_RSS_L3_SRC_ONLY | RTE_ETH_RSS_L3_DST_ONLY | RTE_ETH_RSS_L4_SRC_ONLY | RTE_ETH_RSS_L4_DST_ONLY;

rte_flow_item any(rte_flow_item_type type) {
  rte_flow_item out{};
  out.type = type;
  return out;
}

bool is_v6(const SteeringRule& rule) {
  return rule.pattern[1].type == RTE_FLOW_ITEM_TYPE_IPV6;
}

}  // namespace

std::array<SteeringRule, 2> steering_rules(Rules rules, uint64_t types, std::span<const uint8_t> key,
                                           std::span<const uint16_t> queues) {
  const auto of_family = [&](rte_flow_item_type ip, uint64_t addresses, uint64_t tcp) {
    SteeringRule out{{any(RTE_FLOW_ITEM_TYPE_ETH), any(ip), any(RTE_FLOW_ITEM_TYPE_TCP), any(RTE_FLOW_ITEM_TYPE_END)},
                     {}};
    out.rss.func = RTE_ETH_HASH_FUNCTION_DEFAULT;
    out.rss.level = 0;  // the outer packet
    out.rss.types = tcp | (types & (kSides | addresses));
    if (rules != Rules::kWhole) return out;
    out.rss.key = key.data();
    out.rss.key_len = static_cast<uint32_t>(key.size());
    out.rss.queue = queues.data();
    out.rss.queue_num = static_cast<uint32_t>(queues.size());
    return out;
  };
  return {of_family(RTE_FLOW_ITEM_TYPE_IPV4, RTE_ETH_RSS_IPV4, RTE_ETH_RSS_NONFRAG_IPV4_TCP),
          of_family(RTE_FLOW_ITEM_TYPE_IPV6, RTE_ETH_RSS_IPV6, RTE_ETH_RSS_NONFRAG_IPV6_TCP)};
}

std::string make_rules(uint16_t device, std::span<const SteeringRule> rules) {
  rte_flow_attr ingress{};
  ingress.ingress = 1;
  for (const SteeringRule& rule : rules) {
    std::array<rte_flow_action, 2> actions{};
    actions[0].type = RTE_FLOW_ACTION_TYPE_RSS;
    actions[0].conf = &rule.rss;
    actions[1].type = RTE_FLOW_ACTION_TYPE_END;
    rte_flow_error error{};
    if (rte_flow_create(device, &ingress, rule.pattern.data(), actions.data(), &error) != nullptr) continue;
    return fmt::format("the rule for TCP over {}: {}", is_v6(rule) ? "IPv6" : "IPv4",
                       error.message == nullptr ? rte_strerror(rte_errno) : error.message);
  }
  return "";
}

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// rte_flow rules that make a card hash TCP by one side alone, for drivers that do so only when told by rules.
#pragma once

#include <rte_flow.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace sluice {

enum class Rules : uint8_t {
  kNone,
  kTypes,  // they say what is hashed; key and redirection table are the port's
  kWhole,  // they name key and queues as well, which the driver does not take from the port
};

/// All TCP over IPv4, or over IPv6. What it points to outlives it.
struct SteeringRule {
  std::array<rte_flow_item, 4> pattern;  // eth / ipv4 or ipv6 / tcp / end
  rte_flow_action_rss rss;
};

/// A rule for each family. `types`: client_rss_types(), and RTE_ETH_RSS_IPV4 and RTE_ETH_RSS_IPV6 where rules are to
/// say so. `queues`: of each class; laid out as a redirection table.
std::array<SteeringRule, 2> steering_rules(Rules rules, uint64_t types, std::span<const uint8_t> key,
                                           std::span<const uint16_t> queues);

/// Makes them on a device that has been started; they end with it. Returns what was refused, for the log; empty:
/// nothing.
std::string make_rules(uint16_t device, std::span<const SteeringRule> rules);

}  // namespace sluice

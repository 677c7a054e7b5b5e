// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/steering.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "dataplane/flow/owner_table.h"

namespace sluice {
namespace {

constexpr size_t kMostKeyBytes = 255;

/// Drivers that have to be told otherwise than by the types of RSS alone, or cannot be.
struct Driver {
  const char* name;
  Rules rules;
  bool refused = false;
};
constexpr std::array kDrivers{
    // Rules carry over where the card is steered by hardware tables (dv_flow_en = 2), which forget the side that is to
    // be hashed.
    Driver{"mlx5_pci", Rules::kWhole},
    Driver{"net_ice", Rules::kTypes},
    Driver{"net_iavf", Rules::kTypes},
    // One hash for the whole card, front and back alike, of another kind, and not read when it is configured.
    Driver{"net_ntnic", Rules::kNone, true},
};

const Driver* find_driver(const std::string& name) {
  const auto* found = std::ranges::find(kDrivers, name, &Driver::name);
  return found == kDrivers.end() ? nullptr : found;
}

/// A redirection table's groups, as ethdev takes them.
std::vector<rte_eth_rss_reta_entry64> table_of(uint16_t entries, std::span<const uint16_t> queues) {
  std::vector<rte_eth_rss_reta_entry64> groups((entries + RTE_ETH_RETA_GROUP_SIZE - 1U) / RTE_ETH_RETA_GROUP_SIZE);
  for (uint32_t i = 0; i < entries; i++) {
    rte_eth_rss_reta_entry64& group = groups[i / RTE_ETH_RETA_GROUP_SIZE];
    group.mask |= 1ULL << i % RTE_ETH_RETA_GROUP_SIZE;
    group.reta[i % RTE_ETH_RETA_GROUP_SIZE] = queues[i % queues.size()];
  }
  return groups;
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

SteeringPlan plan_steering(const RssCapabilities& device, Faces faces, uint32_t workers, std::string& why_not) {
  const auto cannot = [&](std::string why) {
    why_not = std::move(why);
    return SteeringPlan{};
  };
  const Driver* driver = find_driver(device.driver);
  const uint64_t by_client = client_rss_types(faces);
  const Rules rules = driver == nullptr ? Rules::kNone : driver->rules;
  // What rules are to do has not to be offered as a type.
  const uint64_t needed = rules == Rules::kTypes ? kRssTcp : by_client;
  if (by_client == 0) return cannot("clients and mail servers come by it");
  if (driver != nullptr && driver->refused) return cannot("its card has one hash for all of its ports");
  if ((device.types & needed) != needed) return cannot("it cannot hash by one side alone");
  if (device.key_bytes == 0 || device.key_bytes % 2 != 0) return cannot("it takes no hash key");
  SteeringPlan plan{.steers = true,
                    .types = needed,
                    .key_bytes = device.key_bytes,
                    .table_entries = device.table_entries,
                    .rules = rules};
  if (rules == Rules::kWhole) {
    // Its table has the size that it is written with, up to what it says. One side of addresses it takes for an order
    // only where addresses are among what it is to hash, and IPv6 it hashes by ports only if asked for a type more.
    plan.table_entries = static_cast<uint16_t>(std::min<uint32_t>(kMostClasses, std::bit_floor(device.table_entries)));
    plan.types |= device.types & (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_IPV6_TCP_EX);
  }
  if (!std::has_single_bit(plan.table_entries) || plan.table_entries < workers)
    return cannot(fmt::format("its redirection table has {} entries", plan.table_entries));
  return plan;
}

uint8_t* owner_key() {
  static std::array<uint8_t, kMostKeyBytes> key = [] {
    std::array<uint8_t, kMostKeyBytes> out{};
    for (size_t i = 0; i < out.size(); i++) out[i] = static_cast<uint8_t>(i % 2 == 0 ? kOwnerKey >> 8 : kOwnerKey);
    return out;
  }();
  return key.data();
}

uint32_t classes_for(std::span<const SteeringPlan> ports) {
  uint32_t classes = kMostClasses;
  for (const SteeringPlan& port : ports) {
    if (port.steers) classes = std::min<uint32_t>(classes, port.table_entries);
  }
  return classes;
}

std::string steer(uint16_t device, const SteeringPlan& plan, Faces faces, std::span<const uint16_t> queues) {
  std::vector<rte_eth_rss_reta_entry64> table = table_of(plan.table_entries, queues);
  const int error = rte_eth_dev_rss_reta_update(device, table.data(), plan.table_entries);
  if (error != 0) return fmt::format("its redirection table: {}", rte_strerror(-error));
  if (plan.rules == Rules::kNone) return "";
  const uint64_t types = client_rss_types(faces) | plan.types;
  return make_rules(device, steering_rules(plan.rules, types, {owner_key(), plan.key_bytes}, queues));
}

}  // namespace sluice

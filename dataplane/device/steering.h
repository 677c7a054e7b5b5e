// SPDX-License-Identifier: Apache-2.0
//
// How a card is made to put clients' packets before the worker that owns their flow (flow/owner_table.h): it hashes the
// client's endpoint alone, under our key, and its redirection table deals the hash's classes to queues as flows are
// dealt to workers. Drivers differ in how they are told. What is planned here is pure; steer() tells the card. None of
// it is believed before packets have proven it (worker/rss_check.h).
#pragma once

#include <rte_ethdev.h>

#include <cstdint>
#include <span>
#include <string>

#include "dataplane/device/steering_rules.h"
#include "dataplane/worker/setup.h"

namespace sluice {

/// What a device says of its RSS, of rte_eth_dev_info.
struct RssCapabilities {
  std::string driver;
  uint64_t types = 0;          // RTE_ETH_RSS_*
  uint16_t table_entries = 0;  // of its redirection table
  uint8_t key_bytes = 0;
};

struct SteeringPlan {
  bool steers = false;
  uint64_t types = 0;          // to configure
  uint8_t key_bytes = 0;       // likewise: so many of owner_key()
  uint16_t table_entries = 0;  // to write: a power of two
  Rules rules = Rules::kNone;  // to make after that

  friend bool operator==(const SteeringPlan&, const SteeringPlan&) = default;
};

inline constexpr uint64_t kRssTcp = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;

/// RSS types that hash a TCP packet by its client endpoint alone; 0 for Faces::kBoth, where either side may be the
/// client.
uint64_t client_rss_types(Faces faces);

/// Whether a device, with a queue for each of `workers`, can be told to steer, and how. `why_not`, if it cannot, is for
/// the log: "it cannot hash by one side alone".
SteeringPlan plan_steering(const RssCapabilities& device, Faces faces, uint32_t workers, std::string& why_not);

/// Toeplitz keys of every length begin here. Drivers keep the pointer.
uint8_t* owner_key();

/// In how many classes flows are dealt: as many as the smallest of the tables has entries.
uint32_t classes_for(std::span<const SteeringPlan> ports);

/// Writes the redirection table of a device that has been started, and makes its rules. `queues`: of each class, from
/// the first on. Returns what was refused, for the log; empty: nothing.
std::string steer(uint16_t device, const SteeringPlan& plan, Faces faces, std::span<const uint16_t> queues);

}  // namespace sluice

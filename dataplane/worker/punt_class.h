// SPDX-License-Identifier: Apache-2.0
//
// What is not mail, by class: each has rings of its own to the main lcore, which serves them in this order, and budgets
// of its own, so that a flood of one costs none of the others.
#pragma once

#include <rte_ring.h>

#include <array>
#include <cstdint>

#include "dataplane/contract/ports.h"

namespace sluice {

enum class PuntClass : uint8_t {
  kInfrastructure,  // neighbours, routing protocols, replies to our probes: without them nothing is forwarded
  kLocal,           // what else is for an address of ours
  kRouted,          // to and from the mail servers' own addresses, past the services
  kStrangers,       // to a VIP, but to no service; of other people
  kCount
};

inline constexpr uint32_t kPuntClasses = static_cast<uint32_t>(PuntClass::kCount);

/// Entries of a worker's ring of each class and port; usable: one less. Infrastructure has room for what comes while
/// main is not on its processor for a while; the others for what comes between two of its looks.
inline constexpr std::array<uint32_t, kPuntClasses> kPuntRingEntries{512, 128, 128, 128};

/// A worker's rings to the main lcore: single producer, single consumer; null if there is no twin.
using PuntRings = std::array<std::array<rte_ring*, kPuntClasses>, channel::kMaxPorts>;

}  // namespace sluice

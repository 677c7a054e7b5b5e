// SPDX-License-Identifier: Apache-2.0
//
// The table of a service whose flows are placed in turn (scheduler "wrr"): each member as often as its weight asks
// for, its turns spread evenly over the table (the earliest due comes first), so that no member takes several in a row
// that others could have had in between.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sluice::control {

/// The members' indices in the order of their turns: `entries` of them, member i as often as `entry_shares` gives it.
/// `kNobody` (maglev.h) throughout if no weight is above 0. Cost: entries x log(entries).
std::vector<uint16_t> build_turns(std::span<const uint32_t> weights, uint32_t entries);

}  // namespace sluice::control

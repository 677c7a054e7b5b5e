// SPDX-License-Identifier: Apache-2.0
//
// The table by which a service's new flows are placed: Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4)
// with weights. Pure: the same members give the same table on every node, whatever the order in which they come.
// Each member fills entries along a permutation of its own, made from its name; members take turns, in order of
// their names; a member of weight w takes one turn in every `largest weight / w` rounds (the cumulative targets of
// Katran's MaglevV2 and of Envoy), and stops at its share, so that it is never off by a whole entry.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::control {

/// A member's walk over a table of M entries: offset, offset + skip, offset + 2 skip, ... modulo M.
struct Permutation {
  uint32_t offset = 0;  // < M
  uint32_t skip = 1;    // 1 .. M-1
  friend bool operator==(const Permutation&, const Permutation&) = default;
};

/// The walk of the member called `name`: two hashes (XXH64, seeds 0 and 1) give offset and skip.
Permutation permutation_of(std::string_view name, uint32_t entries);

struct MaglevMember {
  std::string_view name;  // unique among the members
  uint32_t weight = 1;    // 0: gets no entry
};

inline constexpr uint16_t kNobody = 0xffff;

/// The table: for each entry the index of its member in `members` (at most 65535 of them), or `kNobody`
/// throughout if no member has weight. `entries` is a prime. Cost: about entries x ln(entries) steps.
std::vector<uint16_t> build_maglev(std::span<const MaglevMember> members, uint32_t entries);

/// The same from given permutations, for members that take turns in the order given. `weights` and `permutations`
/// are of one length.
std::vector<uint16_t> fill_maglev(std::span<const uint32_t> weights, std::span<const Permutation> permutations,
                                  uint32_t entries);

/// How many of `entries` each weight is worth: its share rounded down or up, so that all together are `entries`
/// (largest remainders are rounded up, the earlier of equals first). All 0 if no weight is above 0.
std::vector<uint32_t> entry_shares(std::span<const uint32_t> weights, uint32_t entries);

}  // namespace sluice::control

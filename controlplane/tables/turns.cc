// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/turns.h"

#include <algorithm>

#include "controlplane/tables/maglev.h"

namespace sluice::control {

std::vector<uint16_t> build_turns(std::span<const uint32_t> weights, uint32_t entries) {
  struct Turn {
    double due;  // as a share of the table
    uint16_t member;
  };
  const std::vector<uint32_t> shares = entry_shares(weights, entries);
  std::vector<Turn> turns;
  turns.reserve(entries);
  for (size_t i = 0; i < shares.size(); i++) {
    for (uint32_t k = 0; k < shares[i]; k++) turns.push_back({(k + 0.5) / shares[i], static_cast<uint16_t>(i)});
  }
  std::ranges::sort(turns,
                    [](const Turn& a, const Turn& b) { return a.due != b.due ? a.due < b.due : a.member < b.member; });
  std::vector<uint16_t> out(entries, kNobody);
  std::ranges::transform(turns, out.begin(), &Turn::member);
  return out;
}

}  // namespace sluice::control

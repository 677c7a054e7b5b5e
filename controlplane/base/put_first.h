// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::control {

/// Brings the `most` rows that come before all others, or all there are, to the front, in order. Returns how many.
template <typename Row, typename Before>
size_t put_first(std::vector<Row>& rows, uint64_t most, Before before) {
  const auto shown = static_cast<size_t>(std::min<uint64_t>(rows.size(), most));
  std::ranges::partial_sort(rows, rows.begin() + static_cast<ptrdiff_t>(shown), before);
  return shown;
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// How long changes took, counted into fixed ranges.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace sluice::control {

struct LatencyHistogram {
  /// In seconds, rising. The last bucket, which has none, counts the rest.
  static constexpr std::array<double, 11> kBounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                  0.01,   0.025,   0.1,    1,     10};

  std::array<uint64_t, kBounds.size() + 1> buckets{};
  double sum_seconds = 0;

  void add(std::chrono::microseconds latency) {
    const double seconds = std::chrono::duration<double>(latency).count();
    const auto* bound = std::ranges::lower_bound(kBounds, seconds);
    buckets[static_cast<size_t>(bound - kBounds.begin())]++;
    sum_seconds += seconds;
  }
};

}  // namespace sluice::control

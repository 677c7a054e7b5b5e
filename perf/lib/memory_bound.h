// SPDX-License-Identifier: Apache-2.0
//
// What any table of a footprint has to pay for its lines: random 64-byte lines of the worker's own flow memory, each
// prefetched as far ahead of its use as the worker does, and nothing done with them.
#pragma once

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace sluice::perf {

class MemoryBound {
 public:
  /// `ahead`: prefetches under way. The memory outlives this.
  MemoryBound(std::span<const std::byte> memory, uint32_t ahead) : memory_(memory), ahead_(ahead), lines_(kBatch) {}

  /// TSC cycles for a line, over at least `lines` of them.
  double cycles_per_line(uint32_t lines) {
    uint64_t cycles = 0;
    uint32_t read = 0;
    while (read < lines) {
      draw();
      const uint64_t begin = rte_rdtsc();
      touch();
      cycles += rte_rdtsc() - begin;
      read += kBatch;
    }
    return static_cast<double>(cycles) / read;
  }

 private:
  static constexpr uint32_t kBatch = 1U << 14;
  static constexpr size_t kLineBytes = 64;

  void draw() {
    std::uniform_int_distribution<uint32_t> any(0, static_cast<uint32_t>(memory_.size() / kLineBytes - 1));
    for (uint32_t& line : lines_) line = any(random_);
  }

  [[gnu::noinline]] void touch() {
    const std::byte* const memory = memory_.data();
    uint64_t sum = 0;
    for (uint32_t i = 0; i < kBatch; i++) {
      if (i + ahead_ < kBatch) rte_prefetch0(memory + size_t{lines_[i + ahead_]} * kLineBytes);
      sum += static_cast<uint64_t>(memory[size_t{lines_[i]} * kLineBytes]);
    }
    sum_ = sum;  // so that the lines are read
  }

  const std::span<const std::byte> memory_;
  const uint32_t ahead_;
  std::vector<uint32_t> lines_;
  std::minstd_rand random_{7};
  volatile uint64_t sum_ = 0;
};

}  // namespace sluice::perf

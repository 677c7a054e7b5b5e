// SPDX-License-Identifier: Apache-2.0
//
// What is to be copied into the arena as it lies: whole lines of memory, zero at first.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace sluice::control {

class ArenaImage {
 public:
  ArenaImage() = default;
  /// `bytes`: a multiple of a line's.
  explicit ArenaImage(size_t bytes) : lines_(bytes / sizeof(Line)) {}

  /// Null if there are none.
  std::byte* data() { return lines_.empty() ? nullptr : lines_.data()->bytes; }
  const std::byte* data() const { return lines_.empty() ? nullptr : lines_.data()->bytes; }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(lines_)); }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };

  std::vector<Line> lines_;
};

}  // namespace sluice::control

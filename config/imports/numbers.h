// SPDX-License-Identifier: Apache-2.0
//
// Numbers of another program's file.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace sluice::config::imports {

/// A whole number within bounds.
inline std::optional<uint32_t> parse_number(std::string_view text, uint32_t least, uint32_t most) {
  uint32_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && out >= least && out <= most ? std::optional(out) : std::nullopt;
}

}  // namespace sluice::config::imports

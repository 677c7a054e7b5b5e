// SPDX-License-Identifier: Apache-2.0
//
// Text of others, fit to be shown on a terminal.
#pragma once

#include <algorithm>
#include <string>

namespace sluice::control {

/// `text` with a space for each control character.
inline std::string printable(std::string text) {
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text;
}

}  // namespace sluice::control

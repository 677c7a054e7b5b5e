// SPDX-License-Identifier: Apache-2.0
//
// Columns for a terminal: as wide as they need to be, numbers to the right, colour only where asked for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/base/printable.h"

namespace sluice::ctl {

enum class Colour : uint8_t { kNone, kGood, kBad, kCaution };

struct Cell {
  std::string text;
  Colour colour = Colour::kNone;

  Cell(std::string words, Colour shade = Colour::kNone) : text(std::move(words)), colour(shade) {}  // NOLINT
  Cell(const char* words) : text(words) {}                                                          // NOLINT
};

class TextTable {
 public:
  /// Names of the columns; one that starts with '>' (left out when shown) is aligned to the right.
  explicit TextTable(std::vector<std::string> columns);

  /// As many cells as columns.
  void add(std::vector<Cell> row);

  /// Every line ends with a newline; no trailing spaces.
  std::string to_string(bool colours) const;

 private:
  std::vector<std::string> columns_;
  std::vector<bool> right_;
  std::vector<std::vector<Cell>> rows_;
};

using control::printable;

}  // namespace sluice::ctl

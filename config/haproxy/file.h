// SPDX-License-Identifier: Apache-2.0
//
// A haproxy.cfg as sections of words: comments, quotes and escapes resolved as HAProxy does (its configuration manual,
// section 2.2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/imports/remarks.h"
#include "config/imports/words.h"

namespace sluice::config::haproxy {

using imports::printable;
using imports::Remark;
using imports::Remarks;

struct Line {
  unsigned number = 0;             // from 1
  std::vector<std::string> words;  // never empty

  /// The word at `index`, "" beyond the last.
  const std::string& word(size_t index) const { return imports::word_at(words, index); }
  bool starts(std::string_view first, std::string_view second) const { return word(0) == first && word(1) == second; }
  /// The words from `first` on, with single spaces.
  std::string rest(size_t first) const { return imports::joined_from(words, first); }
};

struct Section {
  Line head;  // "listen", its name, what follows
  std::vector<Line> lines;
};

/// Sections in their order. Lines that cannot be read, and those before the first section, are left out with a remark.
std::vector<Section> read_sections(std::string_view text, Remarks& remarks);

}  // namespace sluice::config::haproxy

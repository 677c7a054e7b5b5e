// SPDX-License-Identifier: Apache-2.0
//
// A line of another program's file, as words.
#pragma once

#include <string>
#include <vector>

namespace sluice::config::imports {

/// The word at `index`, "" beyond the last.
inline const std::string& word_at(const std::vector<std::string>& words, size_t index) {
  static const std::string kNone;
  return index < words.size() ? words[index] : kNone;
}

/// The words from `first` on, with single spaces.
inline std::string joined_from(const std::vector<std::string>& words, size_t first) {
  std::string out;
  for (size_t i = first; i < words.size(); i++) out += (i == first ? "" : " ") + words[i];
  return out;
}

}  // namespace sluice::config::imports

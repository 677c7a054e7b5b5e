// SPDX-License-Identifier: Apache-2.0
//
// A keepalived.conf as blocks of words (keepalived.conf(5)): comments and quotes resolved, braces matched.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/imports/remarks.h"
#include "config/imports/words.h"

namespace sluice::config::keepalived {

using imports::Remarks;

/// A line and, if braces follow it, what is between these.
struct Block {
  unsigned line = 0;               // from 1
  std::vector<std::string> words;  // never empty
  std::vector<Block> inner;

  /// The word at `index`, "" beyond the last.
  const std::string& word(size_t index) const { return imports::word_at(words, index); }
};

/// What stands in no other block, in its order. What cannot be read is left out with a remark.
std::vector<Block> read_blocks(std::string_view text, Remarks& remarks);

}  // namespace sluice::config::keepalived

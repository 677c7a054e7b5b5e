// SPDX-License-Identifier: Apache-2.0
//
// "Did you mean": the known word nearest to a mistyped one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sluice::config {

/// Insertions, deletions, substitutions and swaps of neighbours that turn `from` into `to`
/// (Damerau's distance, restricted: no substring is edited twice). Time and memory: product of the lengths.
size_t edit_distance(std::string_view from, std::string_view to);

/// The nearest of `known` that is within a third of the word's length (at least 1) or shares its beginning, or "".
std::string nearest(std::string_view word, std::span<const std::string> known);

/// ` (did you mean "X"?)` with the nearest of `known`, or "".
std::string did_you_mean(std::string_view word, std::span<const std::string> known);

/// `"a", "b", "c"`, or with `limit` passed: `"a", "b" and 7 more`; "none is defined" for no words.
std::string quoted_list(std::span<const std::string> words, size_t limit = 24);

}  // namespace sluice::config

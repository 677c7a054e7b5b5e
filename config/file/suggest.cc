// SPDX-License-Identifier: Apache-2.0
#include "config/file/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace sluice::config {

namespace {

constexpr size_t kLongestWord = 64;  // longer ones are no typing mistakes of our words
constexpr size_t kLeastBeginning = 3;

std::string lower(std::string_view word) {
  std::string out(word);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// Edits between two words in lower case; at most `bound` where one begins with the other ("warning", "warn").
size_t unlikeness(const std::string& word, const std::string& candidate, size_t bound) {
  const size_t edits = edit_distance(word, candidate);
  const bool comparable = std::min(word.size(), candidate.size()) >= kLeastBeginning;
  const bool begins = word.starts_with(candidate) || candidate.starts_with(word);
  return comparable && begins ? std::min(edits, bound) : edits;
}

}  // namespace

size_t edit_distance(std::string_view from, std::string_view to) {
  const size_t columns = to.size() + 1;
  std::vector<size_t> cost((from.size() + 1) * columns);
  const auto at = [&](size_t i, size_t j) -> size_t& { return cost[i * columns + j]; };
  for (size_t i = 0; i <= from.size(); i++) at(i, 0) = i;
  for (size_t j = 0; j <= to.size(); j++) at(0, j) = j;
  for (size_t i = 1; i <= from.size(); i++) {
    for (size_t j = 1; j <= to.size(); j++) {
      const size_t change = from[i - 1] == to[j - 1] ? 0 : 1;
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + change});
      const bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (swapped) at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
    }
  }
  return at(from.size(), to.size());
}

std::string nearest(std::string_view word, std::span<const std::string> known) {
  if (word.size() > kLongestWord) return "";
  const size_t bound = std::max<size_t>(1, word.size() / 3);
  size_t best = bound + 1;
  std::string out;
  for (const std::string& candidate : known) {
    if (candidate.size() > kLongestWord) continue;
    const size_t distance = unlikeness(lower(word), lower(candidate), bound);
    if (distance >= best || distance >= candidate.size()) continue;
    best = distance;
    out = candidate;
  }
  return out;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> known) {
  const std::string near = nearest(word, known);
  return near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near);
}

std::string quoted_list(std::span<const std::string> words, size_t limit) {
  if (words.empty()) return "none is defined";
  std::string out;
  const size_t shown = std::min(words.size(), limit);
  for (size_t i = 0; i < shown; i++) out += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", words[i]);
  if (shown < words.size()) out += fmt::format(" and {} more", words.size() - shown);
  return out;
}

}  // namespace sluice::config

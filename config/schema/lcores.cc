// SPDX-License-Identifier: Apache-2.0
#include "config/schema/lcores.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "config/bounds.h"

namespace sluice::config {

namespace {

std::optional<unsigned> parse_lcore(std::string_view text) {
  unsigned out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size() || out > kMaxLcore) return std::nullopt;
  return out;
}

}  // namespace

std::expected<std::vector<unsigned>, std::string> parse_lcores(const std::string& text) {
  std::vector<unsigned> out;
  for (size_t start = 0; start <= text.size();) {
    const size_t comma = std::min(text.find(',', start), text.size());
    const std::string_view item = std::string_view(text).substr(start, comma - start);
    const size_t dash = item.find('-');
    const auto first = parse_lcore(item.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_lcore(item.substr(dash + 1));
    if (!first || !last || *first > *last)
      return std::unexpected(fmt::format("has \"{}\" where a core or a range of cores should stand", item));
    for (unsigned lcore = *first; lcore <= *last; lcore++) {
      if (std::ranges::find(out, lcore) != out.end()) return std::unexpected(fmt::format("has core {} twice", lcore));
      out.push_back(lcore);
    }
    start = comma + 1;
  }
  return out;
}

}  // namespace sluice::config

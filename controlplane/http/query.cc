// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/query.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "controlplane/http/router.h"

namespace sluice::control {

std::expected<Query, std::string> Query::parse(std::string_view query, std::initializer_list<std::string_view> known) {
  Query out;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const std::string_view name = pair.substr(0, pair.find('='));
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return std::unexpected(fmt::format("unknown name in the query; allowed: {}", fmt::join(known, ", ")));
    }
    auto value = percent_decoded(pair.substr(std::min(name.size() + 1, pair.size())));
    if (!value) return std::unexpected(fmt::format("{}: badly encoded", name));
    if (!out.values_.emplace(name, std::move(*value)).second)
      return std::unexpected(fmt::format("{}: given twice", name));
  }
  return out;
}

std::optional<std::string> Query::text(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::nullopt : std::optional(found->second);
}

std::expected<uint64_t, std::string> Query::number(const std::string& name, uint64_t otherwise, Bounds bounds) const {
  const auto value = text(name);
  if (!value) return otherwise;
  uint64_t out = 0;
  const char* end = value->data() + value->size();
  const auto parsed = std::from_chars(value->data(), end, out);
  if (parsed.ec == std::errc() && parsed.ptr == end && out >= bounds.least && out <= bounds.most) return out;
  return std::unexpected(fmt::format("{}: allowed: a whole number from {} to {}", name, bounds.least, bounds.most));
}

}  // namespace sluice::control

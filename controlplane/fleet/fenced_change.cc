// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/fenced_change.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controlplane/base/printable.h"

namespace sluice::control {

using nlohmann::json;

std::string author_of(const std::string& value) {
  const json said = json::parse(value, nullptr, false);
  const auto word = [&](const char* name) {
    const bool is_said = said.is_object() && said.contains(name) && said[name].is_string();
    return is_said ? printable(said[name].get<std::string>()) : std::string("somebody");
  };
  return fmt::format("{} at {}", word("who"), word("node"));
}

std::optional<std::string> conflict_in(const std::vector<FencedChange>& changes, const std::string& prefix,
                                       const std::vector<etcd::Record>& now) {
  for (const FencedChange& each : changes) {
    const auto found = std::ranges::find(now, prefix + each.name, &etcd::Record::key);
    const bool is_there = found != now.end();
    const bool is_as_wished = each.value ? is_there && found->value == *each.value : !is_there;
    if (is_as_wished) continue;
    if (!is_there) return fmt::format("{}: what was said of it was taken back meanwhile", each.name);
    return fmt::format("{} was changed meanwhile by {}: look at it, and say it again", each.name,
                       author_of(found->value));
  }
  return std::nullopt;
}

}  // namespace sluice::control

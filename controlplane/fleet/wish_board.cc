// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/wish_board.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "controlplane/base/printable.h"

namespace sluice::control {

WishListing wishes_in(const std::vector<etcd::Record>& records, const std::string& prefix) {
  WishListing out;
  for (const etcd::Record& record : records) {
    const std::string name = printable(record.key.substr(std::min(prefix.size(), record.key.size())));
    auto wish = wish_from(record.value);
    if (!wish) {
      out.faults.push_back(fmt::format("{}: {}", printable(record.key), printable(wish.error())));
      wish = Wish{};  // so that another can take its place
    }
    wish->node = printable(std::move(wish->node));
    wish->who = printable(std::move(wish->who));
    wish->revision = record.revision;
    out.wishes.emplace(name, std::move(*wish));
  }
  return out;
}

FencedChange fenced(const WishChange& change) {
  return {change.name, change.revision, change.wish ? std::optional(to_text(*change.wish)) : std::nullopt};
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/block_board.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "controlplane/base/printable.h"

namespace sluice::control {

namespace {

constexpr std::chrono::seconds kOutlives{60};

/// Of a key's name. The error says why it is none: two names of one prefix would be two blocks of it.
std::expected<config::IpPrefix, std::string> prefix_from(const std::string& name) {
  const auto out = config::IpPrefix::parse(name);
  if (out && out->to_string() != name) return std::unexpected("is written " + out->to_string());
  return out;
}

}  // namespace

BlockListing blocks_in(const std::vector<etcd::Record>& records, const std::string& prefix) {
  BlockListing out;
  size_t too_many = 0;
  for (const etcd::Record& record : records) {
    const std::string key = printable(record.key);
    const auto of = prefix_from(record.key.substr(std::min(prefix.size(), record.key.size())));
    if (!of) {
      out.faults.push_back(fmt::format("{}: {}", key, printable(of.error())));
      continue;
    }
    out.heard.revisions.emplace(*of, record.revision);  // so that another can take its place
    auto block = fleet_block_from(record.value);
    if (!block) {
      out.faults.push_back(fmt::format("{}: {}", key, printable(block.error())));
    } else if (out.heard.entries.size() == kMostFleetBlocks) {
      too_many++;
    } else {
      block->node = printable(std::move(block->node));
      block->who = printable(std::move(block->who));
      block->revision = record.revision;
      out.heard.entries.emplace(*of, std::move(*block));
    }
  }
  if (too_many != 0)
    out.faults.push_back(fmt::format("{}: {} more than the {} that may be blocked on all nodes", printable(prefix),
                                     too_many, kMostFleetBlocks));
  return out;
}

FencedChange fenced(const BlockChange& change) {
  FencedChange out{change.prefix.to_string(), change.revision, std::nullopt};
  if (!change.block) return out;
  out.value = to_text(*change.block);
  if (const Block& block = change.block->block; block.until)
    out.lasts = std::chrono::ceil<std::chrono::seconds>(*block.until - block.since) + kOutlives;
  return out;
}

}  // namespace sluice::control

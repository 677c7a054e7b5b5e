// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/blocks.h"

#include <fmt/format.h>

#include <utility>

#include "controlplane/base/kept_state.h"
#include "controlplane/changes/block_json.h"

namespace sluice::control {

namespace {

constexpr int kVersion = 1;
using Entries = std::map<config::IpPrefix, Block>;

std::string to_text(const Entries& entries) {
  nlohmann::json blocks = nlohmann::json::object();
  for (const auto& [prefix, block] : entries) blocks[prefix.to_string()] = block_json(block);
  return block_file_text(kVersion, std::move(blocks));
}

std::expected<Entries, std::string> entries_from(const std::string& text) {
  return block_file_from<Entries>(text, kVersion, block_of);
}

}  // namespace

Blocks::Blocks(Journal& journal, const std::string& directory) : journal_(journal), path_(directory + "/blocks.json") {}

void Blocks::restore() {
  if (auto entries = kept_state(journal_, path_, entries_from, "what was blocked by hand is lost"))
    entries_ = std::move(*entries);
}

std::expected<std::string, std::string> Blocks::block(const config::IpPrefix& prefix,
                                                      std::optional<std::chrono::seconds> duration) {
  if (entries_.size() >= kMost && !entries_.contains(prefix)) {
    return std::unexpected(
        fmt::format("{} prefixes are blocked by hand, and more there may not be; use block_file", kMost));
  }
  Block& entry = entries_.try_emplace(prefix, Block{journal_.now(), {}}).first->second;
  entry.until.reset();
  if (duration) entry.until = journal_.now() + *duration;
  std::string warning = save();
  journal_.record(Severity::kInfo, "sources", prefix.to_string(),
                  entry.until ? "blocked by hand until " + to_rfc3339(*entry.until) : "blocked by hand");
  return warning;
}

std::expected<std::string, std::string> Blocks::unblock(const config::IpPrefix& prefix) {
  if (entries_.erase(prefix) == 0) return std::unexpected(prefix.to_string() + " is not blocked by hand");
  std::string warning = save();
  journal_.record(Severity::kInfo, "sources", prefix.to_string(), "unblocked by hand");
  return warning;
}

bool Blocks::tick() {
  const auto has_expired = [now = journal_.now()](const Block& block) { return block.until && *block.until <= now; };
  bool any = false;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (!has_expired(entry->second)) {
      ++entry;
      continue;
    }
    journal_.record(Severity::kInfo, "sources", entry->first.to_string(), "no longer blocked by hand: its time is up");
    entry = entries_.erase(entry);
    any = true;
  }
  if (any) save();
  return any;
}

std::string Blocks::save() {
  return keep_state(journal_, path_, to_text(entries_));
}

}  // namespace sluice::control

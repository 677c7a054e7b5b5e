// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/blocks.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "controlplane/base/kept_state.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr int kVersion = 1;
using Entries = std::map<config::IpPrefix, Block>;

std::string to_text(const Entries& entries) {
  json blocks = json::object();
  for (const auto& [prefix, block] : entries) {
    json& entry = blocks[prefix.to_string()] = {{"since_ms", to_ms(block.since)}};
    if (block.until) entry["until_ms"] = to_ms(*block.until);
  }
  return json{{"version", kVersion}, {"blocks", std::move(blocks)}}.dump(2) + "\n";
}

std::expected<Entries, std::string> entries_from(const std::string& text) {
  try {
    const json whole = json::parse(text);
    if (const int version = whole.at("version").get<int>(); version != kVersion) {
      return std::unexpected(fmt::format("it is of version {}, this program knows version {}", version, kVersion));
    }
    Entries out;
    for (const auto& [name, value] : whole.at("blocks").items()) {
      const auto prefix = config::IpPrefix::parse(name);
      if (!prefix) return std::unexpected("\"" + name + "\" " + prefix.error());
      Block block{from_ms(value.at("since_ms").get<int64_t>()), {}};
      if (value.contains("until_ms")) block.until = from_ms(value.at("until_ms").get<int64_t>());
      out.emplace(*prefix, block);
    }
    return out;
  } catch (const std::exception& fault) {
    return std::unexpected(fault.what());
  }
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

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/fleet_block.h"

#include "controlplane/changes/block_json.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr int kVersion = 1;

json to_json(const FleetBlock& block) {
  json out = block_json(block.block);
  out["node"] = block.node;
  out["who"] = block.who;
  return out;
}

/// Throws what nlohmann throws for another form, and std::invalid_argument.
FleetBlock fleet_block_of(const json& value) {
  return {
      .block = block_of(value), .node = value.at("node").get<std::string>(), .who = value.at("who").get<std::string>()};
}

}  // namespace

std::string to_text(const FleetBlock& block) {
  return to_json(block).dump(2, ' ', false, json::error_handler_t::replace);  // names may be of any bytes
}

std::string to_text(const FleetBlockEntries& entries) {
  json blocks = json::object();
  for (const auto& [prefix, block] : entries) {
    json& entry = blocks[prefix.to_string()] = to_json(block);
    entry["revision"] = block.revision;
  }
  return block_file_text(kVersion, std::move(blocks));
}

std::expected<FleetBlock, std::string> fleet_block_from(std::string_view text) {
  try {
    return fleet_block_of(json::parse(text));
  } catch (const std::exception& fault) {
    return std::unexpected(fault.what());
  }
}

std::expected<FleetBlockEntries, std::string> fleet_blocks_from(std::string_view text) {
  return block_file_from<FleetBlockEntries>(text, kVersion, [](const json& value) {
    FleetBlock out = fleet_block_of(value);
    out.revision = whole_in(value, "revision", 0, INT64_MAX);
    return out;
  });
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// Blocks as JSON: {"since_ms": 0, "until_ms": 0}, and files of them: {"version": 1, "blocks": {PREFIX: BLOCK}}.
#pragma once

#include <fmt/format.h>

#include <expected>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "config/model.h"
#include "controlplane/base/json_fields.h"
#include "controlplane/base/times.h"
#include "controlplane/changes/blocks.h"

namespace sluice::control {

inline nlohmann::json block_json(const Block& block) {
  nlohmann::json out{{"since_ms", to_ms(block.since)}};
  if (block.until) out["until_ms"] = to_ms(*block.until);
  return out;
}

/// Throws what nlohmann throws for another form, and std::invalid_argument.
inline Block block_of(const nlohmann::json& value) {
  Block out{time_in(value, "since_ms"), {}};
  if (value.contains("until_ms")) out.until = time_in(value, "until_ms");
  return out;
}

inline std::string block_file_text(int version, nlohmann::json blocks) {
  const nlohmann::json whole{{"version", version}, {"blocks", std::move(blocks)}};
  return whole.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// A map by prefix of what `read` makes of each block. The error says why there is none.
template <typename Entries, typename Read>
std::expected<Entries, std::string> block_file_from(std::string_view text, int version, Read read) {
  try {
    const auto whole = nlohmann::json::parse(text);
    require_version(whole, version);
    Entries out;
    for (const auto& [name, value] : whole.at("blocks").items()) {
      const auto prefix = config::IpPrefix::parse(name);
      if (!prefix) return std::unexpected("\"" + name + "\" " + prefix.error());
      out.emplace(*prefix, read(value));
    }
    return out;
  } catch (const std::exception& fault) {
    return std::unexpected(fault.what());
  }
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/offender_file.h"

#include <stdexcept>
#include <utility>

#include "controlplane/changes/block_json.h"

namespace sluice::control {

namespace {

constexpr int kVersion = 1;

/// Throws std::invalid_argument.
Offence offence_of(const std::string& name) {
  for (const Offence offence : {Offence::kAuthFailures, Offence::kEarlyTalker})
    if (name == name_of(offence)) return offence;
  throw std::invalid_argument("\"" + name + "\" is no offence");
}

Offender offender_of(const nlohmann::json& value) {
  return {offence_of(value.at("offence").get<std::string>()), value.at("hears").get<bool>(), time_in(value, "since_ms"),
          time_in(value, "until_ms")};
}

}  // namespace

std::string offender_file_text(const OffenderEntries& entries) {
  nlohmann::json blocks = nlohmann::json::object();
  for (const auto& [source, offender] : entries) {
    nlohmann::json& block = blocks[source.to_string()] = block_json({offender.since, offender.until});
    block["offence"] = name_of(offender.offence);
    block["hears"] = offender.hears;
  }
  return block_file_text(kVersion, std::move(blocks));
}

std::expected<OffenderEntries, std::string> offender_file_from(const std::string& text) {
  return block_file_from<OffenderEntries>(text, kVersion, offender_of);
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// Offenders as a file of state: {"version": 1, "blocks": {PREFIX: {"since_ms", "until_ms", "offence", "hears"}}}.
#pragma once

#include <expected>
#include <map>
#include <string>

#include "controlplane/changes/offenders.h"

namespace sluice::control {

using OffenderEntries = std::map<config::IpPrefix, Offender>;

std::string offender_file_text(const OffenderEntries& entries);
/// The error says what is wrong with the text.
std::expected<OffenderEntries, std::string> offender_file_from(const std::string& text);

}  // namespace sluice::control

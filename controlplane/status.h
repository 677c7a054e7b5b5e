// SPDX-License-Identifier: Apache-2.0
//
// The answer to /api/v1/status: everything that is known, as JSON. Times are RFC 3339 in UTC, durations and sizes have
// their unit in the name. Figures of the data plane are null while there is no connection to it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controlplane/api.h"
#include "controlplane/journal.h"

namespace sluice::control {

nlohmann::json status_json(const ApiContext& context);

/// The journal, newest first, at most `limit` entries.
nlohmann::json events_json(const Journal& journal, size_t limit);

/// "2026-12-01T08:15:30.123Z".
std::string to_rfc3339(SystemTime time);

}  // namespace sluice::control

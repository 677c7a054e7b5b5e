// SPDX-License-Identifier: Apache-2.0
//
// The answer to /api/v1/status: everything that is known, as JSON. Times are RFC 3339 in UTC, durations and sizes have
// their unit in the name. Figures of the data plane are null while there is no connection to it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "config/model.h"
#include "controlplane/channel_client.h"
#include "controlplane/journal.h"
#include "controlplane/model.h"

namespace sluice::control {

/// State of the connection to the data plane, as the operator sees it.
struct DataplaneState {
  bool connected = false;
  std::string reason = "not connected yet";
  SystemTime since{};
};

struct StatusSources {
  const config::Config& config;
  const Model& model;
  const ChannelClient& channel;
  const Journal& journal;
  const DataplaneState& dataplane;
  SystemTime started{};
};

nlohmann::json status_json(const StatusSources& sources);

/// The journal, newest first, at most `limit` entries.
nlohmann::json events_json(const Journal& journal, size_t limit);

/// "2026-12-01T08:15:30.123Z".
std::string to_rfc3339(SystemTime time);

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// What is known, as JSON: the answer to /api/v1/status, and its parts. Times are RFC 3339 in UTC, durations and sizes
// have their unit in the name. Figures of the data plane are null while there is no connection to it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "controlplane/api/api.h"
#include "controlplane/base/times.h"

namespace sluice::control {

class JsonRows;

/// /api/v1/status, to be made in turns.
LongAnswer status_answer(const ApiContext& context);

/// The members of "services", "pools" and "backends".
void add_services(JsonRows& out, const ApiContext& context);
void add_pools(JsonRows& out, const ApiContext& context);
void add_backends(JsonRows& out, const ApiContext& context);

nlohmann::json ports_json(const ApiContext& context);
nlohmann::json service_json(const ApiContext& context, const ServiceState& service);
nlohmann::json pool_json(const ApiContext& context, const Placement& placement);
/// `share`: of shares_of().
nlohmann::json backend_json(const ApiContext& context, const Member& member, double share);
/// The block file and how the last attempt to read it went.
nlohmann::json block_file_json(const Sources& sources);
/// This node as one of its fleet; null without etcd.
nlohmann::json fleet_self_json(const Fleet* fleet);
/// What is blocked on all nodes.
nlohmann::json fleet_blocks_json(const Sources& sources);
/// What the network is told; null in tests of what needs none.
nlohmann::json announce_json(const ApiContext& context);
nlohmann::json event_json(const JournalEntry& entry);

/// Share of new flows that each member gets in the first placement that has it; below 0: it is in none.
std::vector<double> shares_of(const Model& model);

}  // namespace sluice::control

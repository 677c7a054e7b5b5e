// SPDX-License-Identifier: Apache-2.0
//
// Every command of sluicectl; each is defined in a command_*.cc of its own.
#pragma once

#include <vector>

#include "controlplane/ctl/command.h"

namespace sluice::ctl {

/// In the order in which help lists them.
std::vector<Command> all_commands();

Command dns_zone_command();
Command import_command();
Command check_command();
Command status_command();
Command ports_command();
Command services_command();
Command pools_command();
Command backends_command();
Command top_command();
Command events_command();
Command reload_command();
Command diff_command();
Command drain_command();
Command disable_command();
Command enable_command();
Command weight_command();
Command pool_command();
Command clear_command();
Command warm_up_command();
Command block_command();
Command unblock_command();
Command blocked_command();
Command discovered_command();
Command backend_command();
Command fleet_command();
Command security_command();
Command limits_command();
Command sources_command();
Command announce_command();
Command node_command();
Command peers_command();
Command explain_command();
Command flows_command();
Command sessions_command();
Command trace_command();
Command capture_command();
Command doctor_command();
Command setup_command();

}  // namespace sluice::ctl

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/commands/commands.h"

namespace sluice::ctl {

std::vector<Command> all_commands() {
  return {
      status_command(),   ports_command(),    services_command(), pools_command(),   backends_command(),
      top_command(),      events_command(),   reload_command(),   diff_command(),    drain_command(),
      disable_command(),  enable_command(),   weight_command(),   pool_command(),    clear_command(),
      warm_up_command(),  block_command(),    unblock_command(),  blocked_command(), limits_command(),
      sources_command(),  announce_command(), node_command(),     peers_command(),   explain_command(),
      dns_zone_command(), import_command(),   check_command(),    flows_command(),   trace_command(),
      capture_command(),  sessions_command(), doctor_command(),   setup_command(),   discovered_command(),
      backend_command(),  fleet_command(),    security_command(),
  };
}

}  // namespace sluice::ctl

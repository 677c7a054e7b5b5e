// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/status_view.h"

namespace sluice::ctl {

Command status_command() {
  return {
      .name = "status", .help = "Ports, services, pools, backends, counters", .run = [](const Invocation& invocation) {
        return show(invocation, "/api/v1/status",
                    [&](const nlohmann::json& status) { return view_of_status(status, invocation.colours); });
      }};
}

}  // namespace sluice::ctl

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/commands.h"

namespace sluice::ctl {

std::vector<Command> all_commands() {
  return {
      status_command(), services_command(), pools_command(), backends_command(), top_command(), events_command(),
  };
}

}  // namespace sluice::ctl

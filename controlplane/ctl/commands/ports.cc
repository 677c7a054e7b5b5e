// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/tables.h"

namespace sluice::ctl {

Command ports_command() {
  return {.name = "ports",
          .help = "Ports: twin, link and what the card has counted and lost",
          .run = [](const Invocation& invocation) {
            return show(invocation, "/api/v1/ports", [&](const nlohmann::json& answer) {
              const Look look{text_of(answer, "time"), invocation.colours};
              return ports_table(answer.at("ports"), look) + "\n" + port_counters_table(answer.at("ports"), look);
            });
          }};
}

}  // namespace sluice::ctl

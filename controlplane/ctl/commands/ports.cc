// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <string>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/tables.h"

namespace sluice::ctl {

Command ports_command() {
  return {.name = "ports",
          .help = "Ports: twin, link and what the card has counted and lost",
          .run = [](const Invocation& invocation) {
            return show(invocation, "/api/v1/ports", [&](const nlohmann::json& answer) {
              const Look look{text_of(answer, "time"), invocation.colours};
              const nlohmann::json& ports = answer.at("ports");
              const std::string members = port_members_table(ports, look);
              return ports_table(ports, look) + "\n" + members + (members.empty() ? "" : "\n") +
                     port_counters_table(ports, look);
            });
          }};
}

}  // namespace sluice::ctl

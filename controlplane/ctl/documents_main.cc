// SPDX-License-Identifier: Apache-2.0
//
// usage: sluicectl-documents man|completion. Prints sluicectl's man page or its completion for bash, for the build.
#include <iostream>
#include <string_view>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/documents.h"

int main(int argc, char** argv) {
  const std::string_view wanted = argc == 2 ? argv[1] : "";
  if (wanted != "man" && wanted != "completion") return 2;
  const auto commands = sluice::ctl::all_commands();
  std::cout << (wanted == "man" ? sluice::ctl::man_page(commands) : sluice::ctl::bash_completion(commands));
  return std::cout.flush() ? 0 : 1;
}

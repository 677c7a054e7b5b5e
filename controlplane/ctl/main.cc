// SPDX-License-Identifier: Apache-2.0
//
// sluicectl: the operator's command.
#include <unistd.h>

#include <iostream>

#include "controlplane/ctl/command_line.h"
#include "controlplane/ctl/commands/commands.h"

int main(int argc, char** argv) {
  return sluice::ctl::run_command_line(sluice::ctl::all_commands(), argc, argv, std::cout, std::cerr,
                                       isatty(STDOUT_FILENO) != 0);
}

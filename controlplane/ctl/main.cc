// SPDX-License-Identifier: Apache-2.0
//
// sluicectl: the operator's command.
#include <unistd.h>

#include <functional>
#include <iostream>
#include <string>

#include "controlplane/ctl/command_line.h"
#include "controlplane/ctl/commands/commands.h"

namespace {

bool ask_on_terminal(const std::string& question) {
  std::cerr << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace

int main(int argc, char** argv) {
  // Somebody who reads the question and can answer it. A script goes on without.
  const bool is_anybody_there = isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0;
  std::function<bool(const std::string&)> ask;
  if (is_anybody_there) ask = ask_on_terminal;
  return sluice::ctl::run_command_line(sluice::ctl::all_commands(), argc, argv, std::cout, std::cerr,
                                       isatty(STDOUT_FILENO) != 0, ask);
}

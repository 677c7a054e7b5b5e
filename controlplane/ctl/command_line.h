// SPDX-License-Identifier: Apache-2.0
//
// From the words of a command line to a command that runs. The one place that knows the parser.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "controlplane/ctl/command.h"

namespace sluice::ctl {

/// Runs the command that `argv` asks for, and returns sluicectl's exit code. What was asked for goes to `out`, help
/// too; complaints go to `complaints`. `terminal`: `out` is one. `ask`: as Invocation has it.
int run_command_line(const std::vector<Command>& commands, int argc, const char* const* argv, std::ostream& out,
                     std::ostream& complaints, bool terminal,
                     const std::function<bool(const std::string&)>& ask = nullptr);

}  // namespace sluice::ctl

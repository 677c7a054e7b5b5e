// SPDX-License-Identifier: Apache-2.0
//
// What is made from the table of commands: sluicectl's man page and its completion for bash. A command that is added
// there is in both.
#pragma once

#include <string>
#include <vector>

#include "controlplane/ctl/command.h"

namespace sluice::ctl {

/// sluicectl(8), in mdoc(7).
std::string man_page(const std::vector<Command>& commands);

/// A script for bash, to be sourced. Names of backends, pools and services come from the running instance.
std::string bash_completion(const std::vector<Command>& commands);

}  // namespace sluice::ctl

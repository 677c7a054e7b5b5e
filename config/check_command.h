// SPDX-License-Identifier: Apache-2.0
//
// What `--config FILE --check` prints.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "config/load.h"

namespace sluice::config {

/// Further faults of a file that reads well, which only a program of it can find.
using Finder = std::function<void(const Config& config, Findings& findings)>;

/// Prints every warning and "PATH: ok: 2 ports, 1 pool, ..." and returns 0, or every fault on a line and returns 1.
int check_command(const std::string& path, std::ostream& out, const Finder& finder = {});

}  // namespace sluice::config

// SPDX-License-Identifier: Apache-2.0
//
// What a file that reads well names, and a start would miss: for `--check`, by the user who is to start it.
#pragma once

#include "config/load.h"

namespace sluice::control {

/// Adds faults: files that cannot be read or hold what they must not, places that cannot be written to, tables that the
/// channel has no room for. Opens files; changes nothing.
void check_start(const config::Config& config, config::Findings& findings);

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// The doctor's visit to this machine, for the commands that begin with one.
#pragma once

#include <expected>
#include <functional>

#include "controlplane/ctl/command.h"
#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

/// Loads the configuration that --config names, or that of the instance that runs here, asks control, and has `run`
/// look at both. A Failure where there is no configuration, or it has faults.
Outcome visit(const Invocation& invocation, const std::function<Outcome(const Patient&)>& run);

}  // namespace sluice::ctl

// SPDX-License-Identifier: Apache-2.0
//
// The directory of an instance's sockets, and the lock by which only one data plane at a time is that instance.
#pragma once

#include <string>

#include "dataplane/base/shared_memory.h"

namespace sluice {

/// Makes `directory` if it is missing and takes the lock in it, which ends with the descriptor, also by a crash.
/// Throws SetupError.
Descriptor claim_runtime_directory(const std::string& directory);

}  // namespace sluice

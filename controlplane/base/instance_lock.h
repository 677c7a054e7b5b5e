// SPDX-License-Identifier: Apache-2.0
//
// The directory of an instance's sockets, and the lock by which only one sluice-control at a time is that instance.
#pragma once

#include <expected>
#include <string>

#include "controlplane/base/descriptor.h"

namespace sluice::control {

/// Makes `directory` (mode 0755, as its sockets have modes of their own) if it is missing, and takes the lock in it.
/// The lock ends with the descriptor, also by a crash. The error is for the operator.
std::expected<Descriptor, std::string> claim_instance(const std::string& directory);

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// What the data plane has in use, read from its workers' flow memory as control connects.
#pragma once

#include "controlplane/channel/mapping.h"
#include "controlplane/model/in_use.h"

namespace sluice::control {

/// To be called when every worker has moved to the connection, and before its first command: until then they change
/// nothing of it. What makes no sense is left out.
InUse in_use(const ChannelMapping& mapping);

}  // namespace sluice::control

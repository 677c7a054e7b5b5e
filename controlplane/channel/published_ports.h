// SPDX-License-Identifier: Apache-2.0
//
// The data plane's ports, read from its statistics.
#pragma once

#include <vector>

#include "controlplane/channel/mapping.h"
#include "controlplane/model/ports.h"

namespace sluice::control {

/// All of them as they are now, in the order in which commands name them.
std::vector<PublishedPort> published_ports(const ChannelMapping& mapping);

}  // namespace sluice::control

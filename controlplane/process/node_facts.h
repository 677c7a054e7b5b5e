// SPDX-License-Identifier: Apache-2.0
//
// What this node tells the others of itself.
#pragma once

#include <string>

#include "config/model.h"
#include "controlplane/base/times.h"
#include "controlplane/channel/client.h"
#include "controlplane/fleet/node_report.h"
#include "controlplane/model/model.h"

namespace sluice::control {

/// `fleet.node`, or the host's name.
std::string node_name(const config::Fleet& fleet);

/// Of the file at `path` as it is now, without those that it includes; "" if it cannot be read.
std::string file_digest(const std::string& path);

/// `file`: its digest.
NodeReport node_facts(const config::Config& config, const Model& model, const ChannelClient& channel,
                      const std::string& file, SystemTime now);

}  // namespace sluice::control

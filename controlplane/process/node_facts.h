// SPDX-License-Identifier: Apache-2.0
//
// What this node tells the others of itself.
#pragma once

#include <map>
#include <string>

#include "config/file/files.h"
#include "config/model.h"
#include "controlplane/base/times.h"
#include "controlplane/channel/client.h"
#include "controlplane/fleet/node_report.h"
#include "controlplane/model/model.h"

namespace sluice::control {

/// `fleet.node`, or the host's name.
std::string node_name(const config::Fleet& fleet);

/// Digests of a configuration's files.
struct FileDigests {
  std::string file;                             // that it begins with; "" = it cannot be read
  std::map<std::string, std::string> included;  // by name, relative to that one
  std::string own;                              // that of them in which `fleet.node` stands, by name; "" = none
};

/// Of the file at `path` and those that it is made of, as they are now. The node's own file has no digest.
FileDigests file_digests(const std::string& path, const config::Files& files);

NodeReport node_facts(const config::Config& config, const Model& model, const ChannelClient& channel,
                      const FileDigests& files, SystemTime now);

}  // namespace sluice::control

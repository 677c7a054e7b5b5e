// SPDX-License-Identifier: Apache-2.0
//
// What the announcement of VIPs goes by, out of the model: whether the node can carry packets at all, and for each VIP
// whether its services are in service.
#pragma once

#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/announce/announcement.h"
#include "controlplane/model/model.h"

namespace sluice::control {

/// "" or why no packet comes through: no port with a link faces clients, or none faces backends.
std::string port_fault(const std::vector<config::Port>& ports, const std::vector<BoundPort>& bound);

/// One for each VIP, sorted by address. Of services that left the file, VIPs that no other has. Where it depends on
/// backends that have not been checked yet, as those of a service that a reload has added, it is not known.
std::vector<VipFacts> vip_facts(const Model& model, config::Require require);

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// From virtual servers of keepalived to services, pools and checks of ours, with a remark for each thing that is lost
// or was wrong.
#pragma once

#include <vector>

#include "config/imports/draft.h"
#include "config/keepalived/servers.h"

namespace sluice::config::keepalived {

imports::Draft convert(const std::vector<VirtualServer>& servers, Remarks& remarks);

}  // namespace sluice::config::keepalived

// SPDX-License-Identifier: Apache-2.0
//
// From the proxies of a haproxy.cfg to services, pools and checks of ours, with a warning for each thing that was wrong
// in the file.
#pragma once

#include <optional>
#include <vector>

#include "config/haproxy/proxies.h"
#include "config/imports/draft.h"

namespace sluice::config::haproxy {

using imports::Draft;

/// VIPs for frontends that listen on every address.
struct Vips {
  std::optional<IpAddress> v4, v6;
};

Draft convert(const std::vector<Balanced>& proxies, const Vips& vips, Remarks& remarks);

}  // namespace sluice::config::haproxy

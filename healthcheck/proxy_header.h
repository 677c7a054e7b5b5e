// SPDX-License-Identifier: Apache-2.0
//
// The PROXY protocol header of a probe (HAProxy's proxy-protocol.txt). v1 has no usable LOCAL form (Postfix rejects
// UNKNOWN), so it carries the probe's real addresses; v2 says LOCAL: the proxy speaks for itself.
#pragma once

#include <cstdint>
#include <string>

#include "config/model.h"

namespace sluice::health {

struct Endpoint {
  config::IpAddress address;
  uint16_t port = 0;
};

/// Empty for kNone; at most 107 bytes. `source` is the probe's end, `destination` the backend's.
std::string proxy_header(config::Proxy version, const Endpoint& source, const Endpoint& destination);

}  // namespace sluice::health

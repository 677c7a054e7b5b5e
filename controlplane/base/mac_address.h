// SPDX-License-Identifier: Apache-2.0
//
// Ethernet addresses as text.
#pragma once

#include <optional>
#include <string>

#include "dataplane/contract/address.h"

namespace sluice::control {

/// "02:00:00:00:00:17".
std::string to_string(const MacAddress& mac);
/// Of six bytes with colons between them, two digits each; what is none gives nothing.
std::optional<MacAddress> parse_mac(const std::string& text);

}  // namespace sluice::control

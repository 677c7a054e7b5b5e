// SPDX-License-Identifier: Apache-2.0
//
// What the kernel has to allow this process, by the kinds of its devices; and giving that up where packets are looked
// at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/device/options.h"

namespace sluice {

/// Capabilities (bits by the numbers of linux/capability.h) without which the ports' devices and twins cannot be had.
/// Of a device of which nothing is known here, its own error tells. Pure.
uint64_t needed_capabilities(const std::vector<PortOptions>& ports);

/// "CAP_NET_ADMIN and CAP_NET_RAW"; "" for none. Names those that needed_capabilities() knows of.
std::string capability_names(uint64_t capabilities);

/// The effective capabilities of this thread.
uint64_t effective_capabilities();

/// This thread gives all its capabilities up, for good; as root, too. Others keep theirs. Returns an errno value.
int drop_capabilities() noexcept;

}  // namespace sluice

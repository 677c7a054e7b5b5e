// SPDX-License-Identifier: Apache-2.0
//
// What is published of a device (contract/ports.h): who it is, its link, what its card has counted.
#pragma once

#include <cstdint>

#include "dataplane/contract/ports.h"
#include "dataplane/device/device.h"

namespace sluice {

/// The part of a port's status that does not change; the rest is 0.
channel::PortStatus port_identity(const Device& device);

/// Reads the card's counters into `status`. One that cannot be read keeps its last figures.
void read_card_counters(uint16_t device, channel::PortStatus& status);

}  // namespace sluice

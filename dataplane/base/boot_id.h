// SPDX-License-Identifier: Apache-2.0
//
// Which boot of the kernel this is: what was written in another has another CLOCK_MONOTONIC.
#pragma once

#include <cstdint>

namespace sluice {

/// A hash of the kernel's random id of this boot; 0 if it cannot be read.
uint64_t read_boot_id() noexcept;

}  // namespace sluice

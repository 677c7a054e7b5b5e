// SPDX-License-Identifier: Apache-2.0
//
// The secret that the nodes of a fleet share, read once at start.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

inline constexpr size_t kLeastKeyBytes = 32, kMostKeyBytes = 4096;

/// All bytes of the file. Throws SetupError where it is missing, short, or open to others than its owner and group.
std::vector<uint8_t> read_key_file(const std::string& path);

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// Cuts frames into IP fragments and puts them together again, for tests.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {

/// The fragments of the packet in `frame`, each with up to `data_bytes` (a multiple of 8) of its data, under `id`.
std::vector<Bytes> cut(const Bytes& frame, size_t data_bytes, uint32_t id);

/// The frame whose fragments these are, in whatever order, with the first one's headers. nullopt if a part is missing,
/// they do not belong together, or an IPv4 header's checksum is wrong.
std::optional<Bytes> join(const std::vector<Bytes>& fragments);

}  // namespace sluice::testing

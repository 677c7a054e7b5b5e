// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dataplane/worker/setup.h"

namespace sluice {

/// How a frame came to this worker.
struct Arrival {
  uint32_t port;
  Faces faces;
  uint64_t mac_word;
  bool mine;       // no other worker is to be considered
  bool steered;    // the device was to put it before its owner
  uint32_t asker;  // the worker that met it first
};

}  // namespace sluice

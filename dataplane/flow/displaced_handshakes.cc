// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/displaced_handshakes.h"

#include <algorithm>

#include "dataplane/contract/placement.h"

namespace sluice {

DisplacedHandshakes::Place DisplacedHandshakes::place_of(const Handshake& handshake) noexcept {
  const uint64_t who = fold_multiply(handshake.client_hash ^ handshake.service, kMixA);
  const uint64_t what = fold_multiply(who ^ handshake.server_next, kMixC);
  const auto check = static_cast<uint16_t>(what >> 48);
  return {static_cast<uint32_t>(who >> 32) % kSets, check == 0 ? uint16_t{1} : check};
}

void DisplacedHandshakes::remember(const Handshake& handshake, channel::BackendId backend,
                                   uint16_t generation) noexcept {
  const Place place = place_of(handshake);
  auto& entries = sets_[place.set].entry;
  std::copy_backward(entries.begin(), entries.end() - 1, entries.end());
  const auto id = static_cast<uint16_t>(backend | generation_bits(generation) << 14);
  entries.front() = {handshake.client_next, place.check, id};
}

DisplacedHandshakes::Found DisplacedHandshakes::take(const Handshake& handshake) noexcept {
  const Place place = place_of(handshake);
  for (Entry& entry : sets_[place.set].entry) {
    if (entry.check != place.check || entry.client_next != handshake.client_next) continue;
    const Found found{static_cast<channel::BackendId>(entry.backend & (channel::kMaxBackends - 1)),
                      static_cast<uint8_t>(entry.backend >> 14)};
    entry = {};
    return found;
  }
  return {};
}

}  // namespace sluice

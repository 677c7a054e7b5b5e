// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/return_paths.h"

#include "dataplane/flow/keyed_hash.h"

namespace sluice {

uint32_t ReturnPaths::set_of(const Address& client) const noexcept {
  return keyed_hash({client, Be16{}}, seed_) % kSets;
}

void ReturnPaths::remember(const Address& client, const ReturnPath& path, uint64_t now_ms) noexcept {
  const auto now = static_cast<uint32_t>(now_ms);
  auto& set = sets_[set_of(client)];
  Entry* place = &set[0];
  for (Entry& entry : set) {
    if (entry.in_use && entry.client == client) {
      place = &entry;
      break;
    }
    const bool older = !entry.in_use || now - entry.written_ms > now - place->written_ms;
    if (place->in_use && older) place = &entry;
  }
  *place = {client, now, true, path};
}

const ReturnPath* ReturnPaths::find(const Address& client, uint64_t now_ms) const noexcept {
  for (const Entry& entry : sets_[set_of(client)]) {
    if (!entry.in_use || entry.client != client) continue;
    return static_cast<uint32_t>(now_ms) - entry.written_ms <= kLifetimeMs ? &entry.path : nullptr;
  }
  return nullptr;
}

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// Finds backends by endpoint: chains through an array, so that a change costs a few steps and takes no memory. Keys are
// kept by the caller; several backends may have one endpoint. Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/contract/messages.h"
#include "dataplane/contract/placement.h"

namespace sluice {

class BackendIndex {
 public:
  static constexpr uint32_t kEnd = channel::kNoBackend;

  BackendIndex() noexcept {
    heads_.fill(kEnd);
    next_.fill(kEnd);
  }

  /// The first of the backends that `endpoint` may lead to, or kEnd; then `next` of it, and so on. Compare endpoints.
  uint32_t first(const Endpoint& endpoint) const noexcept { return heads_[head_of(endpoint)]; }
  uint32_t next(uint32_t id) const noexcept { return next_[id]; }

  /// Enters `id`, which is not in.
  void insert(uint32_t id, const Endpoint& endpoint) noexcept {
    uint16_t& head = heads_[head_of(endpoint)];
    next_[id] = head;
    head = static_cast<uint16_t>(id);
  }

  /// Takes out `id`, entered under `endpoint`.
  void erase(uint32_t id, const Endpoint& endpoint) noexcept {
    uint16_t* link = &heads_[head_of(endpoint)];
    while (*link != id) link = &next_[*link];
    *link = next_[id];
  }

 private:
  static constexpr uint32_t kHeads = channel::kMaxBackends;

  static uint32_t head_of(const Endpoint& endpoint) noexcept {
    return static_cast<uint32_t>(hash_endpoint(endpoint, 0)) % kHeads;
  }

  std::array<uint16_t, kHeads> heads_;
  std::array<uint16_t, channel::kMaxBackends> next_;
};

}  // namespace sluice

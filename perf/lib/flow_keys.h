// SPDX-License-Identifier: Apache-2.0
//
// The keys of synthetic clients as each contender of a benchmark wants them, and a stream of them to look up.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "dataplane/contract/placement.h"
#include "perf/lib/synthetic.h"

namespace sluice::perf {

/// An IPv4 client endpoint for tables that compare bytes. 16 bytes: the length for which rte_hash has a comparison
/// of its own, which favours it; our table compares 18, any family.
struct alignas(16) PlainKey {
  uint32_t address;
  uint16_t port;
  uint8_t padding[10];

  static PlainKey of(const Endpoint& client) { return {client.address.v4_part().raw, client.port.raw, {}}; }
  friend bool operator==(const PlainKey& a, const PlainKey& b) { return a.address == b.address && a.port == b.port; }
};

struct PlainKeyHash {
  size_t operator()(const PlainKey& key) const {
    return fold_multiply(uint64_t{key.address} << 16 ^ key.port ^ kMixA, kMixB);
  }
};

/// Keys of flows drawn uniformly, to be read in bursts, again and again from the start. Long enough that the flows of
/// one round do not stay in a cache.
template <typename Key>
class KeyStream {
 public:
  static constexpr uint32_t kBurst = 64;  // what a worker's turn takes from two ports; rte_hash's largest bulk, too

  template <typename Make>
  KeyStream(uint32_t flows, uint64_t seed, Make make) {
    Random random(seed);
    const uint32_t n = std::clamp(flows / kBurst * kBurst * 4, 16 * kBurst, 1U << 21);
    keys_.reserve(n);
    for (uint32_t i = 0; i < n; i++) keys_.push_back(make(client_endpoint(random.below(flows), false)));
  }

  /// The next kBurst keys.
  const Key* next() {
    const Key* out = &keys_[position_];
    position_ += kBurst;
    if (position_ == keys_.size()) position_ = 0;
    return out;
  }

 private:
  std::vector<Key> keys_;
  size_t position_ = 0;
};

}  // namespace sluice::perf

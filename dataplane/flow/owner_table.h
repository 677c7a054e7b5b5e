// SPDX-License-Identifier: Apache-2.0
//
// Which worker has a client's flows: a function of the client's endpoint alone, worked out in software for every
// packet, and made so that cards can work it out too. It is Toeplitz hashing under a key that repeats itself after 16
// bits. Under such a key only the XOR of all 16-bit words matters, not their order nor what lies between them: a card
// that hashes address and port of one side comes to the same number wherever it puts them in its input (reference:
// rte_softrss). The low bits of the hash are a client's class, and each class has its owner, as each entry of a card's
// redirection table has its queue. Whatever a card makes of it costs a hand-over, never a flow.
//
// The key is public and linear: whoever chooses his endpoints can have all of them in one class. Which worker has that
// is dealt by the flow tables' secret, so that he cannot choose whom he meets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/contract/address.h"
#include "dataplane/contract/segment.h"

namespace sluice {

/// The Toeplitz key is this word, again and again (0x6d, 0x5a, 0x6d, ...). Its weight is odd, so that each of the 65536
/// folds has a hash of its own.
inline constexpr uint16_t kOwnerKey = 0x6d5a;
inline constexpr uint32_t kMostClasses = 512;

namespace owner_hash {

/// The hash of a word of which one byte is set: the high one, or the low one.
constexpr std::array<uint16_t, 256> table_of(uint32_t first_bit) {
  std::array<uint16_t, 256> out{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    for (uint32_t bit = 0; bit < 8; bit++) {
      const uint32_t shift = first_bit + bit;  // from the most significant on
      const auto turned = static_cast<uint16_t>(kOwnerKey << shift | kOwnerKey >> (16 - shift));
      if ((byte >> (7 - bit) & 1) != 0) out[byte] ^= turned;
    }
  }
  return out;
}

inline constexpr std::array<uint16_t, 256> kHigh = table_of(0);
inline constexpr std::array<uint16_t, 256> kLow = table_of(8);

}  // namespace owner_hash

/// The XOR of the 16-bit words of a client's endpoint, as they are on the wire.
[[gnu::always_inline]] inline uint16_t owner_fold_of(const Endpoint& client) noexcept {
  uint64_t high, low;
  std::memcpy(&high, &client.address.bytes[0], 8);
  std::memcpy(&low, &client.address.bytes[8], 8);
  uint64_t fold = high ^ low;
  fold ^= fold >> 32;
  fold ^= fold >> 16;
  // Of IPv4 there are four bytes on the wire; ours carry one word of ones more.
  if (client.address.is_v4()) fold ^= 0xffff;
  return static_cast<uint16_t>(fold ^ client.port.raw);
}

/// The hash of what owner_fold_of() gives. Both halves of a card's 32-bit hash are this.
constexpr uint16_t owner_hash_of_fold(uint16_t fold) noexcept {
  return owner_hash::kHigh[fold & 0xff] ^ owner_hash::kLow[fold >> 8];
}

/// The hash of a client's endpoint.
inline uint16_t owner_hash_of(const Endpoint& client) noexcept {
  return owner_hash_of_fold(owner_fold_of(client));
}

/// Between how many workers flows are dealt, and in how many classes: as many as the smallest of the cards' redirection
/// tables has entries. Kept flows lie as it says.
struct Dealing {
  uint32_t workers = 1;
  uint32_t classes = kMostClasses;  // a power of two
};

class OwnerTable {
 public:
  /// Classes are dealt evenly, in an order that `secret` says.
  OwnerTable(Dealing dealing, uint64_t secret) noexcept : mask_(dealing.classes - 1), workers_(dealing.workers) {
    for (uint32_t i = 0; i < dealing.classes; i++) owner_[i] = static_cast<uint8_t>(i % dealing.workers);
    uint64_t state = secret;
    for (uint32_t left = dealing.classes; left > 1; left--) {
      const auto other = static_cast<uint32_t>(((next(state) >> 32) * left) >> 32);
      const uint8_t owner = owner_[other];
      owner_[other] = owner_[left - 1];
      owner_[left - 1] = owner;
    }
  }

  uint32_t of(const Endpoint& client) const noexcept { return owner_[owner_hash_of(client) & mask_]; }
  uint32_t of_class(uint32_t number) const noexcept { return owner_[number & mask_]; }
  uint32_t classes() const noexcept { return mask_ + 1; }
  uint32_t workers() const noexcept { return workers_; }

 private:
  /// SplitMix64 (Steele et al. 2014). What comes out is part of what is kept, as the secret is.
  static uint64_t next(uint64_t& state) noexcept {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

  std::array<uint8_t, kMostClasses> owner_;
  uint32_t mask_;
  uint32_t workers_;
};

static_assert(channel::kMaxWorkers <= 256);

}  // namespace sluice

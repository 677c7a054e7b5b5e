// SPDX-License-Identifier: Apache-2.0
//
// SipHash-2-4 (Aumasson, Bernstein 2012) over whole 64-bit words: a keyed hash whose key does not come out, however
// many values of it somebody has been shown for input of his own choice.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice {

struct SipKey {
  uint64_t low;
  uint64_t high;
};

/// `kCompressions` rounds for each word and `kFinalizations` at the end: 2 and 4 as its authors have it; 1 and 3, their
/// faster variant, where what comes out is of use for minutes only.
template <int kCompressions, int kFinalizations>
class SipStateOf {
 public:
  explicit constexpr SipStateOf(const SipKey& key) noexcept
      : v0_(key.low ^ 0x736f6d6570736575),
        v1_(key.high ^ 0x646f72616e646f6d),
        v2_(key.low ^ 0x6c7967656e657261),
        v3_(key.high ^ 0x7465646279746573) {}

  constexpr void add(uint64_t word) noexcept {
    v3_ ^= word;
    for (int i = 0; i < kCompressions; i++) round();
    v0_ ^= word;
  }

  constexpr uint64_t end() noexcept {
    v2_ ^= 0xff;
    for (int i = 0; i < kFinalizations; i++) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  constexpr void round() noexcept {
    v0_ += v1_;
    v2_ += v3_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v1_;
    v0_ += v3_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ = std::rotl(v2_, 32);
  }

  uint64_t v0_;
  uint64_t v1_;
  uint64_t v2_;
  uint64_t v3_;
};

using SipState = SipStateOf<2, 4>;
using FastSipState = SipStateOf<1, 3>;

constexpr uint64_t siphash(const SipKey& key, std::span<const uint64_t> words) noexcept {
  SipState state(key);
  for (const uint64_t word : words) state.add(word);
  state.add(uint64_t{words.size() * sizeof(uint64_t)} << 56);
  return state.end();
}

}  // namespace sluice

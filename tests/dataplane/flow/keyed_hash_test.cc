// SPDX-License-Identifier: Apache-2.0
//
// Who does not know the secret finds no two endpoints that collide under more secrets than chance has it, however the
// hash is made.
#include "dataplane/flow/keyed_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <utility>
#include <vector>

namespace sluice {
namespace {

struct Words {
  uint64_t high, low;
  uint16_t port;
};

Endpoint endpoint_of(const Words& words) {
  Endpoint out;
  std::memcpy(&out.address.bytes[0], &words.high, 8);
  std::memcpy(&out.address.bytes[8], &words.low, 8);
  out.port.raw = words.port;
  return out;
}

constexpr std::array<uint64_t, 4> kSecrets{0x1234567890abcdef, 0xfedcba0987654321, 0x00000000deadbeef,
                                           0xc3a5c85c97cb3127};

/// How many of the pairs have one hash under a secret.
uint32_t collisions(const std::vector<std::pair<Words, Words>>& pairs, uint64_t secret) {
  return static_cast<uint32_t>(std::ranges::count_if(pairs, [secret](const auto& pair) {
    return keyed_hash(endpoint_of(pair.first), secret) == keyed_hash(endpoint_of(pair.second), secret);
  }));
}

TEST(KeyedHash, NoInterfaceIdentifierTakesTheSecretOut) {
  for (const uint64_t secret : kSecrets) {
    for (const uint64_t low : {kMixA, kMixB, kMixC, ~kMixB, uint64_t{0}}) {
      std::vector<uint64_t> hashes;
      for (uint16_t port = 1; port < 2000; port++) {
        hashes.push_back(keyed_hash(endpoint_of({uint64_t{port} << 24, low, port}), secret));
      }
      std::ranges::sort(hashes);
      EXPECT_EQ(std::ranges::adjacent_find(hashes), hashes.end());
    }
  }
}

/// Pairs whose difference would cancel in a hash of this kind that mixed badly: in one operand, between operands,
/// between the port's product and the address.
TEST(KeyedHash, DifferencesThatWouldCancelDoNot) {
  std::mt19937_64 random(99);
  std::vector<std::pair<Words, Words>> pairs;
  for (int i = 0; i < 20'000; i++) {
    const Words one{random(), random(), static_cast<uint16_t>(random())};
    const auto port = static_cast<uint16_t>(random() | 1);
    const uint64_t moved = one.port * kMixC ^ static_cast<uint16_t>(one.port ^ port) * kMixC;
    const auto other = static_cast<uint16_t>(one.port ^ port);
    for (const Words& two :
         {Words{one.high ^ moved, one.low, other}, Words{one.high, one.low ^ moved, other},
          Words{one.low, one.high, one.port}, Words{one.low ^ kMixA ^ kMixB, one.high ^ kMixA ^ kMixB, one.port},
          Words{one.high ^ other, one.low ^ uint64_t{other} << 32, one.port}, Words{~one.high, ~one.low, one.port},
          Words{one.high, kMixB, one.port}, Words{0 - one.high, 0 - one.low, one.port}}) {
      if (endpoint_of(one) != endpoint_of(two)) pairs.emplace_back(one, two);
    }
  }
  for (const uint64_t secret : kSecrets) EXPECT_EQ(collisions(pairs, secret), 0u);
}

/// A bucket that is crowded under one secret is not under the next.
TEST(KeyedHash, StructuredClientsCrowdNoBucketUnderSeveralSecrets) {
  constexpr uint32_t kBuckets = 4096, kEach = 16;
  const std::array<Words (*)(uint32_t), 6> kinds{
      [](uint32_t n) { return Words{0, 0xffff0000 | uint64_t{n & 0xffff} << 48, static_cast<uint16_t>(n >> 16)}; },
      [](uint32_t n) { return Words{0, 0xffff0000 | uint64_t{7} << 32, static_cast<uint16_t>(n)}; },
      [](uint32_t n) { return Words{0xb80d0120, uint64_t{n} << 40, 25}; },
      [](uint32_t n) { return Words{uint64_t{n} << 32, kMixB, 25}; },
      [](uint32_t n) { return Words{uint64_t{n} * kMixC, n, static_cast<uint16_t>(n)}; },
      [](uint32_t n) { return Words{0xb80d0120, n ^ kMixB, static_cast<uint16_t>(n)}; }};
  for (const auto& kind : kinds) {
    std::vector<uint32_t> worst(kBuckets, UINT32_MAX);
    for (const uint64_t secret : kSecrets) {
      std::vector<uint32_t> filled(kBuckets);
      for (uint32_t n = 0; n < kBuckets * kEach; n++) {
        filled[(keyed_hash(endpoint_of(kind(n)), secret) & 0xffffffff) * kBuckets >> 32]++;
      }
      EXPECT_LT(*std::ranges::max_element(filled), 5 * kEach) << "secret " << secret;
      for (uint32_t i = 0; i < kBuckets; i++) worst[i] = std::min(worst[i], filled[i]);
    }
    EXPECT_LT(*std::ranges::max_element(worst), 2 * kEach) << "full whatever the secret";
  }
}

}  // namespace
}  // namespace sluice

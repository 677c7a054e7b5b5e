// SPDX-License-Identifier: Apache-2.0
//
// Sequence numbers by which we know again whose SYN we have answered: which are taken, for how long, and that there is
// no guessing them.
#include "dataplane/flow/syn_cookies.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {
namespace {

const Endpoint kClient = endpoint("198.51.100.7", 40000);
const Endpoint kServer = endpoint("192.0.2.25", 25);
constexpr uint32_t kIsn = 0xffff'fff0;
constexpr uint64_t kNow = 10 * SynCookies::kPeriodMs;

TEST(SipHash, IsThatOfItsAuthors) {
  // Of the key 00 01 ... 0f and as many bytes 00 01 ... as stand before each.
  constexpr SipKey kKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  constexpr std::array<uint64_t, 2> kWords{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  const std::span<const uint64_t> words(kWords);
  EXPECT_EQ(siphash(kKey, words.first(0)), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(siphash(kKey, words.first(1)), 0x93f5f5799a932462u);
  EXPECT_EQ(siphash(kKey, words), 0x3f2acc7f57c29bdbu);
}

TEST(SynCookies, AreKnownAgainForOneToTwoPeriods) {
  const SynCookies cookies(7);
  for (const uint64_t made : {kNow, kNow + SynCookies::kPeriodMs - 1}) {
    const uint32_t cookie = cookies.make(kClient, kServer, kIsn, made);
    const auto good = [&](uint64_t at) { return cookies.is_ours(cookie, kClient, kServer, kIsn, at); };
    EXPECT_TRUE(good(made));
    EXPECT_TRUE(good(made + SynCookies::kPeriodMs));
    EXPECT_TRUE(good(kNow + 2 * SynCookies::kPeriodMs - 1));
    EXPECT_FALSE(good(kNow + 2 * SynCookies::kPeriodMs));
    EXPECT_FALSE(good(kNow - 1)) << "of the future";
  }
}

TEST(SynCookies, AreOfOneConnectionAndOneSecret) {
  const SynCookies cookies(7);
  const uint32_t cookie = cookies.make(kClient, kServer, kIsn, kNow);
  const Endpoint client6 = endpoint("2001:db8::7", 40000);
  EXPECT_FALSE(cookies.is_ours(cookie, endpoint("198.51.100.8", 40000), kServer, kIsn, kNow));
  EXPECT_FALSE(cookies.is_ours(cookie, endpoint("198.51.100.7", 40001), kServer, kIsn, kNow));
  EXPECT_FALSE(cookies.is_ours(cookie, client6, kServer, kIsn, kNow));
  EXPECT_FALSE(cookies.is_ours(cookie, kClient, endpoint("192.0.2.26", 25), kIsn, kNow));
  EXPECT_FALSE(cookies.is_ours(cookie, kClient, endpoint("192.0.2.25", 587), kIsn, kNow));
  EXPECT_FALSE(cookies.is_ours(cookie, kClient, kServer, kIsn + 1, kNow));
  EXPECT_FALSE(cookies.is_ours(cookie + 1, kClient, kServer, kIsn, kNow));
  EXPECT_FALSE(SynCookies(8).is_ours(cookie, kClient, kServer, kIsn, kNow));
  EXPECT_TRUE(SynCookies(7).is_ours(cookie, kClient, kServer, kIsn, kNow)) << "another worker's";
}

TEST(SynCookies, AMillionGuessesAreWrong) {
  const SynCookies cookies(7);
  std::mt19937_64 random(1);
  uint32_t right = 0;
  for (int i = 0; i < 1'000'000; i++) {
    right += cookies.is_ours(static_cast<uint32_t>(random()), kClient, kServer, static_cast<uint32_t>(random()), kNow);
  }
  // Each is right once in 2^31: that two of a million are happens once in ten million times.
  EXPECT_LE(right, 1u);
}

TEST(SynCookies, OfNeighbouringClientsHaveNothingInCommon) {
  const SynCookies cookies(7);
  std::array<uint32_t, 32> ones{};
  constexpr uint32_t kClients = 4096;
  for (uint32_t i = 0; i < kClients; i++) {
    const Endpoint client = endpoint("198.51.100.7", static_cast<uint16_t>(1024 + i));
    const uint32_t changed = cookies.make(client, kServer, kIsn, kNow) ^ cookies.make(client, kServer, kIsn ^ 1, kNow);
    for (uint32_t bit = 0; bit < 32; bit++) ones[bit] += changed >> bit & 1;
  }
  for (const uint32_t count : ones) {  // half of them, by six standard deviations
    EXPECT_NEAR(count, kClients / 2, 6 * 32);
  }
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// Numbers by which a client is known again whose SYN we have answered: what it announced comes back in them, for how
// long they are good, and how seldom a guess is right.
#include "dataplane/flow/handshake_cookies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {
namespace {

const Endpoint kClient = endpoint("198.51.100.7", 40000);
const Endpoint kServer = endpoint("192.0.2.25", 25);
const Endpoint kClient6 = endpoint("2001:db8:1::7", 40000);
const Endpoint kServer6 = endpoint("2001:db8:25::25", 25);
constexpr uint32_t kIsn = 0xffff'fff0;
constexpr uint64_t kNow = 10 * HandshakeCookies::kPeriodMs;
constexpr CookieOptions kOptions{6, 7, true};

TEST(SipHash, IsThatOfItsAuthors) {
  // Of the key 00 01 ... 0f and as many bytes 00 01 ... as stand before each.
  constexpr SipKey kKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  constexpr std::array<uint64_t, 2> kWords{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  const std::span<const uint64_t> words(kWords);
  EXPECT_EQ(siphash(kKey, words.first(0)), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(siphash(kKey, words.first(1)), 0x93f5f5799a932462u);
  EXPECT_EQ(siphash(kKey, words), 0x3f2acc7f57c29bdbu);
}

TEST(CookieOptions, RoundsSegmentSizesDown) {
  const struct {
    uint16_t announced, kept;
  } cases[] = {{0, 256},     {255, 256},   {256, 256},   {535, 256},   {536, 536},   {1219, 536},  {1220, 1220},
               {1400, 1400}, {1439, 1400}, {1460, 1460}, {8939, 1460}, {8940, 8940}, {65535, 8940}};
  for (const auto& c : cases) {
    EXPECT_EQ((CookieOptions{.mss_class = CookieOptions::class_of(c.announced)}.mss()), c.kept) << c.announced;
  }
}

TEST(HandshakeCookies, BringBackWhatWasAnnounced) {
  const HandshakeCookies cookies(7, CookiePurpose::kBackend);
  for (uint32_t byte = 0; byte < 256; byte++) {
    const CookieOptions options = CookieOptions::of(static_cast<uint8_t>(byte));
    for (const bool v6 : {false, true}) {
      const Endpoint& client = v6 ? kClient6 : kClient;
      const Endpoint& server = v6 ? kServer6 : kServer;
      const HandshakeCookie cookie = cookies.make(client, server, kIsn, options, kNow);
      for (const std::optional<uint32_t> echo : {std::optional<uint32_t>(), std::optional(cookie.timestamp)}) {
        const auto kept = cookies.read(cookie.sequence, echo, client, server, kIsn, kNow + 1000);
        ASSERT_TRUE(kept) << byte;
        EXPECT_EQ(kept->byte(), byte);
      }
      EXPECT_FALSE(cookies.read(cookie.sequence, cookie.timestamp + 1, client, server, kIsn, kNow));
    }
  }
}

TEST(HandshakeCookies, AreGoodForOneToTwoPeriods) {
  const HandshakeCookies cookies(7, CookiePurpose::kBackend);
  for (const uint64_t made : {kNow, kNow + HandshakeCookies::kPeriodMs - 1}) {
    const HandshakeCookie cookie = cookies.make(kClient, kServer, kIsn, kOptions, made);
    const auto good = [&](uint64_t at) {
      return cookies.read(cookie.sequence, cookie.timestamp, kClient, kServer, kIsn, at).has_value();
    };
    EXPECT_TRUE(good(made));
    EXPECT_TRUE(good(made + HandshakeCookies::kPeriodMs));
    EXPECT_TRUE(good(kNow + 2 * HandshakeCookies::kPeriodMs - 1));
    EXPECT_FALSE(good(kNow + 2 * HandshakeCookies::kPeriodMs));
    EXPECT_FALSE(good(kNow - 1)) << "of the future";
  }
}

TEST(HandshakeCookies, SayInOneBitOfWhichPeriodTheyAre) {
  const HandshakeCookies cookies(7, CookiePurpose::kBackend);
  for (uint64_t period = 0; period < 20; period++) {
    const uint64_t made = kNow + period * HandshakeCookies::kPeriodMs;
    const HandshakeCookie cookie = cookies.make(kClient, kServer, kIsn, kOptions, made);
    EXPECT_EQ(cookie.sequence >> 8 & 1, period & 1);
    EXPECT_FALSE(cookies.read(cookie.sequence ^ 0x100, std::nullopt, kClient, kServer, kIsn, made));
  }
}

TEST(HandshakeCookies, AreOfOneConnectionAndOneSecret) {
  const HandshakeCookies cookies(7, CookiePurpose::kBackend);
  const HandshakeCookie cookie = cookies.make(kClient, kServer, kIsn, kOptions, kNow);
  const auto good = [&](const HandshakeCookies& by, const Endpoint& client, const Endpoint& server, uint32_t isn,
                        uint32_t sequence) {
    return by.read(sequence, std::nullopt, client, server, isn, kNow).has_value();
  };
  EXPECT_FALSE(good(cookies, endpoint("198.51.100.8", 40000), kServer, kIsn, cookie.sequence));
  EXPECT_FALSE(good(cookies, endpoint("198.51.100.7", 40001), kServer, kIsn, cookie.sequence));
  EXPECT_FALSE(good(cookies, kClient, endpoint("192.0.2.26", 25), kIsn, cookie.sequence));
  EXPECT_FALSE(good(cookies, kClient, endpoint("192.0.2.25", 587), kIsn, cookie.sequence));
  EXPECT_FALSE(good(cookies, kClient, kServer, kIsn + 1, cookie.sequence));
  EXPECT_FALSE(good(cookies, kClient, kServer, kIsn, cookie.sequence + 1)) << "of other options";
  EXPECT_FALSE(good({8, CookiePurpose::kBackend}, kClient, kServer, kIsn, cookie.sequence));
  EXPECT_FALSE(good({7, CookiePurpose::kRefusal}, kClient, kServer, kIsn, cookie.sequence));
  EXPECT_TRUE(good({7, CookiePurpose::kBackend}, kClient, kServer, kIsn, cookie.sequence)) << "another worker's";
}

TEST(HandshakeCookies, GuessesAreRightOnceInEightMillion) {
  const HandshakeCookies cookies(7, CookiePurpose::kBackend);
  std::mt19937 random(1);
  uint32_t right = 0, right_with_echo = 0;
  for (uint32_t n = 0; n < 1'000'000; n++) {
    const auto guess = static_cast<uint32_t>(random());
    if (cookies.read(guess, std::nullopt, kClient, kServer, n, kNow)) right++;
    if (cookies.read(guess, n, kClient, kServer, n, kNow)) right_with_echo++;
  }
  EXPECT_LE(right, 3u);  // 0.12 expected
  EXPECT_EQ(right_with_echo, 0u);
}

TEST(HandshakeCookies, OfNeighbouringClientsHaveNothingInCommon) {
  const HandshakeCookies cookies(7, CookiePurpose::kBackend);
  std::array<uint32_t, 64> ones{};
  constexpr uint32_t kClients = 4096;
  for (uint32_t i = 0; i < kClients; i++) {
    const Endpoint client{kClient.address, Be16::of(static_cast<uint16_t>(1024 + i))};
    const HandshakeCookie one = cookies.make(client, kServer, kIsn, kOptions, kNow);
    const HandshakeCookie other = cookies.make(client, kServer, kIsn ^ 1, kOptions, kNow);
    const uint64_t changed = uint64_t{one.timestamp ^ other.timestamp} << 32 | (one.sequence ^ other.sequence);
    for (uint32_t bit = 9; bit < 64; bit++) ones[bit] += changed >> bit & 1;  // below are options and period
  }
  for (uint32_t bit = 9; bit < 64; bit++) {  // half of them, by six standard deviations
    EXPECT_NEAR(ones[bit], kClients / 2, 6 * 32);
  }
}

TEST(HandshakeCookies, DoNotRepeatThemselves) {
  const HandshakeCookies cookies(7, CookiePurpose::kBackend);
  std::vector<uint32_t> seen;
  for (uint16_t port = 1024; port < 1024 + 20'000; port++) {
    const Endpoint client{kClient.address, Be16::of(port)};
    seen.push_back(cookies.make(client, kServer, kIsn, kOptions, kNow).sequence >> 9);
  }
  std::ranges::sort(seen);
  const auto doubles = seen.size() - static_cast<size_t>(std::unique(seen.begin(), seen.end()) - seen.begin());
  EXPECT_LT(doubles, 60u);  // of 23 bits: 24 expected
}

}  // namespace
}  // namespace sluice::testing

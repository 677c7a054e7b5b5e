// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/source_budget.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {
namespace {

constexpr uint32_t kPerSecond = 20'000, kBurst = 128;
constexpr uint64_t kSecret = 0x5eed;
constexpr uint64_t kStartMs = 1'000'000;

uint64_t name_of(uint32_t source) {
  return source_name(Address::v4(Be32::of(source)), 17, kSecret);
}

class SourceBudgetTest : public ::testing::Test {
 protected:
  /// How many of `n` packets of a source pass at once.
  uint32_t take(uint64_t name, uint32_t n) {
    uint32_t out = 0;
    for (uint32_t i = 0; i < n; i++) out += budget_.take(name, now_ms_) ? 1 : 0;
    return out;
  }
  /// Packets of forged sources, each of another one, as many as there are tokens in a millisecond and many more.
  void flood(uint32_t n = 200) {
    for (uint32_t i = 0; i < n; i++) budget_.take(name_of(0xc6000000 + forged_++), now_ms_);
  }

  SourceBudget budget_{kPerSecond, kBurst, kStartMs};
  uint64_t now_ms_ = kStartMs;
  uint32_t forged_ = 0;
};

TEST_F(SourceBudgetTest, ASourceAloneHasTheWholeRateAndAllButTheReserveAtOnce) {
  EXPECT_EQ(take(name_of(1), 1000), SourceBudget::unreserved(kBurst));
  uint32_t passed = 0;
  for (int i = 0; i < 1000; i++, now_ms_++) passed += take(name_of(1), 100);
  EXPECT_NEAR(passed, kPerSecond, kPerSecond / 100);
}

TEST_F(SourceBudgetTest, OneThatSendsAllItCanTakesNothingFromThoseWithinTheirShare) {
  for (int i = 0; i < 2000; i++, now_ms_++) {
    take(name_of(1), 100);
    // Twelve a second each, for which others have used no place before.
    if (i % 80 != 0) continue;
    for (uint32_t other = 10; other < 20; other++) EXPECT_EQ(take(name_of(other), 1), 1u) << "at " << i << " ms";
  }
}

TEST_F(SourceBudgetTest, WhoWasThereBeforeIsHeardBesideAnyNumberOfForgedSources) {
  for (uint32_t source = 1; source <= 4; source++) EXPECT_EQ(take(name_of(source), 1), 1u);
  for (int i = 0; i < 5000; i++, now_ms_++) {
    flood();
    if (i % 100 != 0) continue;
    for (uint32_t source = 1; source <= 4; source++) EXPECT_EQ(take(name_of(source), 1), 1u) << "at " << i << " ms";
  }
}

TEST_F(SourceBudgetTest, APlaceIsKeptAsLongAsItIsToldToBe) {
  const auto heard_after = [&](uint32_t quiet_ms) {
    uint32_t out = 0;
    for (uint64_t end = now_ms_ + quiet_ms; now_ms_ < end; now_ms_++) flood();
    for (int i = 0; i < 4; i++, now_ms_ += 100) {
      flood();
      out += take(name_of(1), 1);
    }
    return out;
  };
  budget_ = SourceBudget(kPerSecond, kBurst, kStartMs, 10'000);
  take(name_of(1), 1);
  EXPECT_EQ(heard_after(9000), 4u);
  EXPECT_LT(heard_after(12'000), 4u) << "forged ones are in its place";
}

TEST_F(SourceBudgetTest, WhoIsOnTheLinkTakesAPlaceOfThoseFromAfarAndNotTheOtherWayRound) {
  budget_ = SourceBudget(kPerSecond, kBurst, kStartMs, 180'000);
  const auto heard = [&](bool on_link) {  // of those who come while forged ones are in all places
    uint32_t out = 0;
    for (int i = 0; i < 10; i++, now_ms_ += 100) {
      for (int repeat = 0; repeat < 3; repeat++) flood();
      for (uint32_t source = 1; source <= 4; source++) {
        out += budget_.take(name_of(on_link ? source : 100 + source), now_ms_, on_link) ? 1 : 0;
      }
    }
    return out;
  };
  for (int i = 0; i < 100; i++, now_ms_ += 10) flood();
  EXPECT_EQ(heard(false), 0u);
  EXPECT_EQ(heard(true), 40u);
}

TEST_F(SourceBudgetTest, WithoutARateNothingPasses) {
  budget_ = SourceBudget(0, 0, kStartMs);
  EXPECT_EQ(take(name_of(1), 10), 0u);
  now_ms_ += 10'000;
  EXPECT_EQ(take(name_of(1), 10), 0u);
  EXPECT_FALSE(SourceBudget().take(name_of(1), now_ms_));
}

TEST(SourceName, AnIpv6SourceIsItsNetworkButOnTheLinkAnAddress) {
  const auto name = [](const char* text, uint16_t kind = 58) { return source_name(address(text), kind, kSecret); };
  EXPECT_EQ(name("2001:db8:1:2::7"), name("2001:db8:1:2:ffff::8"));
  EXPECT_NE(name("2001:db8:1:2::7"), name("2001:db8:1:3::7"));
  EXPECT_NE(name("fe80::1"), name("fe80::2"));
  EXPECT_NE(source_name(address("2001:db8::1"), 17, kSecret, true),
            source_name(address("2001:db8::2"), 17, kSecret, true));
  EXPECT_NE(name("192.0.2.1"), name("192.0.2.2"));
  EXPECT_NE(name("192.0.2.1", 6), name("192.0.2.1", 17)) << "BGP takes nothing from BFD";
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/evidence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/support/seed.h"

namespace sluice::control {
namespace {

TEST(Share, HasTheLowerBoundOfWilson) {
  EXPECT_NEAR((Share{10, 100}.at_least(1.96, 1)), 0.0552, 0.0001);
  EXPECT_NEAR((Share{20, 200}.at_least(1.96, 2)), 0.0552, 0.0001) << "two that go together count as one";
  EXPECT_EQ((Share{0, 100}.at_least(3, 1)), 0);
  EXPECT_EQ((Share{}.at_least(3, 1)), 0);
  EXPECT_LT((Share{5, 5}.at_least(3, 1)), 0.5) << "of few little is certain, even if all are bad";
}

// The definition: which of all that went badly is the member's own is a draw with the chance w, or with rw / (1 + (r -
// 1) w).
TEST(Evidence, IsTheRatioOfLikelihoods) {
  const Share own{9, 100};
  const Share others{15, 500};
  for (const double times : {2.0, 3.0, 10.0}) {
    const double w = own.whole / (own.whole + others.whole);
    const double worse = times * w / (1 + (times - 1) * w);
    const double expected = own.part * std::log(worse / w) + others.part * std::log((1 - worse) / (1 - w));
    EXPECT_NEAR(worse_than_others(own, others, times), expected, 1e-9);
  }
  EXPECT_EQ(worse_than_others({}, others, 3), 0);
}

TEST(Evidence, IsTheSameWhateverThePoolRefusesAsAWhole) {
  for (const double refused : {0.01, 0.1, 0.3}) {
    EXPECT_LT(worse_than_others({100 * refused, 100}, {500 * refused, 500}, 3), 0);
    EXPECT_GT(worse_than_others({300 * refused, 100}, {500 * refused, 500}, 3), 0);
  }
}

TEST(Evidence, AgainstABoundIsForWhatIsBeyondIt) {
  EXPECT_GT(worse_than_bound({6, 100}, 0.05, 3), 0);
  EXPECT_NEAR(worse_than_bound({5, 100}, 0.05, 3), 0, 1e-12);
  EXPECT_LT(worse_than_bound({4, 100}, 0.05, 3), 0);
  EXPECT_LE(worse_than_bound({100, 100}, 1, 3), 0) << "nothing is beyond 1";
}

TEST(Evidence, SurpriseIsTheNumberOfConnectionsThatGoTogether) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  std::mt19937_64 random(seed);
  for (const unsigned together : {1U, 4U}) {
    double sum = 0;
    constexpr int kRounds = 5000;
    for (int i = 0; i < kRounds; i++) {
      const double refused = together * std::poisson_distribution<unsigned>(20.0 / together)(random);
      sum += surprise({refused, 200}, {250, 2500}, {1500, 15'000});
    }
    EXPECT_NEAR(sum / kRounds / together, 1, 0.15) << together;
  }
  EXPECT_EQ(surprise({5, 50}, {}, {5, 50}), 0);
  EXPECT_EQ(surprise({}, {5, 50}, {5, 50}), 0);
}

TEST(Evidence, AddsUpAndIsForgottenWhereItFallsToNothing) {
  Evidence evidence;
  evidence.add(3, -1, {5, 50});
  evidence.add(3, -1, {5, 50});
  EXPECT_EQ(evidence.charge().whole, 100);
  evidence.add(-7, 1, {0, 50});
  EXPECT_EQ(evidence.charge().whole, 0) << "what comes now is another charge";
  EXPECT_EQ(evidence.defence().whole, 50);
  evidence.fade(0);
  evidence.add(-1, Evidence::kAcquit, {0, 50});
  EXPECT_TRUE(evidence.acquits());
  evidence.spend_acquittal();
  EXPECT_FALSE(evidence.acquits());
}

TEST(Evidence, OfOneRoundConvictsNobodyHoweverBadItIs) {
  Evidence evidence;
  evidence.add(1e6, -1, {50, 50});
  evidence.add(1e6, -1, {50, 50});
  EXPECT_FALSE(evidence.convicts());
  evidence.add(1e6, -1, {50, 50});
  EXPECT_TRUE(evidence.convicts());
  evidence.spend_conviction();
  evidence.add(1e6, -1, {50, 50});
  EXPECT_FALSE(evidence.convicts()) << "of the same once more";
  evidence.add(1e6, -1, {50, 50});
  EXPECT_TRUE(evidence.convicts());
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// Silence: whose it is, who speaks for a host that does not answer, and who bears witness that the way is alive.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/controlplane/support/panic_fixture.h"

namespace sluice::control {
namespace {

TEST_F(PanicTest, SilenceIsNoDeathWhileTheHostIsHeardByAnotherPort) {
  pool(3);
  panic_.follow({{1, ip("10.0.1.1")}, {2, ip("10.0.1.2")}, {3, ip("10.0.1.3")}, {4, ip("10.0.1.1")}},
                {Panic::Group{0.5, 180s, {0, 1, 2}, {}}, Panic::Group{0.5, 180s, {3}, {}}});
  size_ = 4;
  panic_.set_way(3, NextHop{{{2, 0, 0, 0, 0, 0}}, "slb0"}, now_);
  good(3);
  const auto fall_silent = [&](size_t i) {
    for (int probe = 0; probe < 3; probe++) {
      after(500ms);
      down(i, Evidence::kUnanswered);
      for (const size_t other : {1, 2}) good(other);
      evaluate();
    }
  };
  fall_silent(0);
  EXPECT_EQ(standings(), "OGGG") << "its queue may be full, or a firewall is in the way";
  const std::vector<size_t> hurried = panic_.take_hurried();
  EXPECT_NE(std::ranges::find(hurried, size_t{3}), hurried.end());
  good(3);
  fall_silent(0);
  EXPECT_EQ(standings(), "OGGG");
  after(1s);
  down(3, Evidence::kRefused);  // by a host that lives
  fall_silent(0);
  EXPECT_EQ(panic_.standing(0), Standing::kOut);
  fall_silent(3);
  fall_silent(0);
  EXPECT_EQ(panic_.standing(0), Standing::kDead) << "since then all of it was silent";
  panic_.trust(3);
  EXPECT_EQ(panic_.standing(0), Standing::kDead);
}

TEST_F(PanicTest, WhatIsNotCheckedDoesNotSpeakForItsHost) {
  pool(3);
  panic_.follow({{1, ip("10.0.1.1")}, {2, ip("10.0.1.2")}, {3, ip("10.0.1.3")}, {4, ip("10.0.1.1")}},
                {Panic::Group{0.5, 180s, {0, 1, 2}, {}}, Panic::Group{0.5, 180s, {3}, {}}});
  size_ = 3;
  good(3);
  panic_.trust(3);  // its check is gone
  after(1s);
  die(0, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "DGG");
}

TEST_F(PanicTest, SilenceIsNoDeathWhileSessionsHearTheHost) {
  pool(3);
  after(1s);
  EXPECT_FALSE(panic_.is_silent(0));
  doubt(0, Evidence::kUnanswered);
  EXPECT_TRUE(panic_.is_silent(0));
  hear_all_but(0);
  after(500ms);
  panic_.on_host_heard(0, now_);
  EXPECT_TRUE(panic_.is_silent(0)) << "whoever listens goes on listening";
  down(0, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "OGG");
  hear_all_but(0);
  EXPECT_EQ(standings(), "OGG") << "no probe has begun since they were heard";
  after(500ms);
  down(0, Evidence::kUnanswered);
  hear_all_but(0);
  EXPECT_EQ(standings(), "DGG");
}

TEST_F(PanicTest, WhoIsSilentAndHeardAfterAHoldStaysOut) {
  pool(3);
  after(1s);
  all_down(3, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "HHH");
  after(180s);
  for (int probe = 0; probe < 3; probe++) {
    all_down(3, Evidence::kUnanswered);
    EXPECT_EQ(standings(), "OOO");
    after(500ms);
    for (size_t i = 0; i < 3; i++) panic_.on_host_heard(i, now_);
    EXPECT_EQ(standings(), "OOO") << "tables are not made anew with every probe";
    after(500ms);
  }
}

TEST_F(PanicTest, ARefusalIsBelievedWhateverElseTheHostSays) {
  pool(3);
  after(1s);
  doubt(0, Evidence::kRefused);
  hear_all_but(0);
  after(500ms);
  panic_.on_host_heard(0, now_);
  down(0, Evidence::kRefused);
  hear_all_but(0);
  EXPECT_EQ(standings(), "DGG");
}

TEST_F(PanicTest, BelievesSilenceOnlyWhileAnotherHostOnTheSameWayIsHeard) {
  pool(3);
  after(1s);
  doubt(0, Evidence::kUnanswered);
  good(1);
  after(1s);
  down(0, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "OGG") << "nobody was heard since";
  good(1);
  EXPECT_EQ(standings(), "OGG") << "the third may have fallen silent as well";
  good(2);
  EXPECT_EQ(standings(), "DGG");
}

TEST_F(PanicTest, DoesNotTakeAnotherWaysHostForAWitness) {
  pool(3);
  NextHop elsewhere{{{2, 0, 0, 0, 9, 9}}, "slf0"};
  panic_.set_way(1, elsewhere, now_);
  elsewhere = {{{2, 0, 0, 0, 9, 8}}, "slb0", true};  // the same port, but behind a gateway
  panic_.set_way(2, elsewhere, now_);
  after(1s);
  down(0, Evidence::kUnanswered);
  for (size_t i = 1; i < 3; i++) good(i);
  EXPECT_EQ(standings(), "OGG");
}

TEST_F(PanicTest, WhoIsJudgedWithoutAWayIsNoWitness) {
  pool(3);
  after(1s);
  panic_.set_way(1, std::nullopt, now_);
  panic_.set_way(2, std::nullopt, now_);
  for (int probe = 0; probe < 3; probe++) {
    down(0, Evidence::kUnanswered);
    doubt(1, Evidence::kJudged);
    doubt(2, Evidence::kJudged);
    after(500ms);
  }
  after(180s);
  down(0, Evidence::kUnanswered);
  EXPECT_EQ(panic_.standing(0), Standing::kOut);
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/controlplane/support/panic_fixture.h"

namespace sluice::control {
namespace {

TEST_F(PanicTest, BelievesARefusalOnceTheOthersWereHeardSince) {
  pool(3);
  after(1s);
  doubt(0, Evidence::kRefused);
  EXPECT_EQ(panic_.take_hurried(), (std::vector<size_t>{1, 2, 1, 2})) << "as what becomes of it depends on them";
  panic_.on_heard(1, now_);
  after(500ms);
  down(0, Evidence::kRefused);
  EXPECT_EQ(standings(), "OGG") << "no new sessions, but the others may be refused too";
  panic_.on_heard(1, now_);
  EXPECT_EQ(standings(), "OGG");
  panic_.on_heard(2, now_);
  EXPECT_EQ(standings(), "DGG");
  EXPECT_FALSE(panic_.state(0));
  good(0);
  EXPECT_EQ(standings(), "GGG");
}

TEST_F(PanicTest, CutsNothingForWhatIsAJudgement) {
  for (const Evidence evidence : {Evidence::kJudged, Evidence::kCertificate}) {
    pool(3);
    after(1s);
    down(0, evidence);
    for (size_t i = 1; i < 3; i++) good(i);
    EXPECT_EQ(standings(), "OGG");
    after(1h);
    for (size_t i = 1; i < 3; i++) good(i);
    EXPECT_EQ(standings(), "OGG");
    panic_ = {};
  }
}

TEST_F(PanicTest, HoldsAllWhenMoreThanTheShareFailAtOnceAndGivesUpTheProvenAfterTheHold) {
  pool(3);
  after(1s);
  for (size_t i = 0; i < 3; i++) doubt(i, Evidence::kRefused);
  after(1s);
  all_down(3, Evidence::kRefused);
  EXPECT_EQ(standings(), "HHH");
  const auto state = panic_.state(0);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->why, "3 of 3 backends fail at once");
  EXPECT_EQ(state->until, now_ - 1s + 180s);
  after(178s);
  EXPECT_EQ(standings(), "HHH");
  after(1s);
  EXPECT_EQ(standings(), "OOO");
  EXPECT_FALSE(panic_.state(0));
  all_down(3, Evidence::kRefused);
  EXPECT_EQ(standings(), "DDD");
  good(1);
  EXPECT_EQ(standings(), "DGD");
}

TEST_F(PanicTest, KeepsSessionsOfASilentPoolAlsoAfterTheHold) {
  pool(3);
  after(1s);
  all_down(3, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "HHH");
  after(1h);
  EXPECT_EQ(standings(), "OOO") << "no proof, as nobody else answers";
  for (size_t i = 0; i < 3; i++) good(i);
  EXPECT_EQ(standings(), "GGG");
}

TEST_F(PanicTest, NeverLeavesNobodyBecauseOfAJudgement) {
  pool(3);
  after(1s);
  all_down(3, Evidence::kJudged);
  after(1h);
  EXPECT_EQ(standings(), "HHH");
  ASSERT_TRUE(panic_.state(0));
  EXPECT_FALSE(panic_.state(0)->until);
  good(2);
  EXPECT_EQ(standings(), "OOG") << "one is enough";
}

TEST_F(PanicTest, RecognisesOneThatIsDeadAmongOthersThatFailOtherwise) {
  pool(3);
  after(1s);
  for (size_t i = 0; i < 3; i++) doubt(i, Evidence::kJudged);
  after(1s);
  down(0, Evidence::kRefused);
  for (size_t i = 1; i < 3; i++) panic_.on_heard(i, now_);
  for (size_t i = 1; i < 3; i++) down(i, Evidence::kJudged);
  EXPECT_EQ(standings(), "HHH");
  after(1s);
  doubt(0, Evidence::kRefused);
  EXPECT_EQ(standings(), "HHH");
  EXPECT_EQ(panic_.take_restarted(), std::vector<size_t>{0}) << "checked anew before it is given up";
  after(1s);
  doubt(0, Evidence::kRefused);
  for (size_t i = 1; i < 3; i++) panic_.on_heard(i, now_);
  after(1s);
  down(0, Evidence::kRefused);
  for (size_t i = 1; i < 3; i++) panic_.on_heard(i, now_);
  EXPECT_EQ(standings(), "DHH");
}

TEST_F(PanicTest, FindsTheOneThatIsDeadWhenTheLinkIsBackByProbesThatBeganThen) {
  pool(3);
  after(1s);
  all_down(3, Evidence::kUnanswered);
  after(20s);
  panic_.take_restarted();
  for (size_t i = 1; i < 3; i++) good(i);
  EXPECT_EQ(standings(), "HGG") << "what was found out of it may have been the link's fault";
  EXPECT_EQ(panic_.take_restarted(), std::vector<size_t>{0});
  after(1s);
  doubt(0, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "HGG") << "counted from zero";
  die(0, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "DGG") << "the others answer, and it still does not";
}

TEST_F(PanicTest, HoldsTheLastOneOfAPool) {
  pool(1);
  after(1s);
  down(0, Evidence::kRefused);
  EXPECT_EQ(standings(), "H");
  after(180s);
  EXPECT_EQ(standings(), "O") << "it may be back since it was last asked";
  down(0, Evidence::kRefused);
  EXPECT_EQ(standings(), "D");
}

TEST_F(PanicTest, AfterTheHoldOnlyAProbeThatBeginsThenCuts) {
  pool(3);
  after(1s);
  all_down(2, Evidence::kRefused);
  good(2);
  EXPECT_EQ(standings(), "HHG");
  after(179s);
  const auto asked = now_;
  after(1s);
  EXPECT_EQ(standings(), "OOG");
  panic_.on_result(0, {Evidence::kRefused, asked}, now_);
  EXPECT_EQ(standings(), "OOG") << "begun before the hold was over";
  down(0, Evidence::kRefused);
  EXPECT_EQ(standings(), "DOG");
}

TEST_F(PanicTest, WhatIsLongOutIsNotHeldAgainstTheOthers) {
  pool(3);
  after(1s);
  die(0, Evidence::kRefused);
  ASSERT_EQ(standings(), "DGG");
  after(10s);
  down(1, Evidence::kRefused);
  good(2);
  EXPECT_EQ(standings(), "DHG") << "two of three within a minute";
  after(55s);
  good(2);
  EXPECT_EQ(standings(), "DHG") << "one of the two that are left, once it is checked anew";
  EXPECT_EQ(panic_.take_restarted(), std::vector<size_t>{1});
  die(1, Evidence::kRefused);
  EXPECT_EQ(standings(), "DDG");
}

TEST_F(PanicTest, TakesAllBehindOneWayForOneEvent) {
  pool(5);
  for (size_t i = 0; i < 2; i++) panic_.set_way(i, NextHop{{{2, 0, 0, 0, 9, 9}}, "slb0", true}, now_);
  after(1s);
  all_down(2, Evidence::kUnanswered);
  for (size_t i = 2; i < 5; i++) good(i);
  EXPECT_EQ(standings(), "HHGGG") << "the gateway, or what lies behind it";
  EXPECT_EQ(panic_.state(0)->why, "all that is reached the same way fails at once");
  panic_.set_way(0, std::nullopt, now_);
  EXPECT_EQ(standings(), "HHGGG");
}

TEST_F(PanicTest, ALostNextHopAloneCutsNothing) {
  pool(3);
  after(1s);
  panic_.set_way(0, std::nullopt, now_);
  for (size_t i = 1; i < 3; i++) good(i);
  EXPECT_EQ(standings(), "OGG");
  die(0, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "DGG") << "and it answers no SYN either";
}

TEST_F(PanicTest, AfterAnInterruptionWhatWasStandsUntilAVerdictWithANextHop) {
  pool(3);
  for (size_t i = 0; i < 3; i++) panic_.interrupt(i, "twin slb0 is down", now_);
  for (size_t i = 0; i < 3; i++) panic_.set_way(i, std::nullopt, now_);
  after(30s);
  EXPECT_EQ(standings(), "HHH");
  EXPECT_EQ(panic_.state(0)->why, "twin slb0 is down");
  for (size_t i = 0; i < 3; i++) panic_.restore(i, now_);
  after(30s);
  doubt(0, Evidence::kUnanswered);
  EXPECT_TRUE(panic_.is_awaited(0)) << "found out without a next hop";
  EXPECT_EQ(standings(), "HHH");
  for (size_t i = 0; i < 3; i++) panic_.set_way(i, NextHop{{{2, 0, 0, 0, 0, 1}}, "slb0"}, now_);
  EXPECT_EQ(standings(), "GGG");
  good(0);
  EXPECT_FALSE(panic_.is_awaited(0));
  EXPECT_TRUE(panic_.is_awaited(1)) << "each for itself";
  after(181s);
  evaluate();
  EXPECT_FALSE(panic_.is_awaited(1)) << "and not for ever";
}

TEST_F(PanicTest, AfterAnInterruptionOneThatAloneHasNoNextHopIsJudgedToo) {
  pool(3);
  for (size_t i = 0; i < 3; i++) panic_.interrupt(i, "link down", now_);
  panic_.set_way(0, std::nullopt, now_);
  after(5s);
  for (size_t i = 0; i < 3; i++) panic_.restore(i, now_);
  down(0, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "HGG") << "nobody has been heard yet";
  for (size_t i = 1; i < 3; i++) good(i);
  EXPECT_EQ(standings(), "HGG") << "it may be back as they are";
  after(1s);
  down(0, Evidence::kUnanswered);
  for (size_t i = 1; i < 3; i++) good(i);
  EXPECT_EQ(standings(), "DGG");
}

TEST_F(PanicTest, WhatWasOutBeforeAnInterruptionStaysOut) {
  pool(3);
  after(1s);
  die(0, Evidence::kRefused);
  ASSERT_EQ(standings(), "DGG");
  for (size_t i = 0; i < 3; i++) panic_.interrupt(i, "the data plane is away", now_);
  EXPECT_EQ(standings(), "DGG");
}

TEST_F(PanicTest, CertificatesNeverTakeMoreThanTheShare) {
  pool(4);
  after(1s);
  all_down(2, Evidence::kCertificate);
  EXPECT_EQ(standings(), "OOGG");
  for (size_t i = 2; i < 4; i++) down(i, Evidence::kCertificate);
  after(1h);
  EXPECT_EQ(standings(), "HHHH");
  good(3);
  EXPECT_EQ(standings(), "HHHG") << "three of four are more than half";
  good(2);
  EXPECT_EQ(standings(), "OOGG");
}

TEST_F(PanicTest, WhatTheOperatorTookOutIsNotCounted) {
  pool(4);
  panic_.set_serving(3, false);
  after(1s);
  all_down(2, Evidence::kRefused);
  panic_.on_heard(2, now_);
  EXPECT_EQ(standings(), "HHGG") << "two of three";
}

TEST_F(PanicTest, WithShareOneOnlyEvidenceCounts) {
  pool(2, 1.0);
  after(1s);
  all_down(2, Evidence::kRefused);
  EXPECT_EQ(standings(), "DD");
  panic_ = {};
  pool(2, 1.0);
  after(1s);
  all_down(2, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "HH") << "all behind one port are still one event";
  panic_ = {};
  pool(1, 1.0);
  after(1s);
  down(0, Evidence::kRefused);
  EXPECT_EQ(standings(), "D");
}

TEST_F(PanicTest, WhoIsInNoGroupIsJudgedAlone) {
  pool(3);
  panic_.follow({{1, ip("10.0.1.1")}, {2, ip("10.0.1.2")}, {3, ip("10.0.1.3")}}, {});
  panic_.interrupt(0, "the link is down", now_);
  panic_.restore(0, now_);
  after(1s);
  all_down(3, Evidence::kRefused);
  EXPECT_EQ(standings(), "HHH");
  after(180s);
  all_down(3, Evidence::kRefused);
  EXPECT_EQ(standings(), "DDD");
}

TEST_F(PanicTest, WhoIsBesideAGroupIsJudgedByItAndNotHeldAgainstIt) {
  pool(3);
  panic_.follow({{1, ip("10.0.1.1")}, {2, ip("10.0.1.2")}, {3, ip("10.0.1.3")}},
                {Panic::Group{0.4, 180s, {0}, {1, 2}}});
  after(1s);
  doubt(1, Evidence::kRefused);
  doubt(2, Evidence::kRefused);
  EXPECT_EQ(panic_.take_hurried().front(), 0u) << "who is judged by it needs its word";
  good(0);
  after(500ms);
  down(1, Evidence::kRefused);
  down(2, Evidence::kRefused);
  good(0);
  EXPECT_EQ(standings(), "GDD");
  EXPECT_FALSE(panic_.state(0));
}

TEST_F(PanicTest, KeepsWhatItKnowsWhenMembersComeAndGo) {
  pool(3);
  after(1s);
  die(1, Evidence::kRefused);
  ASSERT_EQ(standings(), "GDG");
  panic_.follow({{2, ip("10.0.1.2")}, {9, ip("10.0.1.9")}}, {Panic::Group{0.5, 180s, {0, 1}, {}}});
  evaluate();
  EXPECT_EQ(panic_.standing(0), Standing::kDead);
  EXPECT_EQ(panic_.standing(1), Standing::kGood);
}

}  // namespace
}  // namespace sluice::control

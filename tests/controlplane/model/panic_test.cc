// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/panic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/support/ip.h"

namespace sluice::control {
namespace {

using health::Evidence;
using namespace std::chrono_literals;

/// A pool of hosts behind one port, all up; time goes on by hand.
class PanicTest : public testing::Test {
 protected:
  void make(size_t hosts, double share = 0.5, std::chrono::milliseconds hold = 180s) {
    std::vector<Panic::Subject> subjects;
    Panic::Group group{share, hold, {}, {}};
    for (size_t i = 0; i < hosts; i++) {
      subjects.push_back({i + 1, ip("10.0.1." + std::to_string(i + 1))});
      group.members.push_back(i);
    }
    panic_.follow(subjects, {group});
    for (size_t i = 0; i < hosts; i++) {
      panic_.set_way(i, NextHop{{{2, 0, 0, 0, 0, static_cast<uint8_t>(i)}}, "slb0"}, now_);
      good(i);
    }
    evaluate();
  }
  void evaluate() { panic_.evaluate(now_); }
  void after(std::chrono::milliseconds time) { now_ += time; }
  void good(size_t i) {
    panic_.on_heard(i, now_);
    panic_.on_result(i, {Evidence::kNone, now_}, now_);
    panic_.set_down(i, false, now_);
  }
  /// A probe that fails; the next makes it down.
  void doubt(size_t i, Evidence evidence) { panic_.on_result(i, {evidence, now_, false}, now_); }
  void down(size_t i, Evidence evidence) {
    panic_.on_result(i, {evidence, now_}, now_);
    panic_.set_down(i, true, now_);
    evaluate();
  }
  /// A probe that fails, all others are heard, another that fails and makes it down, and the others are heard again.
  void die(size_t i, Evidence evidence) {
    doubt(i, evidence);
    hear_all_but(i);
    after(500ms);
    down(i, evidence);
    hear_all_but(i);
    evaluate();
  }
  void hear_all_but(size_t dead) {
    for (size_t i = 0; i < size(); i++)
      if (i != dead && panic_.standing(i) == Standing::kGood) good(i);
  }
  std::string standings() {
    evaluate();
    std::string out;
    for (size_t i = 0; i < size(); i++) out += "GHOD"[static_cast<int>(panic_.standing(i))];
    return out;
  }
  size_t size() const { return size_; }
  void pool(size_t hosts, double share = 0.5, std::chrono::milliseconds hold = 180s) {
    size_ = hosts;
    make(hosts, share, hold);
  }

  size_t size_ = 0;
  Panic::Time now_{std::chrono::hours(1000)};
  Panic panic_;
};

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

TEST_F(PanicTest, HoldsAllWhenMoreThanTheShareFailAtOnceAndGivesUpTheProvenAfterTheHold) {
  pool(3);
  after(1s);
  for (size_t i = 0; i < 3; i++) doubt(i, Evidence::kRefused);
  after(1s);
  for (size_t i = 0; i < 3; i++) down(i, Evidence::kRefused);
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
  for (size_t i = 0; i < 3; i++) down(i, Evidence::kRefused);
  EXPECT_EQ(standings(), "DDD");
  good(1);
  EXPECT_EQ(standings(), "DGD");
}

TEST_F(PanicTest, KeepsSessionsOfASilentPoolAlsoAfterTheHold) {
  pool(3);
  after(1s);
  for (size_t i = 0; i < 3; i++) down(i, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "HHH");
  after(1h);
  EXPECT_EQ(standings(), "OOO") << "no proof, as nobody else answers";
  for (size_t i = 0; i < 3; i++) good(i);
  EXPECT_EQ(standings(), "GGG");
}

TEST_F(PanicTest, NeverLeavesNobodyBecauseOfAJudgement) {
  pool(3);
  after(1s);
  for (size_t i = 0; i < 3; i++) down(i, Evidence::kJudged);
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
  for (size_t i = 0; i < 3; i++) down(i, Evidence::kUnanswered);
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
  for (size_t i = 0; i < 2; i++) down(i, Evidence::kRefused);
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
  for (size_t i = 0; i < 2; i++) down(i, Evidence::kUnanswered);
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
  for (size_t i = 0; i < 2; i++) down(i, Evidence::kCertificate);
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
  for (size_t i = 0; i < 2; i++) down(i, Evidence::kRefused);
  panic_.on_heard(2, now_);
  EXPECT_EQ(standings(), "HHGG") << "two of three";
}

TEST_F(PanicTest, WithShareOneOnlyEvidenceCounts) {
  pool(2, 1.0);
  after(1s);
  for (size_t i = 0; i < 2; i++) down(i, Evidence::kRefused);
  EXPECT_EQ(standings(), "DD");
  panic_ = {};
  pool(2, 1.0);
  after(1s);
  for (size_t i = 0; i < 2; i++) down(i, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "HH") << "all behind one port are still one event";
  panic_ = {};
  pool(1, 1.0);
  after(1s);
  down(0, Evidence::kRefused);
  EXPECT_EQ(standings(), "D");
}

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
  for (size_t i = 0; i < 3; i++) down(i, Evidence::kUnanswered);
  EXPECT_EQ(standings(), "HHH");
  after(180s);
  for (int probe = 0; probe < 3; probe++) {
    for (size_t i = 0; i < 3; i++) down(i, Evidence::kUnanswered);
    EXPECT_EQ(standings(), "OOO");
    after(500ms);
    for (size_t i = 0; i < 3; i++) panic_.on_host_heard(i, now_);
    EXPECT_EQ(standings(), "OOO") << "tables are not made anew with every probe";
    after(500ms);
  }
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

TEST_F(PanicTest, WhoIsInNoGroupIsJudgedAlone) {
  pool(3);
  panic_.follow({{1, ip("10.0.1.1")}, {2, ip("10.0.1.2")}, {3, ip("10.0.1.3")}}, {});
  panic_.interrupt(0, "the link is down", now_);
  panic_.restore(0, now_);
  after(1s);
  for (size_t i = 0; i < 3; i++) down(i, Evidence::kRefused);
  EXPECT_EQ(standings(), "HHH");
  after(180s);
  for (size_t i = 0; i < 3; i++) down(i, Evidence::kRefused);
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

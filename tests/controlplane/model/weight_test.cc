// SPDX-License-Identifier: Apache-2.0
//
// What moves the weight of members that are not down: tiers, slow start, soft verdicts, agents; and their certificates.
#include <gtest/gtest.h>

#include "controlplane/weights/slow_start.h"
#include "controlplane/weights/tier.h"
#include "tests/controlplane/support/model_fixture.h"

namespace sluice::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WeightTest : public ModelTest {
 protected:
  void pass(milliseconds time, Model& model) {
    now_ += time;
    model.refresh();
  }
  void down(Model& model, size_t member) {
    model.set_health(member, Health::kDown, "dead");
    model.refresh();
  }
  void up(Model& model, size_t member) {
    model.set_health(member, Health::kUp, "healthy");
    model.refresh();
  }
};

TEST(SlowStart, GrowsByEqualStepsFromATenth) {
  const milliseconds length = seconds(60);
  EXPECT_DOUBLE_EQ(slow_start_share(seconds(0), length), 0.1);
  EXPECT_DOUBLE_EQ(slow_start_share(milliseconds(5999), length), 0.1);
  EXPECT_DOUBLE_EQ(slow_start_share(seconds(30), length), 0.55);
  EXPECT_DOUBLE_EQ(slow_start_share(milliseconds(59999), length), 0.91);
  EXPECT_DOUBLE_EQ(slow_start_share(seconds(60), length), 1);
}

TEST(SlowStart, SaysWhenEachStepIsDue) {
  for (const milliseconds length : {milliseconds(1), milliseconds(7), milliseconds(333), milliseconds(60000)}) {
    SCOPED_TRACE(length.count());
    milliseconds at{0};
    int steps = 0;
    while (const auto next = next_slow_start_step(at, length)) {
      ASSERT_GT(*next, at);
      EXPECT_GT(slow_start_share(*next, length), slow_start_share(at, length));
      at = *next;
      ASSERT_LE(++steps, kSlowStartSteps);
    }
    EXPECT_EQ(at, length);
  }
}

TEST(TierChoice, LeavesATierThatIsOutAtOnceAndComesBackAfterTheHold) {
  TierChoice tiers;
  const TierChoice::Time t0{seconds(1000)};
  EXPECT_FALSE(tiers.update(std::nullopt, true, seconds(10), t0));
  EXPECT_FALSE(tiers.active());
  EXPECT_FALSE(tiers.update(0, true, seconds(10), t0)) << "the first choice is no change";
  EXPECT_EQ(tiers.active(), 0u);
  EXPECT_EQ(tiers.update(1, true, seconds(10), t0), "tier 1 takes the traffic, as tier 0 is out");
  EXPECT_FALSE(tiers.update(0, false, seconds(10), t0 + seconds(5)));
  EXPECT_EQ(tiers.due(), t0 + seconds(15));
  EXPECT_FALSE(tiers.update(1, false, seconds(10), t0 + seconds(9))) << "it flaps";
  EXPECT_FALSE(tiers.due());
  EXPECT_FALSE(tiers.update(0, false, seconds(10), t0 + seconds(12)));
  EXPECT_FALSE(tiers.update(0, false, seconds(10), t0 + seconds(21)));
  EXPECT_EQ(tiers.update(0, false, seconds(10), t0 + seconds(22)), "tier 0 takes the traffic again");
}

TEST(TierChoice, HoldsAsLongWhenTheClockIsSet) {
  for (const auto by : {TierChoice::Time::duration(std::chrono::hours(1)), -TierChoice::Time::duration(seconds(500))}) {
    TierChoice tiers;
    const TierChoice::Time t0{seconds(1000)};
    tiers.update(1, true, seconds(10), t0);
    EXPECT_FALSE(tiers.update(0, false, seconds(10), t0));
    tiers.move_times(by);
    EXPECT_FALSE(tiers.update(0, false, seconds(10), t0 + by + seconds(9)));
    EXPECT_TRUE(tiers.update(0, false, seconds(10), t0 + by + seconds(10)));
  }
}

TEST(TierChoice, DoesNotWaitForTheHoldWhenTheActiveTierIsOut) {
  TierChoice tiers;
  const TierChoice::Time t0{seconds(1000)};
  tiers.update(2, true, seconds(10), t0);
  tiers.update(0, false, seconds(10), t0);
  EXPECT_EQ(tiers.update(0, true, seconds(10), t0 + seconds(1)), "tier 0 takes the traffic, as tier 2 is out");
}

TEST_F(WeightTest, GivesTrafficToASpareOnlyWhileItsBettersAreOut) {
  config_.pools[0].backends[2].tier = 1;
  Model model = this->model();
  bring_up(model);
  EXPECT_EQ(entries_of(model, 0, "mta3"), 0u);
  EXPECT_EQ(model.members()[2].tier.reason, "tier 1, and tier 0 takes the traffic");
  EXPECT_EQ(model.desired().backends[2].weight, 0);
  down(model, 0);
  EXPECT_EQ(entries_of(model, 0, "mta2"), 101u) << "one of tier 0 is enough";
  down(model, 1);
  EXPECT_EQ(entries_of(model, 0, "mta3"), 101u);
  EXPECT_TRUE(journal_says("mta:25 (relay)", "tier 1 takes the traffic, as tier 0 is out"));

  up(model, 0);
  EXPECT_EQ(entries_of(model, 0, "mta3"), 101u) << "not before the hold is over";
  EXPECT_EQ(model.next_step(), now_ + config_.pools[0].tier_hold);
  pass(config_.pools[0].tier_hold, model);
  EXPECT_EQ(entries_of(model, 0, "mta1"), 101u);
  EXPECT_FALSE(model.next_step());
}

TEST_F(WeightTest, GivesTheTrafficAtOnceToATierThatHadNotBeenCheckedBefore) {
  config_.pools[0].backends[2].tier = 1;
  Model model = this->model();
  for (size_t i = 0; i < 3; i++) model.set_next_hop(i, kHop);
  up(model, 2);
  EXPECT_EQ(entries_of(model, 0, "mta3"), 101u) << "the first that is known to be well";
  up(model, 0);
  EXPECT_EQ(entries_of(model, 0, "mta1"), 101u) << "it was never out";
}

TEST_F(WeightTest, TellsTheDataPlaneOfASpareThatComesUpWhileItIsWaitedFor) {
  config_.pools[0].backends[2].tier = 1;
  Model model = this->model();
  bring_up(model);
  for (const size_t member : {2, 0, 1}) down(model, member);
  EXPECT_FALSE(model.placements()[0].in_service);
  EXPECT_TRUE(model.set_health(2, Health::kUp, "healthy"));
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta3"), 101u);
}

TEST_F(WeightTest, BringsABackendThatWasOutBackByStepsWithinTheSlowStart) {
  config_.pools[0].slow_start = seconds(60);
  Model model = this->model();
  bring_up(model);
  EXPECT_EQ(entries_of(model, 0, "mta1"), 34u) << "the first time is no recovery";
  down(model, 0);
  now_ += seconds(100);
  up(model, 0);
  EXPECT_EQ(model.desired().backends[0].weight, 10);
  EXPECT_EQ(model.members()[0].slow_start.reason, "10% of its way back after it was out");
  size_t tables = 0;
  auto table = model.desired().services[0].table;
  const SystemTime begun = now_;
  while (model.next_step()) {
    ASSERT_GT(*model.next_step(), now_);
    now_ = *model.next_step();
    model.refresh();
    tables += model.desired().services[0].table != table;
    table = model.desired().services[0].table;
  }
  EXPECT_EQ(now_ - begun, seconds(60));
  EXPECT_EQ(tables, 10u);
  EXPECT_EQ(entries_of(model, 0, "mta1"), 34u);
  EXPECT_EQ(model.members()[0].slow_start, Factor{});
}

TEST_F(WeightTest, StarvesNobodyWhenAllComeBackAtOnce) {
  config_.pools[0].slow_start = seconds(60);
  Model model = this->model();
  bring_up(model);
  for (const size_t member : {0, 1, 2}) down(model, member);
  for (const size_t member : {0, 1}) model.set_health(member, Health::kUp, "healthy");
  model.refresh();
  EXPECT_EQ(model.desired().backends[0].weight, 100) << "nobody to take over meanwhile";
  EXPECT_EQ(model.desired().backends[1].weight, 100);
  const auto table = model.desired().services[0].table;
  pass(seconds(30), model);
  EXPECT_EQ(model.desired().services[0].table, table) << "nothing has changed between them";
  up(model, 2);
  EXPECT_EQ(model.desired().backends[0].weight, 100);
  EXPECT_EQ(model.desired().backends[2].weight, 18) << "a tenth, beside 55 hundredths";
}

TEST_F(WeightTest, LeavesASoftBackendAShareOfItsWeightAndItsFlows) {
  config_.checks[0].soft_weight = 0.25;
  Model model = this->model();
  bring_up(model);
  EXPECT_TRUE(model.set_health(0, Health::kSoft, "soft at greeting: 421 busy (3 in a row)"));
  model.refresh();
  EXPECT_EQ(model.members()[0].state(), "soft");
  EXPECT_EQ(model.desired().backends[0].weight, 25);
  EXPECT_EQ(model.desired().backends[0].flags, channel::kBackendReachable) << "not down: its flows go on";
  EXPECT_TRUE(model.members()[0].is_usable());
  EXPECT_TRUE(model.is_settled());
  EXPECT_TRUE(journal_says("mta/mta1:25", "soft (was up): soft at greeting: 421 busy (3 in a row)"));
}

TEST_F(WeightTest, KeepsAPoolInServiceWhoseBackendsAreAllSoft) {
  config_.pools[0].min_healthy = 2;
  Model model = this->model();
  bring_up(model);
  for (const size_t member : {0, 1, 2}) model.set_health(member, Health::kSoft, "421");
  model.refresh();
  EXPECT_TRUE(model.placements()[0].in_service);
  EXPECT_EQ(entries_of(model, 0, "mta1"), 34u);
}

TEST_F(WeightTest, TakesASoftBackendOutWhoseSoftWeightIsNothing) {
  config_.checks[0].soft_weight = 0;
  Model model = this->model();
  bring_up(model);
  model.set_health(0, Health::kSoft, "421");
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta1"), 0u);
  EXPECT_FALSE(model.members()[0].is_usable());
}

TEST_F(WeightTest, TakesABackendOutThatItsAgentWantsOut) {
  Model model = this->model();
  bring_up(model);
  EXPECT_TRUE(model.set_factor(0, &Member::agent, {0, "agent: drain"}));
  model.refresh();
  EXPECT_EQ(model.members()[0].state(), "draining");
  EXPECT_EQ(model.members()[0].reason(), "agent: drain");
  EXPECT_EQ(entries_of(model, 0, "mta1"), 0u);
  EXPECT_EQ(model.desired().backends[0].flags, channel::kBackendReachable);
  EXPECT_EQ(model.placements()[0].reason, "2 of 3 backends usable, min_healthy 0");
  EXPECT_TRUE(model.set_agent_max_connections(0, 30));
  EXPECT_EQ(model.desired().backends[0].max_connections, 30u);
  EXPECT_TRUE(model.set_agent_max_connections(0, std::nullopt));
  EXPECT_EQ(model.desired().backends[0].max_connections, 0u);
}

TEST_F(WeightTest, WatchesADialogueOnlyWhereThePoolIsJudgedByIt) {
  EXPECT_EQ(model().desired().services[0].flags, 0);
  config_.pools[0].passive.enabled = false;
  EXPECT_EQ(model().desired().services[0].flags, channel::kServiceUnobserved);
}

TEST_F(WeightTest, KeepsItsStateOverAReload) {
  config_.pools[0].slow_start = seconds(60);
  config_.pools[0].backends[2].tier = 1;
  Model before = this->model();
  bring_up(before);
  for (const size_t member : {0, 1}) down(before, member);
  up(before, 0);
  before.set_factor(0, &Member::passive, {0.5, "slow"});
  now_ += seconds(5);
  Model after = this->model();
  after.take_over(before);
  after.refresh();
  EXPECT_EQ(after.placements()[0].tiers.active(), 1u);
  EXPECT_EQ(after.next_step(), now_ + seconds(1)) << "the slow start goes on";
  EXPECT_EQ(after.members()[0].passive, (Factor{0.5, "slow"}));
  pass(seconds(5), after);
  EXPECT_EQ(after.placements()[0].tiers.active(), 0u) << "and so does the hold";
}

health::Verdict shows(const std::string& certificate, const std::string& key,
                      health::Fact fact = health::Fact::kHealthy) {
  health::Verdict out{.fact = fact, .step = health::Step::kTls};
  out.certificate = health::Certificate{.subject = "CN=mx", .sha256 = certificate, .key_sha256 = key};
  return out;
}

TEST_F(WeightTest, ReportsMembersThatShowDifferentCertificatesForOneName) {
  Model model = this->model();
  bring_up(model);
  model.set_certificate(0, shows("aa", "k1"), "mx.example.net");
  model.set_certificate(1, shows("aa", "k1"), "mx.example.net");
  EXPECT_EQ(model.placements()[0].certificate_fault, "");
  model.set_certificate(2, shows("bb", "k2"), "mx.example.net");
  EXPECT_EQ(model.placements()[0].certificate_fault,
            "backends show different keys for mx.example.net: mta1 (aa), mta2 (aa), mta3 (bb)");
  EXPECT_TRUE(journal_says("mta:25 (relay)", "different keys for mx.example.net"));
  const size_t entries = journal_.entries().size();
  model.set_certificate(2, shows("bb", "k2"), "mx.example.net");
  EXPECT_EQ(journal_.entries().size(), entries) << "once";
  model.set_certificate(2, shows("cc", "k1"), "mx.example.net");
  EXPECT_TRUE(journal_says("mta:25 (relay)", "different certificates (over one key) for mx.example.net"));
  model.set_certificate(2, shows("aa", "k1"), "mx.example.net");
  EXPECT_EQ(model.placements()[0].certificate_fault, "");
  EXPECT_TRUE(journal_says("mta:25 (relay)", "one certificate again"));
}

TEST_F(WeightTest, ReportsACertificateThatIsAboutToExpireOnce) {
  Model model = this->model();
  bring_up(model);
  health::Verdict verdict = shows("aa", "k1", health::Fact::kCertificateExpiring);
  verdict.detail = "certificate has 12 days left";
  const size_t entries = journal_.entries().size();
  model.set_certificate(0, verdict, "mx.example.net");
  model.set_certificate(0, verdict, "mx.example.net");
  EXPECT_EQ(journal_.entries().size(), entries + 1);
  EXPECT_TRUE(journal_says("mta/mta1:25", "certificate_expiring at tls: certificate has 12 days left"));
}

}  // namespace
}  // namespace sluice::control

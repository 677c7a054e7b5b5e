// SPDX-License-Identifier: Apache-2.0
//
// What the network is told of VIPs, and when.
#include "controlplane/announce/announcement.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/ip.h"
#include "tests/support/seed.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

class AnnouncementTest : public testing::Test {
 protected:
  AnnouncementTest() {
    config_.mode = config::AnnounceMode::kRoutes;
    config_.hold_down = 3s;
    announcement_.follow(config_);
    facts_.vips = {{vip_, true, "", false}};
  }

  void set(bool in_service) { facts_.vips[0] = {vip_, in_service, in_service ? "" : "relay: nobody is well", false}; }
  void pass(std::chrono::milliseconds time) { now_ += time; }
  bool update() { return announcement_.update(facts_, now_); }
  void announce() {
    update();
    pass(3s);
    update();
    ASSERT_EQ(state(), VipState::kAnnounced);
  }
  const Announcement::Vip& vip() const { return announcement_.vips().at(vip_); }
  VipState state() const { return vip().state; }
  std::string events() const {
    std::string out;
    for (const JournalEntry& entry : journal_.entries()) out += entry.subject + " " + entry.text + "\n";
    return out;
  }

  const config::IpAddress vip_ = ip("192.0.2.25");
  Journal journal_;
  Announcement announcement_{journal_};
  config::Announce config_;
  NodeFacts facts_;
  Announcement::Clock::time_point now_{100s};
};

TEST_F(AnnouncementTest, WaitsForTheHoldDownInBothDirections) {
  update();
  EXPECT_EQ(state(), VipState::kWithdrawn);
  ASSERT_TRUE(vip().pending);
  EXPECT_EQ(vip().pending->to, VipState::kAnnounced);
  EXPECT_EQ(announcement_.next_step(), now_ + 3s);
  pass(2999ms);
  EXPECT_FALSE(update());
  pass(1ms);
  EXPECT_TRUE(update());
  EXPECT_EQ(state(), VipState::kAnnounced);
  EXPECT_FALSE(announcement_.next_step());

  set(false);
  update();
  EXPECT_EQ(vip().pending->to, VipState::kWithdrawn);
  pass(2999ms);
  EXPECT_FALSE(update());
  pass(1ms);
  EXPECT_TRUE(update());
  EXPECT_EQ(state(), VipState::kWithdrawn);
  EXPECT_EQ(vip().reason, "relay: nobody is well");
  EXPECT_EQ(events(), "192.0.2.25 announced: in service\n192.0.2.25 withdrawn: relay: nobody is well\n");
}

TEST_F(AnnouncementTest, StaysAsItIsWhileABackendFlaps) {
  announce();
  for (int i = 0; i < 100; i++, pass(2s)) {
    set(i % 2 == 0);
    EXPECT_FALSE(update());
  }
  EXPECT_EQ(state(), VipState::kAnnounced);
}

TEST_F(AnnouncementTest, WaitsTwiceAsLongEachTimeThatAVipGoesSoonAfterItCame) {
  announce();
  for (unsigned round = 0; round < 8; round++) {
    set(false);
    update();
    pass(3s);
    update();
    ASSERT_EQ(state(), VipState::kWithdrawn) << round;
    set(true);
    update();
    const auto wait = 3s * (1U << std::min(round + 1, Announcement::kMaxStrikes));
    EXPECT_EQ(announcement_.next_step(), now_ + wait) << round;
    pass(wait);
    update();
    ASSERT_EQ(state(), VipState::kAnnounced) << round;
  }
  pass(3s * Announcement::kCalm);  // there for long
  set(false);
  update();
  pass(3s);
  update();
  set(true);
  update();
  EXPECT_EQ(announcement_.next_step(), now_ + 3s);
}

TEST_F(AnnouncementTest, WithdrawsAtOnceWherePacketsAreLostAndComesBackAfterTheHoldDown) {
  config_.last_node = config::LastNode::kStay;
  announcement_.follow(config_);
  announce();
  pass(1h);
  facts_.fault = "the data plane is not connected: gone";
  EXPECT_TRUE(update());
  EXPECT_EQ(state(), VipState::kWithdrawn) << "also the last node";
  EXPECT_EQ(vip().reason, facts_.fault);
  EXPECT_FALSE(vip().pending);
  facts_.fault.clear();
  update();
  EXPECT_EQ(state(), VipState::kWithdrawn);
  EXPECT_EQ(vip().pending->to, VipState::kAnnounced);
  pass(3s);
  update();
  EXPECT_EQ(state(), VipState::kAnnounced);
}

TEST_F(AnnouncementTest, TheLastNodeStaysAtTheDrainingMetric) {
  config_.last_node = config::LastNode::kStay;
  announcement_.follow(config_);
  announce();
  set(false);
  update();
  EXPECT_EQ(vip().pending->to, VipState::kDraining);
  pass(3s);
  update();
  EXPECT_EQ(state(), VipState::kDraining);
  EXPECT_EQ(vip().reason, "relay: nobody is well; the last node stays");
  EXPECT_EQ(announcement_.metric_of(state()), 200u);
  set(true);
  update();
  pass(6s);
  update();
  EXPECT_EQ(announcement_.metric_of(state()), 100u);
}

TEST_F(AnnouncementTest, TheLastNodeIsThereAfterTheHoldDownThoughNothingWasEverWell) {
  config_.last_node = config::LastNode::kStay;
  announcement_.follow(config_);
  set(false);
  update();
  EXPECT_EQ(state(), VipState::kWithdrawn);
  EXPECT_EQ(announcement_.next_step(), now_ + 3s);
  pass(3s);
  update();
  EXPECT_EQ(state(), VipState::kDraining);
}

TEST_F(AnnouncementTest, DrainsAtOnceAndIsOutAtOnceWhenTheOperatorSaysSo) {
  announce();
  facts_.draining = true;
  EXPECT_TRUE(update());
  EXPECT_EQ(state(), VipState::kDraining);
  facts_.out = true;
  EXPECT_TRUE(update());
  EXPECT_EQ(state(), VipState::kWithdrawn);
  EXPECT_FALSE(announcement_.metric_of(state()));
  facts_.draining = facts_.out = false;
  EXPECT_TRUE(update());
  EXPECT_EQ(state(), VipState::kAnnounced) << "its services were in service all the while";
}

TEST_F(AnnouncementTest, ARestartOfControlIsNoEvent) {
  announcement_.adopt(vip_, VipState::kAnnounced, true, now_);
  EXPECT_FALSE(update());
  EXPECT_EQ(state(), VipState::kAnnounced);
  EXPECT_EQ(events(), "");
  set(false);
  update();
  EXPECT_EQ(state(), VipState::kAnnounced) << "for the time of the hold-down";
  pass(3s);
  update();
  EXPECT_EQ(state(), VipState::kWithdrawn);
}

TEST_F(AnnouncementTest, ARestartOfControlInADrainIsNoneEither) {
  announcement_.adopt(vip_, VipState::kDraining, true, now_);
  facts_.draining = true;
  EXPECT_FALSE(update());
  EXPECT_EQ(state(), VipState::kDraining);
}

TEST_F(AnnouncementTest, ARestartOfTheLastNodeIsNoneEither) {
  config_.last_node = config::LastNode::kStay;
  announcement_.follow(config_);
  announcement_.adopt(vip_, VipState::kDraining, false, now_);
  set(false);
  EXPECT_FALSE(update());
  EXPECT_EQ(state(), VipState::kDraining);
}

TEST_F(AnnouncementTest, AVipThatLeavesTheFileDrainsWhileSessionsAreOpen) {
  announce();
  facts_.vips[0] = {vip_, false, "", true};
  update();
  EXPECT_EQ(state(), VipState::kDraining);
  facts_.vips.clear();
  EXPECT_TRUE(update());
  EXPECT_TRUE(announcement_.vips().empty());
  EXPECT_NE(events().find("192.0.2.25 withdrawn: no service has it any more"), std::string::npos);
  facts_.vips = {{vip_, false, "", true}};
  update();
  EXPECT_EQ(state(), VipState::kWithdrawn) << "what is not announced does not begin to be";
}

TEST_F(AnnouncementTest, NothingFollowsFromAServiceThatHasNotBeenJudgedYet) {
  facts_.vips[0].is_known = false;
  update();
  pass(1h);
  update();
  EXPECT_EQ(state(), VipState::kWithdrawn);
  facts_.vips[0].is_known = true;
  announce();
  facts_.vips[0] = {vip_, false, "submission: not started yet", false, false};
  update();
  EXPECT_FALSE(vip().pending);
  pass(1h);
  EXPECT_FALSE(update());
  EXPECT_EQ(state(), VipState::kAnnounced);
}

TEST_F(AnnouncementTest, EachVipIsJudgedForItself) {
  facts_.vips = {{vip_, true, "", false}, {ip("2001:db8::25"), false, "relay6: nobody is well", false}};
  update();
  pass(3s);
  update();
  EXPECT_EQ(state(), VipState::kAnnounced);
  EXPECT_EQ(announcement_.vips().at(ip("2001:db8::25")).state, VipState::kWithdrawn);
}

TEST_F(AnnouncementTest, WithoutAModeItJudgesAndTellsNobody) {
  config_.mode = config::AnnounceMode::kNone;
  announcement_.follow(config_);
  announce();
  EXPECT_EQ(events(), "");
}

TEST_F(AnnouncementTest, WhateverHappensItNeverChangesByServicesOftenerThanTheHoldDown) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  std::mt19937 random(seed);
  update();
  auto last_change = now_ - 1h;
  for (int i = 0; i < 20'000; i++) {
    pass(std::chrono::milliseconds(random() % 2000));
    set(random() % 2 == 0);
    if (update()) {
      EXPECT_GE(now_ - last_change, 3s);
      last_change = now_;
    }
    const auto step = announcement_.next_step();
    EXPECT_TRUE(!step || *step > now_);
  }
}

}  // namespace
}  // namespace sluice::control

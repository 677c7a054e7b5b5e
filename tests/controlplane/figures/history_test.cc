// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/history.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice::control {
namespace {

using channel::SmtpCounter;
using namespace std::chrono_literals;

TEST(PointBetween, TurnsCountersIntoRates) {
  Totals before, now;
  before.flows_created = 100;
  now.flows_created = 150;
  now.flows_now = 7;
  now.flows_established = 30;
  now.flows_refused = 4;
  now.bytes_in = 2000;
  now.bytes_out = 1000;
  now.smtp[SmtpCounter::kGreeting2xx] = 20;
  now.smtp[SmtpCounter::kGreeting4xx] = 2;
  now.smtp[SmtpCounter::kGreeting421] = 4;
  now.smtp[SmtpCounter::kGreeting5xx] = 6;
  now.smtp[SmtpCounter::kGreetingNone] = 8;
  now.smtp[channel::refusal(channel::SmtpStep::kConnect, false)] = 6;  // the greetings: not counted twice
  now.smtp[channel::refusal(channel::SmtpStep::kRcpt, false)] = 10;
  now.smtp[channel::refusal(channel::SmtpStep::kUnknown, true)] = 12;
  now.smtp[SmtpCounter::kMessagesAccepted] = 14;
  for (int i = 0; i < 20; i++) now.smtp.greeting.add(5);
  const Point point = point_between(before, now, 2);
  EXPECT_FLOAT_EQ(point[Series::kFlowsNow], 7);
  EXPECT_FLOAT_EQ(point[Series::kNewFlows], 25);
  EXPECT_FLOAT_EQ(point[Series::kEstablished], 15);
  EXPECT_FLOAT_EQ(point[Series::kRefused], 2);
  EXPECT_FLOAT_EQ(point[Series::kBytesIn], 1000);
  EXPECT_FLOAT_EQ(point[Series::kBytesOut], 500);
  EXPECT_FLOAT_EQ(point[Series::kGreetingP50], 6);
  EXPECT_FLOAT_EQ(point[Series::kGreetings2xx], 10);
  EXPECT_FLOAT_EQ(point[Series::kGreetings4xx], 3);
  EXPECT_FLOAT_EQ(point[Series::kGreetings5xx], 3);
  EXPECT_FLOAT_EQ(point[Series::kGreetingsNone], 4);
  EXPECT_FLOAT_EQ(point[Series::kReplies4xx], 5);
  EXPECT_FLOAT_EQ(point[Series::kReplies5xx], 6);
  EXPECT_FLOAT_EQ(point[Series::kMessages], 7);
}

TEST(PointBetween, KnowsNoGreetingTimeWithoutGreetingsAndNoRateBelowZero) {
  Totals before;
  before.flows_created = 100;  // before the data plane was restarted
  before.smtp.greeting.add(5);
  const Point point = point_between(before, Totals{}, 1);
  EXPECT_FLOAT_EQ(point[Series::kNewFlows], 0);
  EXPECT_TRUE(std::isnan(point[Series::kGreetingP50]));
  EXPECT_TRUE(std::isnan(point[Series::kGreetingP95]));
}

TEST(Track, KeepsTheNewestInOrder) {
  Track track(3);
  for (int i = 1; i <= 5; i++) {
    Point point;
    point[Series::kNewFlows] = static_cast<float>(i);
    track.add(point);
  }
  std::vector<float> seen;
  for (const Point& point : track.points()) seen.push_back(point[Series::kNewFlows]);
  EXPECT_EQ(seen, (std::vector<float>{3, 4, 5}));
  EXPECT_FLOAT_EQ(track.newest()[Series::kNewFlows], 5);
}

class HistoryTest : public testing::Test {
 protected:
  /// One reading in which "a" has placed `created` flows so far.
  void read(std::optional<uint64_t> created) {
    std::optional<Totals> totals;
    if (created) totals.emplace().flows_created = *created;
    history_.begin(now_);
    history_.read("a", totals);
    history_.end();
    now_ += 1s;
  }
  std::vector<float> new_flows(uint32_t step_s) const {
    std::vector<float> out;
    for (const Point& point : history_.points("a", step_s)) out.push_back(point[Series::kNewFlows]);
    return out;
  }
  History history_;
  History::Time now_{};
};

TEST_F(HistoryTest, HasAPointForEachSecondAndEachTen) {
  EXPECT_EQ(history_.newest("a"), std::nullopt);
  for (uint64_t second = 0; second <= 20; second++) read(second * second);
  EXPECT_EQ(new_flows(1).size(), 20u);
  EXPECT_FLOAT_EQ(new_flows(1).back(), 39);  // 20² - 19²
  EXPECT_EQ(new_flows(10), (std::vector<float>{10, 30}));
  EXPECT_FLOAT_EQ((*history_.newest("a"))[Series::kNewFlows], 39);
}

TEST_F(HistoryTest, IsBounded) {
  for (uint64_t second = 0; second < 5000; second++) read(second);
  EXPECT_EQ(new_flows(1).size(), History::kFinePoints);
  EXPECT_EQ(new_flows(10).size(), History::kCoarsePoints);
  history_.begin(now_);
  for (size_t i = 0; i < History::kMaxSubjects + 10; i++) history_.read(std::to_string(i), Totals{});
  history_.end();
  now_ += 1s;
  history_.begin(now_);
  for (size_t i = 0; i < History::kMaxSubjects + 10; i++) history_.read(std::to_string(i), Totals{});
  history_.end();
  EXPECT_TRUE(history_.newest("0"));
  EXPECT_FALSE(history_.newest(std::to_string(History::kMaxSubjects + 9)));
}

TEST_F(HistoryTest, LeavesAGapWhileNothingIsKnown) {
  read(10);
  read(20);
  read(std::nullopt);
  read(100);
  read(105);
  const std::vector<float> seen = new_flows(1);
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_FLOAT_EQ(seen[0], 10);
  EXPECT_TRUE(std::isnan(seen[1]));
  EXPECT_TRUE(std::isnan(seen[2])) << "what happened meanwhile is not of this second";
  EXPECT_FLOAT_EQ(seen[3], 5);
}

TEST_F(HistoryTest, ForgetsWhatIsGone) {
  read(1);
  read(2);
  EXPECT_TRUE(history_.newest("a"));
  history_.begin(now_);
  history_.end();
  EXPECT_FALSE(history_.newest("a"));
}

TEST_F(HistoryTest, CountsASubjectThatIsReadTwiceOnce) {
  for (uint64_t second = 0; second < 3; second++) {
    history_.begin(now_);
    Totals totals;
    totals.flows_created = second * 10;
    history_.read("a", totals);
    history_.read("a", totals);
    history_.end();
    now_ += 1s;
  }
  EXPECT_EQ(new_flows(1), (std::vector<float>{10, 10}));
}

}  // namespace
}  // namespace sluice::control

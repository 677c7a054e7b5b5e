// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/rise_fall.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "healthcheck/schedule.h"

namespace sluice::health {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

RiseFall::Time at(int second) {
  return RiseFall::Time(seconds(second));
}

/// '+' a success, '~' put off, '-' a failure; expected is one letter per result: u(nknown), U(p), S(oft), D(own).
struct Case {
  uint32_t rise, fall;
  std::string results, expected;
};

Outcome outcome(char letter) {
  return letter == '+' ? Outcome::kPass : letter == '~' ? Outcome::kSoft : Outcome::kFail;
}

TEST(RiseFall, CountsResultsInARow) {
  const std::vector<Case> cases{
      {2, 3, "+", "U"},                    // the first success is enough
      {2, 3, "---", "uuD"},                // never seen up: down after `fall`
      {2, 3, "--+", "uuU"},                // or up by the first success
      {2, 3, "+---", "UUUD"},              //
      {2, 3, "+--+--+--+", "UUUUUUUUUU"},  // a success starts the count again
      {2, 3, "+---+-+-++", "UUUDDDDDDU"},  // and so does a failure on the way up
      {1, 1, "+-+-", "UDUD"},              //
      {3, 1, "-+++-", "DDDUD"},            // recovery needs `rise`, also when it was never up
      {2, 3, "+~~~", "UUUS"},              // put off `fall` times
      {2, 3, "~~~~", "uuSS"},              //
      {2, 3, "+~-~", "UUUS"},              // by turns with failures
      {2, 3, "+~~~++", "UUUSSU"},          // recovers like any other
      {2, 3, "+~~~---", "UUUSSSD"},        // and goes down like any other
      {2, 3, "+---~~", "UUUDDS"},          // lives again after `rise` answers
      {2, 3, "---~+", "uuDDD"},            // answers, but is not up before `rise` successes
      {2, 3, "---+~~", "uuDDSS"},          //
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.results);
    RiseFall machine(c.rise, c.fall, at(0));
    std::string seen;
    for (size_t i = 0; i < c.results.size(); i++) {
      const Health before = machine.health();
      const bool changed = machine.on_result(outcome(c.results[i]), at(static_cast<int>(i) + 1));
      EXPECT_EQ(changed, machine.health() != before);
      EXPECT_EQ(machine.since() == at(static_cast<int>(i) + 1), changed);
      seen += "uUSD"[static_cast<size_t>(machine.health())];
    }
    EXPECT_EQ(seen, c.expected);
  }
}

TEST(RiseFall, IsChangingWhileTheNextResultsMayTipIt) {
  RiseFall machine(2, 2, at(0));
  EXPECT_TRUE(machine.is_changing()) << "unknown";
  machine.on_result(Outcome::kPass, at(1));
  EXPECT_FALSE(machine.is_changing()) << "up";
  machine.on_result(Outcome::kFail, at(2));
  EXPECT_TRUE(machine.is_changing()) << "up, one failure";
  machine.on_result(Outcome::kFail, at(3));
  EXPECT_FALSE(machine.is_changing()) << "down";
  machine.on_result(Outcome::kPass, at(4));
  EXPECT_TRUE(machine.is_changing()) << "down, one success";
}

TEST(RiseFall, KeepsItsCountUnderNewBounds) {
  RiseFall machine(2, 5, at(0));
  machine.on_result(Outcome::kPass, at(1));
  machine.on_result(Outcome::kFail, at(2));
  machine.on_result(Outcome::kFail, at(3));
  machine.set_bounds(2, 3);
  EXPECT_EQ(machine.health(), Health::kUp);
  EXPECT_TRUE(machine.on_result(Outcome::kFail, at(4)));
  EXPECT_EQ(machine.health(), Health::kDown);
  EXPECT_EQ(machine.failures(), 3u);
}

TEST(Schedule, ProbesAFewAtOnceAndSpreadsManyOverAnInterval) {
  const config::Check check{.interval = milliseconds(5000)};
  EXPECT_EQ(initial_delay(0, 3, check), microseconds(0));
  EXPECT_EQ(initial_delay(2, 3, check), milliseconds(2));
  EXPECT_EQ(initial_delay(19999, 20000, check), microseconds(19999 * 250));
  EXPECT_LT(initial_delay(19999, 20000, check), check.interval);
}

TEST(Schedule, CountsFromStartToStartWithJitterEitherWay) {
  const config::Check check{.interval = milliseconds(5000), .jitter = 0.2, .fast_interval = milliseconds(1000)};
  EXPECT_EQ(next_delay(check, false, milliseconds(100), 0.5), milliseconds(4900));
  EXPECT_EQ(next_delay(check, false, milliseconds(0), 0.0), milliseconds(4000));
  EXPECT_EQ(next_delay(check, false, milliseconds(0), 1.0), milliseconds(6000));
  EXPECT_EQ(next_delay(check, true, milliseconds(100), 0.5), milliseconds(900));
}

TEST(Schedule, PausesAfterAProbeSlowerThanItsInterval) {
  const config::Check check{.interval = milliseconds(5000), .jitter = 0.2, .fast_interval = milliseconds(1000)};
  EXPECT_EQ(next_delay(check, false, seconds(15), 0.5), milliseconds(500));
  EXPECT_EQ(next_delay(check, true, seconds(15), 0.5), milliseconds(100));
}

TEST(Schedule, NeverSlowsDownForAFastInterval) {
  const config::Check check{.interval = milliseconds(500), .jitter = 0.0, .fast_interval = milliseconds(1000)};
  EXPECT_EQ(next_delay(check, true, milliseconds(0), 0.5), milliseconds(500));
}

TEST(RiseFall, StartsOverFromZeroAndKeepsItsHealthUntilItIsConfirmedOrChanged) {
  RiseFall state(2, 3, at(0));
  state.on_result(Outcome::kPass, at(0));
  for (int i = 1; i <= 2; i++) state.on_result(Outcome::kFail, at(i));
  state.start_over();
  EXPECT_EQ(state.health(), Health::kUp);
  EXPECT_FALSE(state.is_settled());
  EXPECT_TRUE(state.is_changing()) << "worth a faster look";
  EXPECT_FALSE(state.on_result(Outcome::kFail, at(3))) << "those before do not count";
  EXPECT_FALSE(state.on_result(Outcome::kPass, at(4)));
  EXPECT_FALSE(state.is_settled());
  EXPECT_FALSE(state.on_result(Outcome::kPass, at(5)));
  EXPECT_TRUE(state.is_settled());
  for (int i = 6; i <= 8; i++) state.on_result(Outcome::kFail, at(i));
  ASSERT_EQ(state.health(), Health::kDown);
  state.start_over();
  EXPECT_TRUE(state.is_changing()) << "also one that was down is looked at fast";
  for (int i = 9; i <= 11; i++) state.on_result(Outcome::kFail, at(i));
  EXPECT_TRUE(state.is_settled());
  EXPECT_FALSE(state.is_changing());
}

}  // namespace
}  // namespace sluice::health

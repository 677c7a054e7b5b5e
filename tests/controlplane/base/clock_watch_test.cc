// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/clock_watch.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

class ClockWatchTest : public testing::Test {
 protected:
  ClockWatchTest() { EXPECT_EQ(later(0s, 0s), ClockWatch::Wall::duration::zero()) << "the first look"; }

  std::optional<ClockWatch::Wall::duration> later(std::chrono::milliseconds by_wall,
                                                  std::chrono::milliseconds by_steady,
                                                  std::chrono::milliseconds apart = 0ms) {
    wall_ += by_wall;
    steady_ += by_steady;
    return watch_.look(steady_, wall_, steady_ + apart);
  }

 private:
  ClockWatch::Wall wall_{1'800'000'000s};
  ClockWatch::Steady steady_{1000s};
  ClockWatch watch_;
};

TEST_F(ClockWatchTest, SeesWhatTheWallClockIsSetByAndNotItsDrift) {
  EXPECT_EQ(later(1s, 1s), 0s);
  EXPECT_EQ(later(1001ms, 1s), 0s);
  EXPECT_EQ(later(3601s, 1s), 3600s);
  EXPECT_EQ(later(1s, 1s), 0s) << "told once";
  EXPECT_EQ(later(-59s, 1s), -60s);
  EXPECT_EQ(later(1h, 1h), 0s);
}

TEST_F(ClockWatchTest, DoesNotLookWhereItsProcessStoodStillBetweenTheClocks) {
  EXPECT_EQ(later(3s, 1s, 2s), std::nullopt);
  EXPECT_EQ(later(0s, 2s), 0s) << "as if it had not looked then";
  EXPECT_EQ(later(3601s, 1s, 21ms), std::nullopt);
  EXPECT_EQ(later(1s, 1s, 20ms), 3600s) << "nor is anything missed";
}

}  // namespace
}  // namespace sluice::control

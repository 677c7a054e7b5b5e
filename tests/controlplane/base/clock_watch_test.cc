// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/clock_watch.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

TEST(ClockWatch, SeesWhatTheWallClockIsSetByAndNotItsDrift) {
  using namespace std::chrono_literals;
  ClockWatch::Wall wall{1'800'000'000s};
  ClockWatch::Steady steady{1000s};
  ClockWatch watch(wall, steady);
  const auto later = [&](auto by_wall, auto by_steady) { return watch.look(wall += by_wall, steady += by_steady); };
  EXPECT_EQ(later(1s, 1s), 0s);
  EXPECT_EQ(later(1001ms, 1s), 0s);
  EXPECT_EQ(later(3601s, 1s), 3600s);
  EXPECT_EQ(later(1s, 1s), 0s) << "told once";
  EXPECT_EQ(later(-59s, 1s), -60s);
  EXPECT_EQ(later(1h, 1h), 0s);
}

}  // namespace
}  // namespace sluice::control

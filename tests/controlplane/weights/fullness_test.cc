// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/fullness.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

class FullnessTest : public testing::Test {
 protected:
  bool update(uint64_t open, uint64_t limit = 100) { return fullness_.update(open, limit, now_); }

  Fullness fullness_;
  SystemTime now_ = from_ms(1'800'000'000'000);
};

TEST_F(FullnessTest, IsReachedBeforeTheLimitIs) {
  EXPECT_FALSE(update(89));
  EXPECT_FALSE(fullness_.is_full());
  EXPECT_TRUE(update(90));
  EXPECT_TRUE(fullness_.is_full());
  EXPECT_FALSE(update(100)) << "it was so before";
}

TEST_F(FullnessTest, IsOverWhenThereHasBeenRoomForAWhile) {
  update(90);
  update(74);
  now_ += 9s;
  EXPECT_FALSE(update(74));
  update(75);  // not room enough: it begins anew
  update(10);
  now_ += 9s;
  EXPECT_FALSE(update(10));
  now_ += 1s;
  EXPECT_TRUE(update(10));
  EXPECT_FALSE(fullness_.is_full());
}

TEST_F(FullnessTest, EachTurnHoldsTwiceAsLongUntilItHasRested) {
  const auto turn = [&] {
    update(90);
    std::chrono::seconds held{0};
    for (update(10); fullness_.is_full(); update(10)) {
      now_ += 1s;
      held += 1s;
    }
    return held;
  };
  for (const auto wanted : {10s, 20s, 40s, 80s, 160s, 320s, 600s, 600s}) EXPECT_EQ(turn(), wanted);
  now_ += 59min;
  EXPECT_EQ(turn(), 600s);
  now_ += 1h;
  EXPECT_EQ(turn(), 10s);
  now_ -= 1h;  // a clock that is set back
  EXPECT_EQ(turn(), 10s);
}

TEST_F(FullnessTest, NeedsALimit) {
  EXPECT_FALSE(update(1'000'000, 0));
  update(100);
  EXPECT_TRUE(update(100, 0)) << "it was taken away";
  EXPECT_FALSE(fullness_.is_full());
}

TEST_F(FullnessTest, OutlivesAClockThatIsSetBack) {
  update(90);
  update(10);
  now_ -= 1h;
  EXPECT_FALSE(update(10));
  now_ += 10s;
  EXPECT_TRUE(update(10));
}

}  // namespace
}  // namespace sluice::control

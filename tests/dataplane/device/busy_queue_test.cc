// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/busy_queue.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using namespace std::chrono_literals;

TEST(BusyQueue, IsTriedOnceMoreAndNotAgain) {
  for (const int busy : {0, 1, 2, 9}) {
    int attempts = 0;
    const int error = set_up_once_free([&] { return attempts++ < busy ? -22 : 0; }, 1ms);
    EXPECT_EQ(error, busy < 2 ? 0 : -22) << busy;
    EXPECT_EQ(attempts, busy == 0 ? 1 : 2) << busy;
  }
}

}  // namespace
}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/steps.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

TEST(Steps, GoThroughEveryRowOfEachInTheirOrder) {
  std::vector<std::string> done;
  Steps steps;
  steps.add(2, [&](size_t row) { done.push_back("a" + std::to_string(row)); });
  steps.add(0, [&](size_t) { done.emplace_back("never"); });
  steps.add(1, [&](size_t row) { done.push_back("b" + std::to_string(row)); });
  EXPECT_TRUE(steps.run(1min));
  EXPECT_EQ(done, (std::vector<std::string>{"a0", "a1", "b0"}));
  EXPECT_TRUE(steps.run(1min)) << "there is nothing left";
  EXPECT_EQ(done.size(), 3U);
}

TEST(Steps, RestBetweenRowsWhenTheTimeIsOver) {
  size_t done = 0;
  Steps steps;
  for (int i = 0; i < 10; i++) steps.add(100, [&](size_t) { done++; });
  EXPECT_FALSE(steps.run(0s));
  EXPECT_GT(done, 0U);
  EXPECT_LT(done, 100U);
  size_t runs = 1;
  while (!steps.run(0s)) runs++;
  EXPECT_EQ(done, 1000U);
  EXPECT_GT(runs, 10U) << "the clock is looked at over short steps too";
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/turns.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "controlplane/tables/maglev.h"

namespace sluice::control {
namespace {

TEST(Turns, GiveEachMemberItsShare) {
  const std::vector<uint32_t> weights{5, 1, 1};
  const auto table = build_turns(weights, 7);
  EXPECT_EQ(table, (std::vector<uint16_t>{0, 0, 0, 1, 2, 0, 0}));
}

TEST(Turns, SpreadAMembersTurnsEvenly) {
  const std::vector<uint32_t> weights{1, 2, 3, 0};
  const auto table = build_turns(weights, 6007);
  EXPECT_NEAR(static_cast<double>(std::count(table.begin(), table.end(), 2)), 6007 / 2.0, 1);
  EXPECT_EQ(std::count(table.begin(), table.end(), 3), 0);
  // Half of all turns: never more than two in a row, never three others in between.
  for (size_t i = 0; i + 4 <= table.size(); i++) {
    const auto in_four = std::count(table.begin() + static_cast<long>(i), table.begin() + static_cast<long>(i) + 4, 2);
    EXPECT_GE(in_four, 1) << i;
    EXPECT_LE(in_four, 3) << i;
  }
}

TEST(Turns, AreNobodysWithoutWeight) {
  const std::vector<uint32_t> weights{0, 0};
  EXPECT_EQ(build_turns(weights, 3), std::vector<uint16_t>(3, kNobody));
}

}  // namespace
}  // namespace sluice::control

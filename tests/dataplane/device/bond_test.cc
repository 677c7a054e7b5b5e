// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/bond.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Bond, BelievesALossOfLinkThatTwoLooksTell) {
  Bond::Member member;
  member.look({.up = false});
  EXPECT_FALSE(member.link.up) << "it was never up";
  member.look({.up = true, .speed_mbps = 10'000});
  EXPECT_TRUE(member.link.up);
  for (int i = 0; i < 2; i++) {
    member.look({.up = false});
    EXPECT_TRUE(member.link.up) << "another thread may be asking the card";
    EXPECT_EQ(member.link.speed_mbps, 10'000u);
    member.look({.up = true, .speed_mbps = 10'000});
  }
  member.look({.up = false});
  member.look({.up = false});
  EXPECT_FALSE(member.link.up);
  member.look({.up = true});
  member.look({.up = false, .trouble = "the card is gone"});
  EXPECT_EQ(member.link.trouble, "the card is gone") << "that is no look at the link";
  EXPECT_FALSE(member.link.up);
}

}  // namespace
}  // namespace sluice

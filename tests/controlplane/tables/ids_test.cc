// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/ids.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice::control {
namespace {

using channel::Identity;
using Block = std::vector<Identity>;

IdAllocator allocator(const std::vector<Block>& workers, const std::unordered_set<uint64_t>& wanted) {
  const std::vector<std::span<const Identity>> spans(workers.begin(), workers.end());
  return IdAllocator(spans, wanted);
}

TEST(Ids, StartFreshWithGenerationOne) {
  IdAllocator ids = allocator({Block(4)}, {7});
  EXPECT_EQ(ids.acquire(7), (Id{0, 1}));
  EXPECT_EQ(ids.acquire(7), (Id{0, 1}));
  EXPECT_EQ(ids.acquire(8), (Id{1, 1}));
}

TEST(Ids, KeepWhatTheDataPlaneAlreadyUses) {
  Block block(4);
  block[2] = {77, 9, {}};
  IdAllocator ids = allocator({block, block}, {77});
  EXPECT_EQ(ids.acquire(77), (Id{2, 9}));
}

TEST(Ids, KeepAnIdThatOnlySomeWorkersHaveHeardOf) {
  Block first(4), second(4);
  first[1] = {5, 3, {}};
  second[1] = {0, 2, {}};  // the put had not arrived yet
  IdAllocator ids = allocator({first, second}, {5});
  EXPECT_EQ(ids.acquire(5), (Id{1, 3}));
}

TEST(Ids, DoNotKeepAnIdOverWhichWorkersDisagree) {
  Block first(3), second(3);
  first[0] = {5, 3, {}};
  second[0] = {6, 2, {}};
  IdAllocator ids = allocator({first, second}, {5, 6});
  const auto five = ids.acquire(5), six = ids.acquire(6);
  ASSERT_TRUE(five && six);
  EXPECT_NE(five->value, 0);
  EXPECT_NE(six->value, 0);
  EXPECT_NE(five->value, six->value);
}

TEST(Ids, DifferInGenerationFromEveryEarlierUse) {
  Block first(1), second(1);
  first[0] = {0, 4, {}};
  second[0] = {0, 6, {}};
  IdAllocator ids = allocator({first, second}, {});
  EXPECT_EQ(ids.acquire(1), (Id{0, 7}));
  ids.release(1);
  EXPECT_EQ(ids.acquire(2), (Id{0, 8}));
}

TEST(Ids, SkipGenerationZeroWhenTheyWrap) {
  Block block(1);
  block[0] = {0, 0xffff, {}};
  IdAllocator ids = allocator({block}, {});
  EXPECT_EQ(ids.acquire(1), (Id{0, 1}));
}

TEST(Ids, AreTakenFromStrangersLastOfAll) {
  Block block(3);
  block[0] = {99, 5, {}};  // of a service that is no longer configured
  IdAllocator ids = allocator({block}, {1, 2, 3});
  EXPECT_EQ(ids.acquire(1), (Id{1, 1}));
  EXPECT_EQ(ids.acquire(2), (Id{2, 1}));
  EXPECT_EQ(ids.acquire(3), (Id{0, 6}));
  EXPECT_FALSE(ids.acquire(4));
}

TEST(Ids, AreReusedInTheOrderInWhichTheyWereGivenBack) {
  IdAllocator ids = allocator({Block(3)}, {});
  for (uint64_t key = 1; key <= 3; key++) ids.acquire(key);
  ids.release(2);
  ids.release(1);
  ids.release(42);  // unknown: nothing happens
  EXPECT_EQ(ids.acquire(10)->value, 1);
  EXPECT_EQ(ids.acquire(11)->value, 0);
  EXPECT_EQ(ids.in_use(), 3u);
}

}  // namespace
}  // namespace sluice::control

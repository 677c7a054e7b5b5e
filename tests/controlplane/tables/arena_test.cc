// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/arena.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice::control {
namespace {

TEST(Arena, RoundsUpToWholeUnits) {
  ArenaAllocator arena(640);
  EXPECT_EQ(arena.allocate(1), (ArenaSlot{0, 1}));
  EXPECT_EQ(arena.allocate(65), (ArenaSlot{1, 2}));
  EXPECT_EQ(arena.free_units(), 7u);
}

TEST(Arena, ReusesASlotOnlyAfterItsAcknowledgement) {
  ArenaAllocator arena(128);
  const auto first = arena.allocate(128);
  ASSERT_TRUE(first);
  arena.release(*first, 7);
  EXPECT_EQ(arena.lent(), 2u);
  EXPECT_FALSE(arena.allocate(64));
  arena.acknowledge(6);
  EXPECT_FALSE(arena.allocate(64));
  arena.acknowledge(7);
  EXPECT_EQ(arena.lent(), 0u);
  EXPECT_EQ(arena.allocate(128), first);
}

TEST(Arena, MergesNeighbours) {
  ArenaAllocator arena(3 * 64);
  const auto a = arena.allocate(64), b = arena.allocate(64), c = arena.allocate(64);
  arena.release(*a, 1);
  arena.release(*c, 1);
  arena.release(*b, 1);
  arena.acknowledge(1);
  EXPECT_EQ(arena.allocate(3 * 64), (ArenaSlot{0, 3}));
}

TEST(Arena, RefusesWhatDoesNotFit) {
  ArenaAllocator arena(128);
  EXPECT_FALSE(arena.allocate(129));
  EXPECT_FALSE(ArenaAllocator(0).allocate(1));
}

TEST(Arena, NeverOverlapsSlots) {
  constexpr uint32_t kUnits = 500;
  ArenaAllocator arena(kUnits * 64);
  std::mt19937 random(7);
  std::vector<ArenaSlot> live;
  std::vector<int> owners(kUnits);
  for (uint64_t step = 1; step < 5000; step++) {
    if (random() % 2 == 0) {
      if (const auto slot = arena.allocate(1 + random() % 2000)) {
        for (uint32_t i = 0; i < slot->units; i++) ASSERT_EQ(owners[slot->offset + i]++, 0);
        live.push_back(*slot);
      }
    } else if (!live.empty()) {
      const size_t pick = random() % live.size();
      for (uint32_t i = 0; i < live[pick].units; i++) owners[live[pick].offset + i]--;
      arena.release(live[pick], step);
      live.erase(live.begin() + static_cast<long>(pick));
      arena.acknowledge(step);
    }
  }
  for (const ArenaSlot& slot : live) arena.release(slot, 5000);
  arena.acknowledge(5000);
  EXPECT_EQ(arena.free_units(), kUnits);
  EXPECT_TRUE(arena.allocate(kUnits * 64));
}

}  // namespace
}  // namespace sluice::control

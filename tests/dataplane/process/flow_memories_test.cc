// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/flow_memories.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/setup_error.h"
#include "dataplane/contract/segment.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/local_ports.h"
#include "dataplane/flow/owner_table.h"
#include "tests/dataplane/support/flow_memories_fixture.h"

namespace sluice {
namespace {

TEST_F(FlowMemoriesTest, AreTakenUpAsTheyLie) {
  fill(make_flow_memories(plan(2)), 500);
  const FlowMemories second = make_flow_memories(plan(2));
  EXPECT_TRUE(second.of[0].kept);
  EXPECT_EQ(second.hash_seed, 42u);
  EXPECT_EQ(found(second, 500), 500u);
}

TEST_F(FlowMemoriesTest, FlowsGoToTheirOwnersAmongOtherWorkers) {
  for (const auto& [before, now] : {std::pair{1u, 3u}, std::pair{3u, 2u}, std::pair{4u, 1u}}) {
    SCOPED_TRACE(now);
    fill(make_flow_memories(plan(before)), 500);
    EXPECT_EQ(found(make_flow_memories(plan(now)), 500), 500u);
    for (uint32_t worker = 0; worker < 5; worker++) {
      EXPECT_EQ(std::filesystem::exists(file("a", worker)), worker < now);
    }
  }
}

TEST_F(FlowMemoriesTest, FlowsOutliveAnotherCapacity) {
  fill(make_flow_memories(plan(1)), 500);
  EXPECT_EQ(found(make_flow_memories(plan(1, 4096)), 500, 4096), 500u);
  EXPECT_EQ(found(make_flow_memories(plan(1)), 500), 500u);
}

TEST_F(FlowMemoriesTest, WhatDoesNotFitASmallerTableIsLost) {
  fill(make_flow_memories(plan(1, 4096)), 3000, 4096);
  EXPECT_EQ(found(make_flow_memories(plan(1)), 3000), 1024u);
}

TEST_F(FlowMemoriesTest, FlowsFollowTheirPortsAndGoWithThem) {
  {
    const FlowMemories first = make_flow_memories(plan(1));
    fill(first, 2);
    auto* flows = reinterpret_cast<Flow*>(first.of[0].mapping.data() + flows_offset(1024));
    flows[1].vlan_and_port = 1 << 12;
  }
  FlowMemoryPlan fewer = plan(1);
  fewer.ports = {{9, {}, 0}, {8, {}, 0}, {7, {}, 0}};
  {
    const FlowMemories second = make_flow_memories(fewer);
    const auto* flows = reinterpret_cast<const Flow*>(second.of[0].mapping.data() + flows_offset(1024));
    EXPECT_EQ(flows[0].vlan_and_port, 2 << 12);
    EXPECT_EQ(flows[1].vlan_and_port, 1 << 12);
  }
  fewer.now_ms = now_ms_ += 60'000;
  fewer.ports = {{8, {}, 0}};
  const FlowMemories third = make_flow_memories(fewer);
  const auto* flows = reinterpret_cast<const Flow*>(third.of[0].mapping.data() + flows_offset(1024));
  EXPECT_EQ(flows[0].state, TcpState::kFree);
  EXPECT_EQ(flows[1].vlan_and_port, 0);
}

TEST_F(FlowMemoriesTest, FlowsOfAnotherBootAreForgotten) {
  fill(make_flow_memories(plan(1)), 5);
  FlowMemoryPlan other = plan(1);
  other.boot_id = 2;
  const FlowMemories second = make_flow_memories(other);
  EXPECT_FALSE(second.of[0].kept);
  EXPECT_EQ(found(second, 5), 0u);
}

TEST_F(FlowMemoriesTest, DamagedAndForeignFilesAreReplaced) {
  fill(make_flow_memories(plan(2)), 100);
  std::filesystem::resize_file(file("a", 1), 100);
  const FlowMemories second = make_flow_memories(plan(2));
  const uint32_t left = found(second, 100);
  EXPECT_GT(left, 0u) << "those of the other worker";
  EXPECT_LT(left, 100u);
}

TEST_F(FlowMemoriesTest, FileThatOthersCanWriteIsNotRead) {
  fill(make_flow_memories(plan(1)), 5);
  ASSERT_EQ(chmod(file("a", 0).c_str(), 0666), 0);
  const FlowMemories second = make_flow_memories(plan(1));
  EXPECT_EQ(found(second, 5), 0u);
  struct stat now{};
  ASSERT_EQ(stat(file("a", 0).c_str(), &now), 0);
  EXPECT_EQ(now.st_mode & 0777, 0600u);
}

TEST_F(FlowMemoriesTest, NextStoreIsTakenWhereTheFirstHasNoRoom) {
  FlowMemoryPlan full = plan(2);
  const std::string first = full.stores[0];
  full.populate = [&](uint32_t worker, const FlowMemory& memory) {
    return worker == 1 && memory.where.starts_with(first) ? ENOMEM : populate(memory);
  };
  const FlowMemories memories = make_flow_memories(full);
  EXPECT_EQ(memories.store, (directory_ / "b").string());
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "a"));
}

TEST_F(FlowMemoriesTest, LieAsTheyDidIfTheChangedOnesFindNoMemory) {
  for (const auto& [before, now] : {std::pair{2u, 3u}, std::pair{4u, 2u}}) {
    SCOPED_TRACE(now);
    fill(make_flow_memories(plan(before)), 500);
    for (uint32_t i = 0; i < 2 * kMaxShortRuns; i++) {  // a service manager tries again and again
      FlowMemoryPlan more = plan(now, 4096);
      more.stores.resize(1);
      more.now_ms = now_ms_ -= 59'000;
      bool refused = false;
      more.populate = [&, last = now - 1](uint32_t worker, const FlowMemory& memory) {
        EXPECT_LE(worker, last);
        if (worker != last || refused) return populate(memory);
        refused = true;
        return ENOMEM;
      };
      EXPECT_THROW(make_flow_memories(more), SetupError);
    }
    FlowMemoryPlan reverted = plan(before);
    reverted.now_ms = now_ms_ -= 59'000;
    const FlowMemories again = make_flow_memories(reverted);
    EXPECT_TRUE(again.of[0].kept);
    EXPECT_EQ(again.store, (directory_ / "a").string());
    EXPECT_EQ(found(again, 500), 500u);
  }
}

/// A file system of its own, seen by this process alone.
class SmallStore {
 public:
  SmallStore(const std::filesystem::path& at, size_t bytes) : at_(at) {
    const bool alone = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    mounted_ = alone && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               mount("tmpfs", at.c_str(), "tmpfs", 0, ("size=" + std::to_string(bytes)).c_str()) == 0;
  }
  ~SmallStore() {
    if (mounted_) umount2(at_.c_str(), MNT_DETACH);
  }
  SmallStore(const SmallStore&) = delete;
  SmallStore& operator=(const SmallStore&) = delete;

  explicit operator bool() const { return mounted_; }

 private:
  std::filesystem::path at_;
  bool mounted_ = false;
};

TEST_F(FlowMemoriesTest, LieAsTheyDidInAStoreWithoutTheRoom) {
  const size_t bytes = channel::align_up(flow_memory_bytes(1024), size_t{2} << 20);
  const SmallStore small(directory_ / "a", 2 * bytes + (size_t{1} << 20));
  if (!small) GTEST_SKIP() << "nothing may be mounted here";
  const auto here = [](FlowMemoryPlan with) {
    with.stores.resize(1);
    return with;
  };
  fill(make_flow_memories(here(plan(2))), 500);
  EXPECT_THROW(make_flow_memories(here(plan(3))), SetupError);
  EXPECT_THROW(make_flow_memories(here(plan(2, 1 << 20))), SetupError);
  EXPECT_EQ(found(make_flow_memories(here(plan(2))), 500), 500u) << "reverted";
  EXPECT_EQ(found(make_flow_memories(here(plan(1))), 500), 500u) << "in the room of those before";
}

TEST_F(FlowMemoriesTest, StoreThatIsNotThereIsPassedOver) {
  FlowMemoryPlan missing = plan(1);
  missing.stores = {(directory_ / "missing").string(), ""};
  EXPECT_EQ(make_flow_memories(missing).store, "");
  missing.stores.pop_back();
  EXPECT_THROW(make_flow_memories(missing), SetupError) << "it was asked for by name";
}

TEST_F(FlowMemoriesTest, FlowsStayInTheStoreWhereTheyLie) {
  FlowMemoryPlan only_b = plan(1);
  only_b.stores.erase(only_b.stores.begin());
  fill(make_flow_memories(only_b), 5);
  const FlowMemories second = make_flow_memories(plan(1));
  EXPECT_EQ(second.store, (directory_ / "b").string());
  EXPECT_EQ(found(second, 5), 5u);
}

TEST_F(FlowMemoriesTest, AreGivenUpAfterSeveralRunsThatEndedAtOnce) {
  fill(make_flow_memories(plan(1)), 5);
  uint32_t runs = 0;
  while (runs < 20) {
    FlowMemoryPlan soon = plan(1);
    soon.now_ms = now_ms_ -= 59'000;  // a second after the last
    const FlowMemories memories = make_flow_memories(soon);
    if (!memories.of[0].kept) break;
    runs++;
  }
  EXPECT_EQ(runs, kMaxShortRuns - 1);
}

TEST_F(FlowMemoriesTest, AreKeptOverAnyNumberOfRunsThatEndInOrder) {
  fill(make_flow_memories(plan(1)), 5);
  for (uint32_t i = 0; i < 20; i++) {
    FlowMemoryPlan soon = plan(1);
    soon.now_ms = now_ms_ -= 59'000;
    const FlowMemories memories = make_flow_memories(soon);
    ASSERT_TRUE(memories.of[0].kept) << i;
    end_in_order(memories);
  }
}

TEST(FlowStores, AutoEndsWithMemoryThatIsNotKept) {
  const auto stores = flow_stores("auto", false);
  EXPECT_EQ(stores.back(), "");
  EXPECT_EQ(flow_stores("/srv/x", true), std::vector<std::string>{"/srv/x"});
  EXPECT_EQ(flow_stores("", true), std::vector<std::string>{""});
  if (std::filesystem::exists("/dev/shm")) {
    EXPECT_EQ(stores.front(), "/dev/shm");
  }
}

}  // namespace
}  // namespace sluice

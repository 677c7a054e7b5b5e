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

namespace sluice {
namespace {

Endpoint client(uint32_t n) {
  return {Address::v4(Be32::of(0x0a000000 + n)), Be16::of(25000)};
}

class FlowMemoriesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/dev/shm/sluice-memories-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    std::filesystem::create_directory(directory_ / "a");
    std::filesystem::create_directory(directory_ / "b");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  FlowMemoryPlan plan(uint32_t workers, uint32_t capacity = 1024) {
    return {.stores = {(directory_ / "a").string(), (directory_ / "b").string(), ""},
            .files = "edge1",
            .workers = workers,
            .flow_capacity = capacity,
            .hugepages = false,
            .ports = kPorts,
            .boot_id = 1,
            .now_ms = now_ms_ += 60'000,
            .fresh_seed = 42,
            .populate = [](uint32_t, const FlowMemory& memory) { return populate(memory); }};
  }

  /// The tables that workers lay over them.
  static std::vector<FlowTable> tables(const FlowMemories& memories, uint32_t capacity = 1024) {
    const auto workers = static_cast<uint32_t>(memories.of.size());
    std::vector<FlowTable> out;
    for (const FlowMemory& memory : memories.of) {
      out.emplace_back(memory.mapping.data(), capacity, memories.hash_seed, 1,
                       Dealing{workers, classes_of(memory, memories.classes)});
    }
    return out;
  }

  static uint32_t classes_of(const FlowMemory& memory, uint32_t planned = kMostClasses) {
    const uint32_t classes = reinterpret_cast<const FlowMemoryHeader*>(memory.mapping.data())->classes;
    return classes == 0 ? planned : classes;  // not formatted yet
  }
  /// Whose they are, by what is written in the memories.
  static OwnerTable owners(const FlowMemories& memories) {
    return {{static_cast<uint32_t>(memories.of.size()), classes_of(memories.of[0], memories.classes)},
            memories.hash_seed};
  }

  /// `flows` flows, each with its owner.
  static void fill(const FlowMemories& memories, uint32_t flows, uint32_t capacity = 1024) {
    auto all = tables(memories, capacity);
    for (auto& table : all) {
      table.backends()[3] = Backend{};
      table.backends()[3].in_use = true;
      table.backends()[3].generation = 9;
    }
    for (uint32_t n = 0; n < flows; n++) {
      FlowTable& table = all[owners(memories).of(client(n))];
      const FlowIndex index = table.insert(table.place(table.hash(client(n))));
      ASSERT_NE(index, kNoFlow);
      table[index] = Flow{};
      table[index].client = client(n).address;
      table[index].client_port = client(n).port;
      table[index].backend = 3;
      table[index].backend_generation = 9;
      table[index].state = TcpState::kEstablished;
      table.notes()[index] = {.begun_ms = n};
    }
  }

  /// How many of the first `flows` flows lie with their owners, and the notes of their sessions beside them.
  static uint32_t found(const FlowMemories& memories, uint32_t flows, uint32_t capacity = 1024) {
    auto all = tables(memories, capacity);
    uint32_t n = 0;
    for (uint32_t i = 0; i < flows; i++) {
      const FlowTable& table = all[owners(memories).of(client(i))];
      const FlowIndex index = table.find(table.place(table.hash(client(i))),
                                         [&](const Flow& flow) { return flow.client_endpoint() == client(i); });
      n += index != kNoFlow && table.notes()[index].begun_ms == i ? 1 : 0;
    }
    return n;
  }

  std::string file(const char* store, uint32_t worker) const {
    return flow_file({.directory = (directory_ / store).string(), .instance = "edge1", .worker = worker});
  }

  static inline const std::vector<PortIdentity> kPorts{{7, {}, 0}, {8, {}, 0}};
  std::filesystem::path directory_;
  uint64_t now_ms_ = 1'000'000;
};

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

TEST_F(FlowMemoriesTest, FlowsThatWereDealtInAnotherWayGoToTheirOwners) {
  fill(make_flow_memories(plan(3)), 500);
  FlowMemoryPlan fewer_classes = plan(3);
  fewer_classes.classes = 64;
  const FlowMemories second = make_flow_memories(fewer_classes);
  EXPECT_EQ(second.hash_seed, 42u);
  EXPECT_EQ(classes_of(second.of[2]), 64u);
  EXPECT_EQ(found(second, 500), 500u);
}

TEST_F(FlowMemoriesTest, FlowsStayAsTheyWereDealtWhereThereAreMoreClassesNow) {
  FlowMemoryPlan fewer_classes = plan(3);
  fewer_classes.classes = 64;
  fill(make_flow_memories(fewer_classes), 500);
  {
    const FlowMemories second = make_flow_memories(plan(3));
    EXPECT_EQ(second.classes, 64u);
    EXPECT_TRUE(second.of[0].kept);
    EXPECT_EQ(found(second, 500), 500u);
  }
  {
    const FlowMemories larger = make_flow_memories(plan(3, 4096));
    EXPECT_EQ(larger.classes, 64u) << "of what has to be moved, too";
    EXPECT_EQ(classes_of(larger.of[2]), 64u);
    EXPECT_EQ(found(larger, 500, 4096), 500u);
  }
  const FlowMemories other_workers = make_flow_memories(plan(2, 4096));
  EXPECT_EQ(other_workers.classes, kMostClasses) << "they are dealt anew anyway";
  EXPECT_EQ(classes_of(other_workers.of[0]), kMostClasses);
  EXPECT_EQ(found(other_workers, 500, 4096), 500u);
}

TEST_F(FlowMemoriesTest, ClassesThatNobodyCanDealByAreNotKept) {
  for (const uint32_t classes : {0U, 2U, 96U, 1024U, 0xffffffffU}) {
    SCOPED_TRACE(classes);
    {
      const FlowMemories first = make_flow_memories(plan(3));
      fill(first, 500);
      for (const FlowMemory& memory : first.of)
        reinterpret_cast<FlowMemoryHeader*>(memory.mapping.data())->classes = classes;
    }
    const FlowMemories second = make_flow_memories(plan(3));
    EXPECT_EQ(second.classes, kMostClasses);
    EXPECT_EQ(classes_of(second.of[0]), kMostClasses);
    EXPECT_EQ(found(second, 500), 500u);
    for (uint32_t worker = 0; worker < 3; worker++) std::filesystem::remove(file("a", worker));
  }
}

TEST_F(FlowMemoriesTest, FlowsOfAVersionThatKnewNoClassesGoToTheirOwners) {
  {
    const FlowMemories first = make_flow_memories(plan(2));
    fill(first, 500);
    for (const FlowMemory& memory : first.of) {
      auto* header = reinterpret_cast<FlowMemoryHeader*>(memory.mapping.data());
      header->version = 13;  // what its classes say is nothing
    }
  }
  const FlowMemories second = make_flow_memories(plan(2));
  EXPECT_EQ(classes_of(second.of[0]), kMostClasses);
  EXPECT_EQ(reinterpret_cast<const FlowMemoryHeader*>(second.of[0].mapping.data())->version, kFlowMemoryVersion)
      << "the version before shall not take it as it lies";
  EXPECT_EQ(found(second, 500), 500u);
}

TEST_F(FlowMemoriesTest, OfFullnatAFlowStaysWithTheWorkerThatItsRepliesReach) {
  constexpr uint32_t kFlows = 200;
  {
    const FlowMemories first = make_flow_memories(plan(1));
    fill(first, kFlows);
    auto* flows = reinterpret_cast<Flow*>(first.of[0].mapping.data() + flows_offset(1024));
    for (uint32_t i = 0; i < kFlows; i++) {
      flows[i].set_mode(channel::Forwarding::kFullnat, 0);
      flows[i].local_port = local_port(i, 0, 1);
    }
  }
  const FlowMemories second = make_flow_memories(plan(2));
  uint32_t reached = 0;
  for (uint32_t worker = 0; worker < 2; worker++) {
    const auto* flows = reinterpret_cast<const Flow*>(second.of[worker].mapping.data() + flows_offset(1024));
    for (uint32_t i = 0; i < 1024; i++) {
      if (flows[i].state == TcpState::kFree) continue;
      EXPECT_EQ(local_port_owner(flows[i].local_port, 2), worker);
      EXPECT_EQ(owners(second).of(flows[i].client_endpoint()), worker);
      reached++;
    }
  }
  EXPECT_GT(reached, kFlows / 4);
  EXPECT_LT(reached, kFlows * 3 / 4);
}

TEST_F(FlowMemoriesTest, AWorkerThatIsAloneCaresForNoClasses) {
  fill(make_flow_memories(plan(1)), 500);
  FlowMemoryPlan fewer_classes = plan(1);
  fewer_classes.classes = 64;
  const FlowMemories second = make_flow_memories(fewer_classes);
  EXPECT_EQ(classes_of(second.of[0]), kMostClasses) << "it is not touched";
  EXPECT_EQ(found(second, 500), 500u);
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

TEST_F(FlowMemoriesTest, LieAsTheyWereDealtIfThoseDealtAnewFindNoMemory) {
  // By 64 classes, by none that are known, and with fullnat, whose ports say which worker it was: nothing changes.
  for (const uint32_t classes : {64U, 0U}) {
    SCOPED_TRACE(classes);
    FlowMemoryPlan before = plan(2);
    before.classes = 64;
    const auto clients_of = [](const FlowMemories& memories) {
      std::vector<std::vector<Endpoint>> out;
      for (const FlowMemory& memory : memories.of) {
        out.emplace_back();
        const auto* flows = reinterpret_cast<const Flow*>(memory.mapping.data() + flows_offset(1024));
        for (uint32_t i = 0; i < 1024; i++) {
          if (flows[i].state != TcpState::kFree) out.back().push_back(flows[i].client_endpoint());
        }
        std::ranges::sort(out.back(), {}, [](const Endpoint& one) { return one.address.bytes; });
      }
      return out;
    };
    std::vector<std::vector<Endpoint>> lay;
    {
      const FlowMemories first = make_flow_memories(before);
      fill(first, 500);
      for (uint32_t worker = 0; worker < 2; worker++) {
        std::byte* memory = first.of[worker].mapping.data();
        auto* flows = reinterpret_cast<Flow*>(memory + flows_offset(1024));
        for (uint32_t i = 0; i < 100; i++) {
          flows[i].set_mode(channel::Forwarding::kFullnat, 0);
          flows[i].local_port = local_port(i, worker, 2);
        }
        reinterpret_cast<FlowMemoryHeader*>(memory)->classes = classes;
        reinterpret_cast<FlowMemoryHeader*>(memory)->version = classes == 0 ? 13 : 14;
      }
      lay = clients_of(first);
    }
    FlowMemoryPlan more = plan(2);
    more.stores.resize(1);
    bool refused = false;
    more.flow_capacity = 4096;
    more.populate = [&](uint32_t, const FlowMemory& memory) {
      return std::exchange(refused, true) ? populate(memory) : ENOMEM;
    };
    EXPECT_THROW(make_flow_memories(more), SetupError);
    for (uint32_t worker = 0; worker < 2; worker++) {
      auto memory = open_kept({.directory = before.stores[0],
                               .instance = "edge1",
                               .worker = worker,
                               .bytes = flow_memory_bytes(1024),
                               .hugepages = false});
      ASSERT_TRUE(memory);
      const auto* header = reinterpret_cast<const FlowMemoryHeader*>(memory->mapping.data());
      EXPECT_EQ(header->classes, classes);
      EXPECT_EQ(header->version, classes == 0 ? 13u : 14u);
      FlowMemories one;
      one.of.push_back(std::move(*memory));
      EXPECT_EQ(clients_of(one)[0], lay[worker]) << worker;
    }
    std::filesystem::remove_all(directory_ / "a");
    std::filesystem::create_directory(directory_ / "a");
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

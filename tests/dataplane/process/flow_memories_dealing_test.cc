// SPDX-License-Identifier: Apache-2.0
//
// Kept flows, where workers or the classes that they are dealt by are others than before.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/setup_error.h"
#include "dataplane/flow/local_ports.h"
#include "tests/dataplane/support/flow_memories_fixture.h"

namespace sluice {
namespace {

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

}  // namespace
}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// Flow memories in two stores of their own, and flows in them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/contract/segment.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/owner_table.h"
#include "dataplane/process/flow_memories.h"

namespace sluice {

inline Endpoint client(uint32_t n) {
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

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// Reading flows out of a table: what matches, which are kept, and that no flow is ever seen that is half another's.
#include "controlplane/inspect/flow_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "tests/controlplane/support/flow_memory_header.h"

#include "tests/support/seed.h"

namespace sluice::control {
namespace {

constexpr uint32_t kNow = 50'000;  // of the clock's low 32 bits

using Ids = std::map<channel::BackendId, uint16_t>;

Address address(uint32_t v4) {
  return Address::v4(Be32::of(v4));
}

Flow flow(uint32_t client, TcpState state = TcpState::kEstablished) {
  Flow out{};
  out.client = address(client);
  out.client_port = Be16::of(40000);
  out.service = 1;
  out.backend = 7;
  out.backend_generation = 3;
  out.state = state;
  return out;
}

/// Flows, and when each began.
struct Flows {
  void add(const Flow& flow, uint32_t begun_ms) {
    flows.push_back(flow);
    notes.push_back({.begun_ms = begun_ms});
  }
  FlowEntries entries() const { return {flows, notes}; }

  std::vector<Flow> flows;
  std::vector<channel::SessionNotes> notes;
};

/// Memory as a worker lays it out, with room for `capacity` flows.
struct Table {
  explicit Table(uint32_t capacity)
      : memory(flow_memory_header(capacity, 1).notes_offset / sizeof(Line) + capacity / 2) {
    header() = flow_memory_header(capacity, 1);
  }
  FlowMemoryHeader& header() { return *reinterpret_cast<FlowMemoryHeader*>(memory.data()); }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(memory)); }

  struct alignas(64) Line {
    std::byte bytes[64]{};
  };
  std::vector<Line> memory;
};

TEST(FlowsIn, TrustsNoHeader) {
  struct Case {
    const char* description;
    void (*spoil)(FlowMemoryHeader&);
    bool good;
  };
  const std::vector<Case> cases{
      {"as it should be", [](FlowMemoryHeader& header) { header.flows_used = 10; }, true},
      {"not laid out yet", [](FlowMemoryHeader& header) { header.magic = 0; }, false},
      {"more flows than memory", [](FlowMemoryHeader& header) { header.flows_used = 11; }, false},
      {"so many that the product overflows", [](FlowMemoryHeader& header) { header.flows_used = UINT32_MAX; }, false},
      {"flows beyond the end", [](FlowMemoryHeader& header) { header.flows_offset = 1 << 24; }, false},
      {"flows at no cache line", [](FlowMemoryHeader& header) { header.flows_offset = 65; }, false},
      {"an offset that wraps", [](FlowMemoryHeader& header) { header.flows_offset = UINT64_MAX - 63; }, false},
      {"notes beyond the end", [](FlowMemoryHeader& header) { header.flows_used = 10, header.notes_offset += 32; },
       false},
      {"notes at no word", [](FlowMemoryHeader& header) { header.notes_offset--; }, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    Table table(10);
    c.spoil(table.header());
    const auto flows = flows_in(table.bytes());
    EXPECT_EQ(flows.has_value(), c.good);
    if (flows) {
      EXPECT_EQ(flows->size(), 10u);
    }
  }
  EXPECT_FALSE(flows_in({}));
}

TEST(FlowScan, TakesWhatTheFilterNames) {
  struct Case {
    const char* description;
    void (*narrow)(FlowFilter&);
    bool matches;
  };
  const std::vector<Case> cases{
      {"everything", [](FlowFilter&) {}, true},
      {"its prefix", [](FlowFilter& f) { f.client = address(0x0a010200), f.prefix_bits = 120; }, true},
      {"a prefix of odd length", [](FlowFilter& f) { f.client = address(0x0a010202), f.prefix_bits = 127; }, true},
      {"the next prefix", [](FlowFilter& f) { f.client = address(0x0a010300), f.prefix_bits = 120; }, false},
      {"its port", [](FlowFilter& f) { f.client_port = 40000; }, true},
      {"another port", [](FlowFilter& f) { f.client_port = 40001; }, false},
      {"its service", [](FlowFilter& f) { f.service = 1; }, true},
      {"another service", [](FlowFilter& f) { f.service = 2; }, false},
      {"its backend", [](FlowFilter& f) { f.backends = Ids{{7, 3}}; }, true},
      {"an earlier use of its backend's id", [](FlowFilter& f) { f.backends = Ids{{7, 2}}; }, false},
      {"a backend of several ids", [](FlowFilter& f) { f.backends = Ids{{6, 3}, {7, 3}}; }, true},
      {"no backend", [](FlowFilter& f) { f.backends.emplace(); }, false},
  };
  Flows flows;
  flows.add(flow(0x0a010203), kNow - 100);
  flows.add(flow(0x0a010203, TcpState::kFree), kNow - 100);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    FlowFilter filter;
    c.narrow(filter);
    FlowScan scan(filter, 10, kNow);
    scan.look_at(flows.entries(), 4);
    EXPECT_EQ(scan.matched(), c.matches ? 1u : 0u);
    EXPECT_EQ(scan.looked_at(), 2u);
    const auto seen = scan.take_oldest();
    ASSERT_EQ(seen.size(), c.matches ? 1u : 0u);
    if (!seen.empty()) {
      EXPECT_EQ(seen[0].worker, 4u);
    }
  }
}

TEST(FlowScan, KeepsTheOldestAndCountsAll) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  std::mt19937 random(seed);
  Flows flows;
  for (uint32_t i = 0; i < 5000; i++)
    flows.add(flow(i, i % 5 == 0 ? TcpState::kClosed : TcpState::kEstablished), kNow - random() % 40'000);
  for (const size_t limit : {1U, 17U, 5000U, 10'000U}) {
    FlowScan scan({}, limit, kNow);
    scan.look_at(flows.entries(), 0);
    EXPECT_EQ(scan.matched(), 5000u);
    EXPECT_EQ(scan.states(), (std::map<TcpState, uint64_t>{{TcpState::kEstablished, 4000}, {TcpState::kClosed, 1000}}));
    std::vector<uint32_t> wanted, ages;
    for (const auto& notes : flows.notes) wanted.push_back(kNow - notes.begun_ms);
    std::ranges::sort(wanted, std::greater<>());
    wanted.resize(std::min(limit, wanted.size()));
    for (const SeenFlow& seen : scan.take_oldest()) ages.push_back(seen.age_ms);
    EXPECT_EQ(ages, wanted);
  }
}

TEST(FlowScan, AgesAndIdleTimesSurviveTheClocksWrap) {
  Flow old = flow(1);
  Flows flows;
  flows.add(old, UINT32_MAX - 999);  // a second before the wrap
  flows.add(flow(2), 600);           // placed after the scan began
  FlowScan scan({}, 10, 500);
  scan.look_at(flows.entries(), 0);
  const auto seen = scan.take_oldest();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].age_ms, 1500u);
  EXPECT_EQ(seen[1].age_ms, 0u);

  const FlowTimers timers;
  old.deadline_ms = UINT32_MAX - 999 + timers.established_ms;  // its last packet came then
  EXPECT_EQ(idle_ms(old, timers, 500), 1500u);
  old.deadline_ms = 600 + timers.established_ms;
  EXPECT_EQ(idle_ms(old, timers, 500), 0u);
}

TEST(ReadFlow, NeverSeesAFlowThatIsHalfAnothers) {
  // A worker that frees the entry and gives it to another flow, over and over, in the order of its stores. Every field
  // of flow n says n.
  alignas(64) Flow entry = flow(0);
  entry.client_port.raw = entry.service = entry.backend = entry.backend_generation = 0;
  std::atomic<bool> stop{false};
  std::thread worker([&] {
    auto* state = reinterpret_cast<uint8_t*>(&entry.state);
    for (uint32_t n = 1; !stop.load(std::memory_order_relaxed); n++) {
      __atomic_store_n(state, static_cast<uint8_t>(TcpState::kFree), __ATOMIC_RELEASE);
      __atomic_thread_fence(__ATOMIC_SEQ_CST);  // x86 keeps stores in order; the compiler is to, too
      Flow next = flow(n % 0x10000, TcpState::kFree);
      next.client_port.raw = next.service = next.backend = next.backend_generation = static_cast<uint16_t>(n);
      std::array<uint64_t, 8> words;
      std::memcpy(words.data(), &next, sizeof next);
      for (size_t w = 0; w < words.size(); w++) {
        __atomic_store_n(reinterpret_cast<uint64_t*>(&entry) + w, words[w], __ATOMIC_RELAXED);
      }
      __atomic_store_n(state, static_cast<uint8_t>(TcpState::kEstablished), __ATOMIC_RELEASE);
    }
  });
  uint64_t read = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (read < 100'000 && std::chrono::steady_clock::now() < deadline) {
    bool torn = false;
    const auto seen = read_flow(entry, torn);
    if (!seen) continue;
    read++;
    const auto n = static_cast<uint16_t>(seen->client.v4_part().host());
    ASSERT_EQ(n, seen->client_port.raw);
    ASSERT_EQ(n, seen->service);
    ASSERT_EQ(n, seen->backend);
    ASSERT_EQ(n, seen->backend_generation);
  }
  stop = true;
  worker.join();
  EXPECT_GT(read, 0u);
}

TEST(ReadFlow, EntryThatKeepsChangingHandsIsLeftOutAndSaid) {
  Flow entry = flow(1);
  bool torn = false;
  EXPECT_TRUE(read_flow(entry, torn));
  EXPECT_FALSE(torn);
  entry.state = static_cast<TcpState>(200);  // no state that there is
  EXPECT_FALSE(read_flow(entry, torn));
  EXPECT_TRUE(torn);
}

}  // namespace
}  // namespace sluice::control

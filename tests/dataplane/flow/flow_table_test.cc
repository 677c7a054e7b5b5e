// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/flow_table.h"

#include "tests/support/seed.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <unordered_map>

namespace sluice {
namespace {

struct EndpointHash {
  size_t operator()(const Endpoint& e) const { return hash_endpoint(e, 0); }
};

Endpoint client(uint32_t n) {
  return {Address::v4(Be32::of(0x0a000000 + n / 60000)), Be16::of(static_cast<uint16_t>(n % 60000))};
}

class FlowTableTest : public ::testing::Test {
 protected:
  FlowTable make(uint32_t capacity) {
    const size_t bytes = channel::align_up(flow_memory_bytes(capacity), 64);
    memory_.reset(static_cast<std::byte*>(aligned_alloc(64, bytes)));
    std::memset(memory_.get(), 0, bytes);
    return FlowTable(memory_.get(), capacity, 42, 1);
  }

  static FlowIndex add(FlowTable& table, const Endpoint& endpoint, uint16_t service = 0) {
    const FlowIndex index = table.insert(table.place(table.hash(endpoint)));
    if (index == kNoFlow) return index;
    table[index] = Flow{};
    table[index].client = endpoint.address;
    table[index].client_port = endpoint.port;
    table[index].service = service;
    table[index].state = TcpState::kEstablished;
    return index;
  }

  static FlowIndex find(const FlowTable& table, const Endpoint& endpoint, uint16_t service = 0) {
    return table.find(table.place(table.hash(endpoint)),
                      [&](const Flow& flow) { return flow.client_endpoint() == endpoint && flow.service == service; });
  }

  std::unique_ptr<std::byte, decltype(&free)> memory_{nullptr, &free};
};

TEST_F(FlowTableTest, HoldsAsManyFlowsAsItSays) {
  for (const uint32_t capacity : {1024u, 4096u, 8192u, 100'000u, 111'411u}) {
    FlowTable table = make(capacity);
    for (uint32_t i = 0; i < capacity; i++) ASSERT_NE(add(table, client(i)), kNoFlow) << i << " of " << capacity;
    EXPECT_EQ(add(table, client(capacity)), kNoFlow);
    EXPECT_EQ(table.available(), 0u);
    for (uint32_t i = 0; i < capacity; i++) ASSERT_NE(find(table, client(i)), kNoFlow) << i << " of " << capacity;
    EXPECT_EQ(find(table, client(capacity)), kNoFlow);
  }
}

TEST_F(FlowTableTest, StaysWithin112BytesAFlow) {
  for (uint64_t capacity = 1024; capacity <= 64'000'000; capacity = capacity * 5 / 4) {
    const auto n = static_cast<uint32_t>(capacity);
    const uint64_t each = sizeof(Flow) + sizeof(channel::SessionNotes);
    EXPECT_LE(bucket_count(n) * sizeof(FlowBucket) + capacity * each, 112 * capacity) << capacity;
  }
}

TEST_F(FlowTableTest, TellsFlowsOfOneClientEndpointApart) {
  FlowTable table = make(1024);
  std::vector<FlowIndex> flows;
  for (uint16_t service = 0; service < 20; service++) flows.push_back(add(table, client(7), service));
  for (uint16_t service = 0; service < 20; service++) EXPECT_EQ(find(table, client(7), service), flows[service]);
  table.erase(flows[3]);
  EXPECT_EQ(find(table, client(7), 3), kNoFlow);
  EXPECT_EQ(find(table, client(7), 19), flows[19]);
}

TEST_F(FlowTableTest, RefusesWhenBothBucketsAreFullOfOneEndpoint) {
  FlowTable table = make(1024);
  uint32_t held = 0;
  while (add(table, client(7), static_cast<uint16_t>(held)) != kNoFlow) held++;
  EXPECT_EQ(held, 2 * FlowBucket::kPlaces);
  for (uint16_t service = 0; service < held; service++) EXPECT_NE(find(table, client(7), service), kNoFlow);
}

TEST_F(FlowTableTest, DoesNotReuseAFlowBeforeTheBurstEnds) {
  FlowTable table = make(1024);
  const FlowIndex first = add(table, client(1));
  table.erase(first);
  EXPECT_NE(add(table, client(2)), first);
  table.end_burst();
  EXPECT_EQ(add(table, client(3)), first);
}

TEST_F(FlowTableTest, AgreesWithAMapOverMillionsOfOperations) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  std::mt19937_64 random(seed);
  constexpr uint32_t kCapacity = 20'000;
  FlowTable table = make(kCapacity);
  std::unordered_map<Endpoint, FlowIndex, EndpointHash> model;
  for (int step = 0; step < 3'000'000; step++) {
    const Endpoint endpoint = client(static_cast<uint32_t>(random() % 40'000));
    const auto known = model.find(endpoint);
    const FlowIndex found = find(table, endpoint);
    ASSERT_EQ(found, known == model.end() ? kNoFlow : known->second) << "step " << step;
    // Swings between nearly empty and quite full.
    const bool filling = (step / 100'000) % 2 == 0;
    if (known != model.end() && (random() % 4 == 0 || !filling)) {
      table.erase(found);
      model.erase(known);
    } else if (known == model.end() && (filling || random() % 4 == 0)) {
      const FlowIndex added = add(table, endpoint);
      if (added != kNoFlow) {
        model.emplace(endpoint, added);
      } else {
        ASSERT_EQ(table.available(), 0u) << "an index refused below its capacity";
      }
    }
    if (random() % 16 == 0) table.end_burst();
    ASSERT_EQ(table.size(), model.size());
  }
}

TEST_F(FlowTableTest, AdoptsMemoryOfTheSameGeometryAndBoot) {
  FlowTable first = make(4096);
  for (uint32_t i = 0; i < 3000; i++) add(first, client(i));
  first.erase(find(first, client(5)));
  FlowTable second(memory_.get(), 4096, 99, 1);
  EXPECT_EQ(second.adopted(), 2999u);
  EXPECT_EQ(find(second, client(5)), kNoFlow);
  EXPECT_NE(find(second, client(6)), kNoFlow);
  for (uint32_t i = 0; i < 4096 - 2999; i++) ASSERT_NE(add(second, client(10'000 + i)), kNoFlow);
  FlowTable other_boot(memory_.get(), 4096, 99, 2);
  EXPECT_EQ(other_boot.adopted(), 0u);
  EXPECT_EQ(find(other_boot, client(6)), kNoFlow);
}

TEST_F(FlowTableTest, IgnoresTornAndImpossibleEntriesWhenAdopting) {
  FlowTable first = make(1024);
  for (uint32_t i = 0; i < 10; i++) add(first, client(i));
  first[find(first, client(1))].state = TcpState::kFree;             // the writer died before the last store
  first[find(first, client(2))].state = static_cast<TcpState>(200);  // rubbish
  first[find(first, client(3))].backend = 0xfff0;
  FlowTable second(memory_.get(), 1024, 99, 1);
  EXPECT_EQ(second.adopted(), 7u);
  EXPECT_EQ(second.size(), 7u);
}

}  // namespace
}  // namespace sluice

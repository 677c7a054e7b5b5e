// SPDX-License-Identifier: Apache-2.0
//
// The memory that control shares with the data plane: rings that are full, room for tables, segments that are refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "tests/controlplane/support/channel_fixture.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

TEST_F(Channel, SharesOneSlotBetweenServicesOfOneTable) {
  start_dataplane();
  const auto shared = table({1, 2});
  publish({{backend(1), backend(2)}, {service(11, shared), service(12, shared)}});
  client_->start();
  settle();
  const auto& services = dataplane_->worker(0).services;
  EXPECT_EQ(services.at(service_id(11)).table_offset, services.at(service_id(12)).table_offset);
}

TEST_F(Channel, LaysTheBlockedSourcesIntoTheArenaAndFreesTheirRoomWhenTheyAreReplaced) {
  start_dataplane();
  const auto blocked = [](uint32_t first, uint32_t count) {
    std::vector<config::IpPrefix> prefixes(count);
    for (uint32_t i = 0; i < count; i++) {
      prefixes[i].address.bytes = Address::v4(Be32::of(first + 2 * i)).bytes;
      prefixes[i].bits = 128;
    }
    return SourceList::of(prefixes, {});
  };
  Desired desired = two_services();
  client_->start();
  const std::array lists{blocked(0x0a000000, 1'000'000), blocked(0x0a000001, 1'000'000)};
  // More in all than the arena has room for.
  for (uint32_t round = 0; round < 40; round++) {
    desired.sources = lists[round % 2];
    publish(desired);
    settle();
    for (uint32_t w = 0; w < kWorkers; w++) {
      const channel::PutSources& put = dataplane_->worker(w).sources;
      ASSERT_EQ(put.v4_borders, 2'000'000u);
      const channel::SourceListView list{channel::SourceListLayout::of(put.v4_borders, put.v6_borders),
                                         dataplane_->arena() + size_t{put.offset} * channel::kArenaUnit};
      ASSERT_TRUE(list.contains(Address::v4(Be32::of(0x0a000000 + round % 2))));
      ASSERT_FALSE(list.contains(Address::v4(Be32::of(0x0a000001 - round % 2))));
    }
  }
  EXPECT_TRUE(faults_.empty());
  desired.sources = blocked(0, 0);
  publish(desired);
  settle();
  EXPECT_EQ(dataplane_->worker(0).sources.v4_borders, 0u);
}

TEST_F(Channel, LosesNoCommandWhenTheRingIsFull) {
  start_dataplane();
  Desired desired;
  for (uint64_t key = 1; key <= 10000; key++) desired.backends.push_back(backend(key));
  desired.services = {service(20001, table({1, 10000}))};
  publish(desired);
  client_->start();
  run_until([&] { return connections_ == 1; }, false);
  run_until([&] { return rte_ring_full(client_->mapping()->command_ring(0)) != 0; }, false);
  desired.backends.back().weight = 7;  // changes meanwhile: sent later, once, in its last state
  publish(desired);
  EXPECT_FALSE(client_->is_settled());
  // One worker runs ahead, the other takes a little at a time.
  run_until(
      [&] {
        dataplane_->apply(0);
        dataplane_->apply(1, 100);
        return client_->is_settled();
      },
      false);
  for (uint32_t w = 0; w < kWorkers; w++) {
    EXPECT_EQ(dataplane_->worker(w).backends.size(), 10000u);
    EXPECT_EQ(dataplane_->worker(w).backends.at(id_of(10000, w)).weight, 7);
  }
}

TEST_F(Channel, WritesNoSlotThatAWorkerStillReads) {
  start_dataplane();
  std::mt19937 random(3);
  Desired desired = two_services();
  publish(desired);
  client_->start();
  settle();
  for (int round = 0; round < 300; round++) {
    desired.services[round % 2].table = table({1 + random() % 3, 1 + (random() + 1) % 3}, 1009);
    publish(desired);
    io_.run_for(100us);
    io_.restart();
    // Workers lag behind by turns; the fake checks that tables in use stay as they are.
    if (round % 3 == 0) dataplane_->apply(0);
    if (round % 7 == 0) dataplane_->apply(1);
  }
  settle();
  for (uint32_t w = 0; w < kWorkers; w++) {
    const auto entries = dataplane_->table(w, service_id(12, w));
    for (const auto id : entries) EXPECT_TRUE(dataplane_->worker(w).backends.contains(id));
  }
}

TEST_F(Channel, WaitsForRoomInTheArena) {
  start_dataplane();
  dataplane_->arena_bytes = 3 * 2048;  // each table below takes 2048 with its rounding
  const auto big = [&](std::vector<uint64_t> members) { return table(std::move(members), 1009); };
  Desired desired{{backend(1), backend(2)}, {service(11, big({1})), service(12, big({2}))}};
  publish(desired);
  client_->start();
  settle();
  desired.services[0].table = big({1, 2});
  desired.services[1].table = big({2, 1});
  desired.backends.erase(desired.backends.begin() + 1);
  desired.services[1].table = big({1});
  publish(desired);
  settle();
  EXPECT_TRUE(faults_.empty()) << faults_[0];
  const auto entries = dataplane_->table(0, service_id(12));
  EXPECT_EQ(static_cast<size_t>(std::count(entries.begin(), entries.end(), id_of(1))), entries.size());
  EXPECT_EQ(dataplane_->worker(0).backends.size(), 1u);
}

TEST_F(Channel, SaysSoWhenATableCanNeverFit) {
  start_dataplane();
  dataplane_->arena_bytes = 1024;
  publish({{backend(1)}, {service(11, table({1}, 1009))}});
  client_->start();
  run_until([&] { return !faults_.empty(); });
  EXPECT_NE(faults_[0].find("table_size"), std::string::npos) << faults_[0];
  EXPECT_EQ(dataplane_->worker(0).services.at(service_id(11)).table_entries, 0u);
}

TEST_F(Channel, RefusesASegmentThatIsNotWhatItSays) {
  using Memory = FakeDataplane::Memory;
  const auto header = [](Memory& segment) -> channel::SegmentHeader& {
    return *reinterpret_cast<channel::SegmentHeader*>(segment.data);
  };
  struct Case {
    const char* what;
    const char* says;
    std::function<void(channel::Hello&, Memory&, Memory&)> spoil;
  };
  const std::vector<Case> cases{
      {"another magic", "does not speak", [](auto& hello, auto&, auto&) { hello.magic++; }},
      {"another ABI in the greeting", "version", [](auto& hello, auto&, auto&) { hello.abi_version++; }},
      {"another ABI in the segment", "ABI", [&](auto&, auto& s, auto&) { header(s).abi_version++; }},
      {"no workers", "0 workers", [&](auto&, auto& s, auto&) { header(s).workers = 0; }},
      {"too many workers", "65 workers", [&](auto&, auto& s, auto&) { header(s).workers = 65; }},
      {"an arena beyond the end", "laid out", [&](auto&, auto& s, auto&) { header(s).arena_bytes += 64; }},
      {"moved rings", "laid out", [&](auto&, auto& s, auto&) { header(s).rings_offset = 64; }},
      {"a ring of another size", "another size",
       [&](auto&, auto& s, auto&) { channel::command_ring(s.data, 1)->mask = 0xffffffff; }},
      {"a short segment", "laid out", [](auto&, auto& s, auto&) { EXPECT_EQ(ftruncate(s.fd, 65536), 0); }},
      {"an empty segment", "cannot be read", [](auto&, auto& s, auto&) { EXPECT_EQ(ftruncate(s.fd, 0), 0); }},
      {"short statistics", "too short", [](auto&, auto&, auto& s) { EXPECT_EQ(ftruncate(s.fd, 4096), 0); }},
  };
  client_->start();
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    reasons_.clear();
    start_dataplane();
    dataplane_->spoil = c.spoil;
    run_until([&] { return !reasons_.empty() && reasons_.back().find("cannot reach") == std::string::npos; }, false);
    EXPECT_NE(reasons_.back().find(c.says), std::string::npos) << reasons_.back();
    EXPECT_EQ(connections_, 0);
    dataplane_.reset();
    run_until([&] { return reasons_.back().find("cannot reach") != std::string::npos; });
  }
}

}  // namespace
}  // namespace sluice::control

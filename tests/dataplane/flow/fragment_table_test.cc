// SPDX-License-Identifier: Apache-2.0
//
// Whose place a first fragment takes.
#include <gtest/gtest.h>

#include "dataplane/flow/fragments.h"
#include "tests/dataplane/support/frame.h"

namespace sluice::testing {
namespace {

const Endpoint kClient = endpoint("198.51.100.7", 40000), kVip = endpoint("192.0.2.25", 25);

Packet first_fragment(const Address& source, uint32_t id) {
  Packet out;
  out.source = {source, kClient.port};
  out.destination = kVip;
  out.tcp_header_bytes = 20;
  out.fragment_id = id;
  return out;
}

bool is_known(const FragmentTable& table, const Packet& first, uint64_t now_ms) {
  Packet packet = first;
  const Be16 port = first.source.port;
  packet.source.port = {};
  const bool out = table.complete(packet, 600, now_ms);
  EXPECT_EQ(packet.source.port, out ? port : Be16{});
  return out;
}

TEST(FragmentTable, RecyclesTheOldestOfAFullSet) {
  FragmentTable table(1);
  constexpr uint32_t kSent = 4 * FragmentTable::kWays;
  for (uint32_t id = 0; id < kSent; id++) table.remember(first_fragment(kClient.address, id), 1000 + id);
  for (uint32_t id = 0; id < kSent; id++) {
    const bool newest = id >= kSent - FragmentTable::kWays;
    EXPECT_EQ(is_known(table, first_fragment(kClient.address, id), 1000 + kSent), newest) << id;
  }
}

TEST(FragmentTable, WhoSendsManyDisplacesHisOwn) {
  FragmentTable table(1);
  constexpr uint32_t kOthers = 100;
  const auto other = [](uint32_t i) { return first_fragment(Address::v4(Be32::of(0xcb007100 + i)), 7); };
  for (uint32_t i = 0; i < kOthers; i++) table.remember(other(i), 1000);
  uint32_t before = 0, after = 0;
  for (uint32_t i = 0; i < kOthers; i++) before += is_known(table, other(i), 1001) ? 1 : 0;
  EXPECT_GT(before, kOthers * 9 / 10);
  for (uint32_t id = 0; id < 100'000; id++) table.remember(first_fragment(kClient.address, id), 1001);
  for (uint32_t i = 0; i < kOthers; i++) after += is_known(table, other(i), 1002) ? 1 : 0;
  EXPECT_GE(after + FragmentTable::kWays, before) << "one set's, at most";
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "controlplane/ctl/doctor/probe_messages.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {

namespace {

using ctl::Claim;
using ctl::Heard;
using ctl::Segment;

constexpr MacAddress kStation{{0x02, 0, 0, 0, 0, 0x99}};

control::PacketBytes written(const Claim& claim) {
  if (claim.address.is_v4())
    return bytes_of(
        control::ArpMessage{.operation = control::kArpReply, .sender_mac = claim.mac, .sender = claim.address});
  return bytes_of(control::NeighborMessage{.type = control::kNeighborAdvertisement,
                                           .source = claim.address,
                                           .destination = claim.address,
                                           .target = claim.address,
                                           .mac = claim.mac});
}

void expect_same(const Claim& claim) {
  const uint16_t ethertype = claim.address.is_v4() ? control::kEthertypeArp : control::kEthertypeIpv6;
  const Heard again = ctl::heard_in(ethertype, written(claim), kStation);
  ASSERT_TRUE(std::holds_alternative<Claim>(again));
  EXPECT_EQ(std::get<Claim>(again).address, claim.address);
  EXPECT_EQ(std::get<Claim>(again).mac, claim.mac);
}

void expect_same(const Segment& segment) {
  const bool v4 = segment.from.address.is_v4();
  ASSERT_EQ(segment.to.address.is_v4(), v4);
  const uint16_t ethertype = v4 ? control::kEthertypeIpv4 : control::kEthertypeIpv6;
  const Heard again = ctl::heard_in(ethertype, bytes_of(segment, 1), kStation);
  ASSERT_TRUE(std::holds_alternative<Segment>(again));
  EXPECT_EQ(std::get<Segment>(again), segment);
}

}  // namespace

void play_stations(FuzzInput bytes) {
  if (bytes.size() < 2) return;
  const auto ethertype = static_cast<uint16_t>(bytes[0] << 8 | bytes[1]);
  const Heard heard = ctl::heard_in(ethertype, bytes.subspan(2), kStation);
  if (const auto* claim = std::get_if<Claim>(&heard)) expect_same(*claim);
  if (const auto* segment = std::get_if<Segment>(&heard)) expect_same(*segment);
}

}  // namespace sluice::testing

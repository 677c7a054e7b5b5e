// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/link_frames.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/ip.h"

namespace sluice::control {
namespace {

constexpr MacAddress kMac{{0x02, 0, 0, 0, 0, 0x17}};

std::string hex(const std::vector<uint8_t>& bytes) {
  std::string out;
  for (const uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

TEST(LinkFrames, TellOfAnIpv4AddressByArpAsRequestAndAsReply) {
  const auto frames = address_announcements(kMac, ip("192.0.2.25"));
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(hex(frames[0]),
            "ffffffffffff0200000000170806"
            "0001080006040001020000000017c0000219000000000000c0000219");
  EXPECT_EQ(hex(frames[1]),
            "ffffffffffff0200000000170806"
            "0001080006040002020000000017c0000219020000000017c0000219");
}

TEST(LinkFrames, TellOfAnIpv6AddressByAnAdvertisementThatOverrides) {
  const auto frames = address_announcements(kMac, ip("2001:db8::25"));
  ASSERT_EQ(frames.size(), 1u);
  const std::string text = hex(frames[0]);
  EXPECT_EQ(text.substr(0, 28), "33330000000102000000001786dd");
  EXPECT_EQ(text.substr(28, 16), "6000000000203aff") << "32 bytes of ICMPv6, hop limit 255";
  EXPECT_EQ(text.substr(44, 64), "20010db8000000000000000000000025ff020000000000000000000000000001");
  EXPECT_EQ(text.substr(108, 4), "8800");
  EXPECT_EQ(text.substr(116), "2000000020010db80000000000000000000000250201020000000017");
  // RFC 4443, 2.3: over the pseudo header and the message, the checksum among it, the sum is all ones.
  uint32_t sum = 32 + 58;
  for (size_t i = 22; i + 1 < frames[0].size(); i += 2) sum += uint32_t{frames[0][i]} << 8 | frames[0][i + 1];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  EXPECT_EQ(sum, 0xffffu);
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/probe_messages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/ip.h"

namespace sluice::ctl {
namespace {

using control::NeighborMessage;
using control::PacketBytes;

constexpr MacAddress kMac{{0x02, 0, 0, 0, 0, 0x17}}, kStation{{0x02, 0, 0, 0, 0, 0x99}};

std::string hex(const PacketBytes& bytes) {
  std::string out;
  for (const uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

bool is_nothing(const Heard& heard) {
  return std::holds_alternative<std::monostate>(heard);
}

TEST(AddressProbe, OfIpv4NamesNoSender) {
  const LinkMessage probe = address_probe(kMac, ip("10.0.1.1"), ip("192.0.2.25"));
  EXPECT_EQ(probe.to, (MacAddress{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}));
  EXPECT_EQ(probe.ethertype, 0x0806);
  EXPECT_EQ(hex(probe.bytes),
            "0001080006040001020000000017"
            "00000000"
            "000000000000"
            "c0000219");
}

TEST(AddressProbe, OfIpv6NamesUsSoThatTheAnswerComesToUsAlone) {
  const LinkMessage probe = address_probe(kMac, ip("fe80::1"), ip("2001:db8::12:3425"));
  EXPECT_EQ(probe.to, (MacAddress{{0x33, 0x33, 0xff, 0x12, 0x34, 0x25}}));
  EXPECT_EQ(probe.ethertype, 0x86dd);
  const std::string text = hex(probe.bytes);
  EXPECT_EQ(text.substr(0, 16), "6000000000203aff") << "32 bytes of ICMPv6, hop limit 255";
  EXPECT_EQ(text.substr(16, 64), "fe800000000000000000000000000001ff0200000000000000000001ff123425");
  EXPECT_EQ(text.substr(80, 4), "8700");
  EXPECT_EQ(text.substr(88), "0000000020010db80000000000000000001234250101020000000017");
}

TEST(Heard, IsWhoAnswersArp) {
  const PacketBytes reply =
      bytes_of(control::ArpMessage{.operation = control::kArpReply, .sender_mac = kMac, .sender = ip("192.0.2.25")});
  const Heard heard = heard_in(0x0806, reply, kStation);
  ASSERT_TRUE(std::holds_alternative<Claim>(heard));
  EXPECT_EQ(std::get<Claim>(heard).address, ip("192.0.2.25"));
  EXPECT_EQ(std::get<Claim>(heard).mac, kMac);
  const PacketBytes request = bytes_of(control::ArpMessage{.sender_mac = kMac, .sender = ip("192.0.2.25")});
  EXPECT_TRUE(is_nothing(heard_in(0x0806, request, kStation)));
}

TEST(Heard, IsWhoAdvertisesAnAddress) {
  const NeighborMessage said{.type = control::kNeighborAdvertisement,
                             .source = ip("fe80::2"),
                             .destination = ip("fe80::1"),
                             .target = ip("2001:db8::25"),
                             .mac = kMac};
  PacketBytes advertisement = bytes_of(said);
  const auto claim = [&] { return std::get<Claim>(heard_in(0x86dd, advertisement, kStation)); };
  EXPECT_EQ(claim().address, ip("2001:db8::25"));
  EXPECT_EQ(claim().mac, kMac);
  advertisement[7] = 254;
  EXPECT_TRUE(is_nothing(heard_in(0x86dd, advertisement, kStation))) << "it has passed a router";
  advertisement[7] = 255;
  advertisement.resize(advertisement.size() - 8);  // without the option
  advertisement[5] = 24;
  EXPECT_EQ(claim().mac, kStation);
}

TEST(Heard, IsASegmentAsItWasSent) {
  for (const auto& [from, to] : {std::pair("192.0.2.25", "10.0.1.1"), std::pair("2001:db8::25", "fd00:1::1")}) {
    const Segment sent{{ip(from), 25}, {ip(to), 50000}, 0x01020304, 0xfffefdfc, Segment::kSyn | Segment::kAck};
    const uint16_t ethertype = ip(from).is_v4() ? 0x0800 : 0x86dd;
    const Heard heard = heard_in(ethertype, bytes_of(sent, 1), kStation);
    ASSERT_TRUE(std::holds_alternative<Segment>(heard)) << from;
    EXPECT_EQ(std::get<Segment>(heard), sent);
  }
}

TEST(Heard, IsNothingOfWhatIsCutShortOrSomethingElse) {
  const Segment syn{{ip("192.0.2.25"), 25}, {ip("10.0.1.1"), 50000}, 1, 2, Segment::kSyn};
  const PacketBytes whole = bytes_of(syn, 64);
  for (size_t length = 0; length < whole.size(); length++)
    EXPECT_TRUE(is_nothing(heard_in(0x0800, std::span(whole).first(length), kStation))) << length;
  PacketBytes fragment = whole;
  fragment[6] = 0x20;
  EXPECT_TRUE(is_nothing(heard_in(0x0800, fragment, kStation)));
  PacketBytes udp = whole;
  udp[9] = 17;
  EXPECT_TRUE(is_nothing(heard_in(0x0800, udp, kStation)));
  EXPECT_TRUE(is_nothing(heard_in(0x88cc, whole, kStation)));
  const Segment v6{{ip("2001:db8::25"), 25}, {ip("fd00:1::1"), 50000}, 1, 2, Segment::kSyn};
  PacketBytes mapped = bytes_of(v6, 64);
  std::ranges::copy(ip("192.0.2.25").bytes, mapped.begin() + 8);
  EXPECT_TRUE(is_nothing(heard_in(0x86dd, mapped, kStation))) << "no IPv4 address comes in IPv6";
}

}  // namespace
}  // namespace sluice::ctl

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/server_routes.h"

#include <gtest/gtest.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <set>
#include <string>
#include <vector>

#include "tests/support/ip.h"

namespace sluice::control {
namespace {

constexpr int kFront = 3, kBack = 4, kOther = 5;

MacAddress mac(uint8_t last) {
  return {{2, 0, 0, 0, 0, last}};
}

/// The world behind a router at the front, mail servers at the back, and an interface that is none of ours.
class ServerRoutesTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto& [index, name] : {std::pair{kFront, "slf0"}, {kBack, "slb0"}, {kOther, "eth9"}}) {
      netlink::Link link;
      link.index = index;
      link.name = name;
      kernel_.links.push_back(link);
    }
    route("0.0.0.0/0", kFront, "192.0.2.1");
    route("192.0.2.0/24", kFront);
    route("10.0.1.0/24", kBack);
    route("fd00:1::/64", kBack);
    neighbor(kFront, "192.0.2.1", 1);
    neighbor(kBack, "10.0.1.10", 10);
    neighbor(kBack, "fd00:1::10", 10);
  }

  netlink::Route& route(const std::string& text, int link, const std::string& gateway = "") {
    const auto prefix = config::IpPrefix::parse(text).value();
    netlink::Route out;
    out.type = RTN_UNICAST;
    out.table = RT_TABLE_MAIN;
    out.is_v4 = prefix.address.is_v4();
    out.prefix_bits = static_cast<uint8_t>(prefix.bits - (out.is_v4 ? 96 : 0));
    if (out.prefix_bits != 0) out.destination = prefix.address;  // as it is parsed
    out.link = link;
    if (!gateway.empty()) out.gateway = ip(gateway);
    return kernel_.routes.emplace_back(out);
  }
  netlink::Neighbor& neighbor(int link, const std::string& address, uint8_t last, uint16_t state = NUD_REACHABLE) {
    netlink::Neighbor out;
    out.link = link;
    out.address = ip(address);
    out.state = state;
    out.mac = mac(last);
    return kernel_.neighbors.emplace_back(out);
  }
  ServerRoutes build(RoutedFamilies families = {true, true}) {
    auto out = server_routes(kernel_, {{"slf0", {0, 0}}, {"slb0", {1, 12}}}, families);
    EXPECT_TRUE(out) << out.error();
    return std::move(*out);
  }
  /// The last byte of the station's MAC address; 0: it is the kernel's.
  static int hop(const ServerRoutes& routes, const std::string& address) {
    const channel::RouteHop* found = routes.table->find(ip(address));
    return found == nullptr ? 0 : found->mac.bytes[5];
  }

  KernelRoutes kernel_;
};

TEST_F(ServerRoutesTest, LeadsToGatewaysAndToHostsOnTheLink) {
  const ServerRoutes routes = build();
  EXPECT_EQ(hop(routes, "203.0.113.9"), 1);
  EXPECT_EQ(hop(routes, "192.0.2.1"), 1) << "itself";
  EXPECT_EQ(hop(routes, "10.0.1.10"), 10);
  EXPECT_EQ(hop(routes, "fd00:1::10"), 10);
  EXPECT_EQ(hop(routes, "10.0.1.11"), 0) << "the kernel is to ask for it";
  EXPECT_EQ(hop(routes, "10.0.1.255"), 0);
  EXPECT_EQ(hop(routes, "2001:db8::1"), 0) << "there is no route";
  const channel::RouteHop* back = routes.table->find(ip("10.0.1.10"));
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(*back, (channel::RouteHop{mac(10), 12, 1, {}}));
  EXPECT_EQ(routes.prefixes, 1u);
  EXPECT_EQ(routes.hosts, 3u);
  EXPECT_EQ(routes.left, 0u);
}

TEST_F(ServerRoutesTest, TheLongestPrefixCountsAndOfOneThePreferredRoute) {
  neighbor(kFront, "192.0.2.2", 2);
  neighbor(kFront, "192.0.2.3", 3);
  route("198.51.100.0/24", kFront, "192.0.2.3").metric = 20;
  route("198.51.100.0/24", kFront, "192.0.2.2").metric = 10;
  route("198.51.100.128/25", kFront, "192.0.2.1").metric = 30;
  const ServerRoutes routes = build();
  EXPECT_EQ(hop(routes, "198.51.100.1"), 2);
  EXPECT_EQ(hop(routes, "198.51.100.200"), 1);
}

TEST_F(ServerRoutesTest, TheKernelKeepsWhatIsMoreThanANextHop) {
  neighbor(kFront, "192.0.2.2", 2);
  route("198.51.0.0/24", kFront).hops = {{kFront, ip("192.0.2.1")}, {kFront, ip("192.0.2.2")}};
  route("198.51.1.0/24", kFront, "192.0.2.1");
  route("198.51.1.0/24", kFront, "192.0.2.2");  // likewise, of IPv6 as older kernels tell of it
  route("198.51.2.0/24", kFront, "192.0.2.1").special = true;
  route("198.51.3.0/24", kFront, "192.0.2.1");
  route("198.51.3.0/24", kFront, "192.0.2.2").special = true;  // of some packets alone
  kernel_.routes.back().metric = 5;
  for (const uint8_t type : {RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW})
    route("198.51." + std::to_string(type) + ".0/24", 0).type = type;
  route("198.51.100.0/24", kOther, "172.16.0.1");
  route("198.51.101.0/24", kFront, "192.0.2.77");
  const ServerRoutes routes = build();
  for (const auto& net : {"0", "1", "2", "3", "6", "7", "8", "9", "100", "101"}) {
    SCOPED_TRACE(net);
    EXPECT_EQ(hop(routes, std::string("198.51.") + net + ".1"), 0);
  }
  EXPECT_EQ(hop(routes, "198.51.102.1"), 1) << "beside them";
  EXPECT_EQ(routes.left, 5u);
  EXPECT_EQ(routes.why_left, "198.51.0.0/24: it has several ways");
}

TEST_F(ServerRoutesTest, WhatTheKernelTakesForItsOwnIsItsOwn) {
  neighbor(kFront, "192.0.2.2", 2);
  route("198.51.100.0/24", kFront, "192.0.2.2");
  route("198.51.101.0/24", kFront, "192.0.2.2");
  for (const auto& net : {"10.0.1.8/29", "198.51.100.0/25", "198.51.101.0/32", "203.0.113.0/24", "fd00:1::/64"}) {
    netlink::Route& own = route(net, 1);
    own.table = RT_TABLE_LOCAL;
    own.type = RTN_LOCAL;
  }
  route("203.0.113.128/25", kFront, "192.0.2.2");  // longer, but the local table is asked first
  const ServerRoutes routes = build();
  for (const auto& own : {"10.0.1.10", "198.51.100.0", "198.51.100.127", "198.51.101.0", "203.0.113.1", "203.0.113.129",
                          "203.0.113.255", "fd00:1::10"})
    EXPECT_EQ(hop(routes, own), 0) << own;
  EXPECT_EQ(hop(routes, "198.51.100.128"), 2);
  EXPECT_EQ(hop(routes, "198.51.101.1"), 2);
  EXPECT_EQ(hop(routes, "203.0.112.255"), 1);
  EXPECT_EQ(hop(routes, "203.0.114.0"), 1);
}

TEST_F(ServerRoutesTest, APrefixOfMappedAddressesHidesNoOther) {
  neighbor(kFront, "fd00:2::1", 1);
  route("::/0", kFront, "fd00:2::1").destination = ip("::");
  netlink::Route& mapped = route("2001:db8::/96", kFront, "fd00:2::1");
  mapped.destination = ip("::ffff:0:0");
  mapped.type = RTN_UNREACHABLE;
  EXPECT_EQ(hop(build(), "2001:db8::25"), 1) << "the default route goes on behind it";
}

TEST_F(ServerRoutesTest, RoutesThatAreNotInUseDoNotCount) {
  route("198.51.100.0/24", kFront, "192.0.2.77").dead = true;
  route("198.51.101.0/24", kFront, "192.0.2.77").table = 100;
  const ServerRoutes routes = build();
  EXPECT_EQ(hop(routes, "198.51.100.1"), 1);
  EXPECT_EQ(hop(routes, "198.51.101.1"), 1);
}

TEST_F(ServerRoutesTest, NeighboursThatAreNoStationsOfTheLinkDoNotCount) {
  neighbor(kBack, "10.0.1.20", 20, NUD_FAILED);
  neighbor(kBack, "10.0.1.21", 21, NUD_INCOMPLETE);
  neighbor(kBack, "10.0.1.22", 22, NUD_NOARP);
  neighbor(kBack, "10.0.1.23", 23).mac->bytes[0] = 1;
  neighbor(kBack, "10.0.1.24", 24).mac.reset();
  neighbor(kBack, "10.0.1.25", 25).mac = MacAddress{};
  neighbor(kBack, "10.0.1.26", 26).gone = true;
  neighbor(kFront, "10.0.1.27", 27);  // not where its network is
  neighbor(kOther, "10.0.1.28", 28);
  neighbor(kBack, "203.0.113.5", 29);  // behind the gateway
  neighbor(kBack, "fe80::5", 30);
  route("fe80::/64", kBack);
  route("fe80::/64", kFront);
  neighbor(kBack, "10.0.1.31", 31, NUD_PERMANENT);
  neighbor(kBack, "10.0.1.32", 32, NUD_STALE);
  const ServerRoutes routes = build();
  for (int last = 20; last <= 28; last++) EXPECT_EQ(hop(routes, "10.0.1." + std::to_string(last)), 0) << last;
  EXPECT_EQ(hop(routes, "203.0.113.5"), 1);
  EXPECT_EQ(hop(routes, "fe80::5"), 0);
  EXPECT_EQ(routes.left, 0u);
  EXPECT_EQ(hop(routes, "10.0.1.31"), 31);
  EXPECT_EQ(hop(routes, "10.0.1.32"), 32);
}

TEST_F(ServerRoutesTest, OnlyTheFamiliesThatMayBeRouted) {
  EXPECT_EQ(hop(build({false, true}), "10.0.1.10"), 0);
  EXPECT_EQ(hop(build({false, true}), "fd00:1::10"), 10);
  EXPECT_EQ(hop(build({true, false}), "10.0.1.10"), 10);
  EXPECT_EQ(hop(build({true, false}), "fd00:1::10"), 0);
}

TEST_F(ServerRoutesTest, AnEntryIsInUseOnceHoweverMuchIsLedToIt) {
  for (int net = 0; net < 5; net++) route("198.51." + std::to_string(net) + ".0/24", kFront, "192.0.2.1");
  neighbor(kFront, "192.0.2.2", 1);  // another address of that station: an entry by itself
  const ServerRoutes routes = build();
  EXPECT_EQ(routes.prefixes, 6u);
  std::multiset<std::string> in_use;
  for (const netlink::Neighbor& entry : routes.in_use) in_use.insert(entry.address.to_string());
  EXPECT_EQ(in_use, (std::multiset<std::string>{"10.0.1.10", "192.0.2.1", "192.0.2.2", "fd00:1::10"}));
}

TEST_F(ServerRoutesTest, OfManyEntriesThoseThatAreStaleHaveTheirTurn) {
  for (int host = 100; host < 200; host++)
    neighbor(kBack, "10.0.1." + std::to_string(host), 1, host % 10 == 9 ? NUD_STALE : NUD_REACHABLE);
  const ServerRoutes routes = build();
  size_t next = 0;
  const auto round = [&](size_t limit) {
    std::vector<std::string> out;
    for (const netlink::Neighbor& entry : stale_ones(routes.in_use, limit, next))
      out.push_back(entry.address.to_string());
    return out;
  };
  EXPECT_EQ(round(10).size(), 10u) << "others are passed by";
  next = 0;
  EXPECT_EQ(round(4), (std::vector<std::string>{"10.0.1.109", "10.0.1.119", "10.0.1.129", "10.0.1.139"}));
  EXPECT_EQ(round(4), (std::vector<std::string>{"10.0.1.149", "10.0.1.159", "10.0.1.169", "10.0.1.179"}));
  EXPECT_EQ(round(4), (std::vector<std::string>{"10.0.1.189", "10.0.1.199", "10.0.1.109", "10.0.1.119"}));
  EXPECT_TRUE(stale_ones({}, 4, next).empty());
}

TEST_F(ServerRoutesTest, MoreThanThereIsRoomForIsRefusedInWords) {
  for (uint32_t i = 0; i < channel::kMaxServerRoutes; i++) {
    netlink::Route& added = route("100.64.0.0/32", kFront, "192.0.2.1");
    added.destination.bytes[13] = static_cast<uint8_t>(64 + (i >> 16));
    added.destination.bytes[14] = static_cast<uint8_t>(i >> 8);
    added.destination.bytes[15] = static_cast<uint8_t>(i);
  }
  const auto refused = server_routes(kernel_, {{"slf0", {0, 0}}, {"slb0", {1, 0}}}, {true, true});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), "the kernel has 65541 IPv4 routes and neighbours, more than 65536");
  EXPECT_TRUE(server_routes(kernel_, {{"slf0", {0, 0}}, {"slb0", {1, 0}}}, {false, true}));
}

}  // namespace
}  // namespace sluice::control

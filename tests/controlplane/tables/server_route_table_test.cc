// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/server_route_table.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/support/ip.h"
#include "tests/support/seed.h"

namespace sluice::control {
namespace {

config::IpPrefix prefix(const std::string& text) {
  return config::IpPrefix::parse(text).value();
}

TEST(ServerRouteTable, PrefixesInOneAnotherAreCutIntoRanges) {
  using Ranges = std::vector<RouteRange>;
  struct {
    const char* what;
    std::vector<RoutedPrefix> prefixes;
    Ranges ranges;
  } const cases[] = {
      {"none", {}, {}},
      {"a default route", {{prefix("0.0.0.0/0"), 7}}, {{ip("0.0.0.0"), 7}}},
      {"a default route of IPv6", {{prefix("::/0"), 7}}, {{ip("::"), 7}}},
      {"a hole in it",
       {{prefix("10.0.1.0/24"), 0}, {prefix("0.0.0.0/0"), 7}},
       {{ip("0.0.0.0"), 7}, {ip("10.0.1.0"), 0}, {ip("10.0.2.0"), 7}}},
      {"a host in the hole",
       {{prefix("10.0.1.0/24"), 0}, {prefix("0.0.0.0/0"), 7}, {prefix("10.0.1.255/32"), 2}},
       {{ip("0.0.0.0"), 7}, {ip("10.0.1.0"), 0}, {ip("10.0.1.255"), 2}, {ip("10.0.2.0"), 7}}},
      {"where both begin",
       {{prefix("10.0.0.0/16"), 1}, {prefix("10.0.0.0/24"), 2}},
       {{ip("10.0.0.0"), 2}, {ip("10.0.1.0"), 1}, {ip("10.1.0.0"), 0}}},
      {"where both end",
       {{prefix("10.0.0.0/16"), 1}, {prefix("10.0.255.0/24"), 2}},
       {{ip("10.0.0.0"), 1}, {ip("10.0.255.0"), 2}, {ip("10.1.0.0"), 0}}},
      {"neighbours of one hop",
       {{prefix("10.0.0.0/24"), 1}, {prefix("10.0.1.0/24"), 1}},
       {{ip("10.0.0.0"), 1}, {ip("10.0.2.0"), 0}}},
      {"the last address", {{prefix("255.255.255.255/32"), 1}}, {{ip("255.255.255.255"), 1}}},
      {"the last of IPv6",
       {{prefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"), 1}},
       {{ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 1}}},
      {"a carry",
       {{prefix("fd00::ffff:ffff:ffff:ffff/128"), 1}},
       {{ip("fd00::ffff:ffff:ffff:ffff"), 1}, {ip("fd00:0:0:1::"), 0}}},
      {"of equals the last",
       {{prefix("10.0.1.9/32"), 1}, {prefix("10.0.1.9/32"), 2}},
       {{ip("10.0.1.9"), 2}, {ip("10.0.1.10"), 0}}},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    EXPECT_EQ(ranges_of(each.prefixes), each.ranges);
  }
}

TEST(ServerRouteTable, FindsTheLongestPrefix) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 30; round++) {
    std::vector<RoutedPrefix> prefixes;
    const auto draw = [&](bool v4) {
      config::IpAddress out;
      for (size_t i = 0; i < 16; i++) out.bytes[i] = static_cast<uint8_t>(random() % 3);  // many in one another
      if (v4) {
        out.bytes = {};
        out.bytes[10] = out.bytes[11] = 0xff;
        for (size_t i = 12; i < 16; i++) out.bytes[i] = static_cast<uint8_t>(random() % 3);
      } else {
        out.bytes[0] = 0x20;
      }
      return out;
    };
    std::vector<channel::RouteHop> hops(20);
    for (uint8_t i = 0; i < hops.size(); i++) hops[i].mac.bytes[5] = static_cast<uint8_t>(i + 1);
    for (const bool v4 : {true, false}) {
      for (uint32_t i = 0; i < random() % 200; i++) {
        const auto bits = static_cast<uint8_t>(v4 ? 96 + random() % 33 : random() % 129);
        prefixes.push_back({config::IpPrefix::of(draw(v4), bits), static_cast<uint32_t>(random() % 21)});
      }
    }
    std::vector<RoutedPrefix> of_v4, of_v6;
    for (const RoutedPrefix& each : prefixes) {
      // A prefix of IPv6 so short that it begins at :: is no IPv4-mapped one either.
      (each.prefix.address.is_v4() && each.prefix.bits >= 96 ? of_v4 : of_v6).push_back(each);
    }
    const auto table = ServerRouteTable::of(ranges_of(of_v4), ranges_of(of_v6), hops);
    for (int i = 0; i < 500; i++) {
      const config::IpAddress address = draw(i % 2 == 0);
      const RoutedPrefix* best = nullptr;
      for (const RoutedPrefix& each : i % 2 == 0 ? of_v4 : of_v6) {
        if (!each.prefix.contains({address, 128})) continue;
        if (best == nullptr || each.prefix.bits >= best->prefix.bits) best = &each;
      }
      const channel::RouteHop* found = table->find(address);
      ASSERT_EQ(found == nullptr ? 0 : found->mac.bytes[5], best == nullptr ? 0 : best->to) << address.to_string();
    }
  }
}

TEST(ServerRouteTable, OfNothingTakesNoRoomAndLeadsNowhere) {
  const auto table = ServerRouteTable::of({}, {}, std::vector<channel::RouteHop>(3));
  EXPECT_TRUE(table->image().empty());
  EXPECT_EQ(table->find(ip("10.0.0.1")), nullptr);
  EXPECT_EQ(table->layout().bytes(), 0u);
}

TEST(ServerRouteTable, IsLikeAnotherThatDiffersInNothing) {
  const std::vector<RouteRange> ranges{{ip("0.0.0.0"), 1}};
  std::vector<channel::RouteHop> hops(1);
  const auto one = ServerRouteTable::of(ranges, {}, hops), other = ServerRouteTable::of(ranges, {}, hops);
  EXPECT_TRUE(one->is_like(*other));
  hops[0].mac.bytes[0] = 2;
  EXPECT_FALSE(one->is_like(*ServerRouteTable::of(ranges, {}, hops)));
  EXPECT_FALSE(one->is_like(*ServerRouteTable::of({}, {}, {})));
}

TEST(ServerRouteTable, HoldsAsManyAsThereMayBe) {
  std::vector<RoutedPrefix> hosts;
  for (uint32_t i = 0; i < channel::kMaxServerRoutes; i++) {
    config::IpPrefix host = prefix("10.0.0.0/32");
    host.address.bytes[13] = static_cast<uint8_t>(i >> 15);
    host.address.bytes[14] = static_cast<uint8_t>(i >> 7);
    host.address.bytes[15] = static_cast<uint8_t>(i << 1);
    hosts.push_back({host, 1 + i % 2});
  }
  const auto ranges = ranges_of(hosts);
  EXPECT_EQ(ranges.size(), channel::kMaxServerRouteBorders);
  const auto table = ServerRouteTable::of(ranges, {}, std::vector<channel::RouteHop>(2));
  EXPECT_NE(table->find(ip("10.0.0.2")), nullptr);
  EXPECT_EQ(table->find(ip("10.0.0.3")), nullptr);
}

}  // namespace
}  // namespace sluice::control

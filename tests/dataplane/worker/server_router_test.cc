// SPDX-License-Identifier: Apache-2.0
//
// What mail servers say and hear for themselves: what of it the worker routes, and how, and what stays with the kernel.
#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "dataplane/packet/encapsulate.h"

#include "tests/dataplane/support/server_router_fixture.h"

namespace sluice::testing {
namespace {

Bytes handed_on(Bytes frame, const MacAddress& from, const MacAddress& to) {
  std::copy(to.bytes.begin(), to.bytes.end(), frame.begin());
  std::copy(from.bytes.begin(), from.bytes.end(), frame.begin() + 6);
  return frame;
}

TEST_F(ServerRouterTest, RoutesBothWaysWithOneHopLess) {
  const MacAddress front = WorkerBench::front_mac(), back = WorkerBench::back_mac();
  const std::function<Bytes(uint8_t)> own_session = [](uint8_t hops) { return tcp(kServerOwn, kFar, kBack, hops); };
  struct {
    const char* what;
    uint32_t in, out;
    std::function<Bytes(uint8_t hops)> frame;
    MacAddress from, to;
  } const cases[] = {
      {"mail that goes out", kBack, kFront, own_session, front, kRouter},
      {"its answer", kFront, kBack, [](uint8_t hops) { return tcp(kFar, kServerOwn, kFront, hops); }, back, kServer},
      {"DNS", kBack, kFront, [](uint8_t hops) { return sound_udp(kServerOwn, kFar, kBack, hops); }, front, kRouter},
      {"its answer", kFront, kBack, [](uint8_t hops) { return sound_udp(kFar, kServerOwn, kFront, hops); }, back,
       kServer},
      {"DNS over IPv6", kBack, kFront, [](uint8_t hops) { return sound_udp(kServerOwn6, kFar6, kBack, hops); }, front,
       kRouter6},
      {"its answer", kFront, kBack, [](uint8_t hops) { return sound_udp(kFar6, kServerOwn6, kFront, hops); }, back,
       kServer6},
      {"a ping", kBack, kFront, [](uint8_t hops) { return icmp(kServerOwn.address, kFar.address, 8, kBack, hops); },
       front, kRouter},
      {"mail over IPv6", kBack, kFront, [](uint8_t hops) { return tcp(kServerOwn6, kFar6, kBack, hops); }, front,
       kRouter6},
      {"to another port of the server's", kFront, kBack,
       [](uint8_t hops) { return tcp(kFar, at(backend4(0).address, 587), kFront, hops); }, back, kServer},
      {"between servers, by the port it came through", kBack, kBack,
       [](uint8_t hops) { return sound_udp(at(backend4(1).address, 9), kServerOwn, kBack, hops); }, back, kServer},
  };
  uint64_t out = 0, in = 0;
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    // A frame with one hop less, made anew with all its checksums, is what is to come out.
    EXPECT_EQ(routed(bench_, each.in, each.frame(64), each.out),
              std::vector<Bytes>{handed_on(each.frame(63), each.from, each.to)});
    EXPECT_TRUE(bench_.punted().empty());
    EXPECT_EQ(bench_.counter(Counter::kRoutedOut), out += each.in == kBack ? 1 : 0);
    EXPECT_EQ(bench_.counter(Counter::kRoutedIn), in += each.in == kFront ? 1 : 0);
  }
  EXPECT_EQ(bench_.counter(Counter::kForwarded), std::size(cases));
  EXPECT_EQ(bench_.drops(), 0u);
}

TEST_F(ServerRouterTest, CountsBytesOfIp) {
  const Bytes frame = sound_udp(kServerOwn, kFar, kBack);
  ASSERT_EQ(routed(bench_, kBack, frame, kFront).size(), 1u);
  EXPECT_EQ(bench_.counter(Counter::kRoutedOutBytes), frame.size() - 14);
  EXPECT_EQ(bench_.counter(Counter::kRoutedInBytes), 0u);
}

TEST_F(ServerRouterTest, TheKernelKeepsWhatIsNotPlain) {
  const Bytes plain = sound_udp(kServerOwn, kFar, kBack);
  Bytes wrong_checksum = plain;
  wrong_checksum[14 + 10] ^= 1;
  Bytes hop_by_hop = sound_udp(kServerOwn6, kFar6, kBack);
  hop_by_hop[14 + 6] = 0;
  hop_by_hop[14 + 40] = 17;  // the header behind it
  hop_by_hop[14 + 41] = 0;
  Bytes options =
      Frame().from(kServerOwn).to(kFar).ip_options({0x94, 4, 0, 0}).ack(1).payload("x").to_mac(mac_of(kBack)).bytes();
  const struct {
    const char* what;
    Bytes frame;
  } cases[] = {
      {"its hops end here", sound_udp(kServerOwn, kFar, kBack, 1)},
      {"its hops had ended before", sound_udp(kServerOwn, kFar, kBack, 0)},
      {"over IPv6", sound_udp(kServerOwn6, kFar6, kBack, 1)},
      {"options", options},
      {"options for each router, over IPv6", hop_by_hop},
      {"a damaged header", wrong_checksum},
      {"no neighbour yet", sound_udp(kServerOwn, at(address("10.0.1.200"), 53), kBack)},
      {"no route", sound_udp(kServerOwn6, at(address("fd00:9::1"), 53), kBack)},
      {"of another VLAN", Frame().from(kServerOwn).to(kFar).vlan(7).ack(1).to_mac(mac_of(kBack)).bytes()},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    expect_kernels(bench_, kBack, each.frame);
  }
}

TEST_F(ServerRouterTest, WhatDoesNotFitIntoTheNextLinkIsTheKernels) {
  WorkerBench bench({.front_mtu = 1280});
  put_backends(bench);
  put_routes(bench);
  bench.turn();
  const auto of_bytes = [](size_t payload) {
    return Frame().from(kServerOwn).to(kFar).ack(1).payload(Bytes(payload, 'x')).to_mac(mac_of(kBack)).bytes();
  };
  expect_kernels(bench, kBack, of_bytes(1280 - 40 + 1));
  EXPECT_EQ(routed(bench, kBack, of_bytes(1280 - 40), kFront).size(), 1u);
  bench.expect_counter_law();
}

TEST_F(ServerRouterTest, PassesNobodyOffAsAServerNorStrangersThrough) {
  const struct {
    const char* what;
    uint32_t port;
    Bytes frame;
  } cases[] = {
      {"from a mail server's service: a reply, which without a flow would leave as it is", kBack,
       Frame().from(backend4(0)).to(kFar).syn().ack(1).to_mac(mac_of(kBack)).bytes()},
      {"from an address of ours", kFront, sound_udp(at(kOwn, 9), kServerOwn, kFront)},
      {"from a VIP", kFront, sound_udp(kVip, kServerOwn, kFront)},
      {"from nowhere", kFront, sound_udp(at(address("127.0.0.1"), 9), kServerOwn, kFront)},
      {"from the link alone", kFront, sound_udp(at(address("169.254.1.1"), 9), kServerOwn, kFront)},
      {"to the link alone", kBack, sound_udp(kServerOwn6, at(address("fe80::9"), 9), kBack)},
      {"a mail server's address, from where clients are", kFront,
       sound_udp(at(backend4(1).address, 9), kServerOwn, kFront)},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    expect_kernels(bench_, each.port, each.frame);
  }
}

TEST_F(ServerRouterTest, WhatMayBeForAServersServicePastTheVipHasTheKernelsBudget) {
  ASSERT_NE(backend4(0).port.host(), 587);
  expect_kernels(bench_, kFront, tcp(kFar, backend4(0), kFront));
  expect_kernels(bench_, kFront, tcp(kFar6, backend6(3), kFront));
  expect_kernels(bench_, kBack, tcp(at(backend4(1).address, 33333), backend4(0), kBack));
  expect_kernels(
      bench_, kFront,
      Frame().from(kFar).to(kServerOwn).fragment(0x00b9).ack(1).payload("12345678").to_mac(mac_of(kFront)).bytes());
  const Endpoint gue{backend4(0).address, Be16::of(kGuePort)};
  expect_kernels(bench_, kFront, sound_udp(kFar, gue, kFront));
  for (const uint8_t protocol : {kProtocolIpv4, kProtocolIpv6}) {
    Bytes tunnelled = sound_udp(kFar, kServerOwn, kFront);
    tunnelled[23] = protocol;
    expect_kernels(bench_, kFront, right(std::move(tunnelled)));
  }
  Bytes part =
      Frame().from(kFar).to(kServerOwn).fragment(0x2000).ack(1).payload("12345678").to_mac(mac_of(kFront)).bytes();
  part[14 + 9] = kProtocolUdp;  // of which port the others do not say
  expect_kernels(bench_, kFront, right(part));
  // That port of a protocol that is not served there is as any other.
  EXPECT_EQ(routed(bench_, kFront, sound_udp(kFar, backend4(0), kFront), kBack).size(), 1u);
}

TEST_F(ServerRouterTest, NothingIsLedBackToTheStationThatItComesFrom) {
  WorkerBench bench({.front = Faces::kBoth, .back = Faces::kBoth});
  put_backends(bench);
  put_routes(bench);
  bench.turn();
  const auto from_station = [](const MacAddress& station) {
    Bytes out = sound_udp(at(backend4(1).address, 33333), kServerOwn, kBack);
    std::copy(station.bytes.begin(), station.bytes.end(), out.begin() + 6);
    return out;
  };
  bench.put_server_routes({{address("10.0.1.10"), 1}, {address("10.0.1.11"), 0}}, {},
                          {{WorkerBench::backend_mac(1), 0, kBack, {}}});
  bench.turn();
  expect_kernels(bench, kBack, from_station(WorkerBench::backend_mac(1)));
  // By another station, or another port, it is.
  bench.put_server_routes({{address("10.0.1.10"), 1}, {address("10.0.1.11"), 0}}, {}, {{kServer, 0, kBack, {}}});
  EXPECT_EQ(routed(bench, kBack, from_station(WorkerBench::backend_mac(1)), kBack).size(), 1u);
  bench.put_server_routes({{address("10.0.1.10"), 1}, {address("10.0.1.11"), 0}}, {},
                          {{WorkerBench::backend_mac(1), 0, kFront, {}}});
  EXPECT_EQ(routed(bench, kBack, from_station(WorkerBench::backend_mac(1)), kFront).size(), 1u);
  bench.expect_counter_law();
}

TEST_F(ServerRouterTest, StrangersAreDroppedAsEver) {
  arrive(bench_, kFront, sound_udp(kFar, endpoint("198.51.100.77", 53), kFront));
  arrive(bench_, kFront, sound_udp(kFar, endpoint("10.0.1.77", 53), kFront));
  arrive(bench_, kBack, sound_udp(endpoint("10.0.1.77", 53), kFar, kBack));
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kDropStrangers), 3u);
  EXPECT_EQ(bench_.counter(Counter::kForwarded), 0u);
}

TEST_F(ServerRouterTest, StrangersThatTheKernelMayHaveAreRoutedToAndFromTheMailServersNetworkAlone) {
  WorkerBench bench({.strangers = Strangers::kKernel});
  put_backends(bench);
  put_routes(bench);
  bench.turn();
  EXPECT_EQ(routed(bench, kFront, sound_udp(kFar, endpoint("10.0.1.77", 53), kFront), kBack).size(), 1u);
  EXPECT_EQ(routed(bench, kBack, sound_udp(endpoint("10.0.1.77", 53), kFar, kBack), kFront).size(), 1u);
  EXPECT_EQ(bench.counter(Counter::kRoutedIn), 1u);
  EXPECT_EQ(bench.counter(Counter::kRoutedOut), 1u);
  const Bytes transit = sound_udp(kFar, endpoint("198.51.100.77", 53), kFront);
  const Bytes to_vip = sound_udp(kFar, at(kVip.address, 53), kFront);
  for (const Bytes& frame : {transit, to_vip}) {
    arrive(bench, kFront, frame);
    bench.turn(10);
    EXPECT_EQ(bench.punted(kFront, PuntClass::kStrangers), std::vector<Bytes>{frame});
  }
  bench.expect_counter_law();
}

TEST_F(ServerRouterTest, WhereClientsAndServersShareAPortAServersWordNeedsItsStation) {
  WorkerBench bench({.front = Faces::kBoth, .back = Faces::kBoth});
  put_backends(bench);
  put_routes(bench);
  bench.turn();
  const auto dns = [](const MacAddress& station) {
    Bytes out = sound_udp(kServerOwn, kFar, kBack);
    std::copy(station.bytes.begin(), station.bytes.end(), out.begin() + 6);
    return out;
  };
  expect_kernels(bench, kBack, dns(mac(0xcc)));
  EXPECT_EQ(routed(bench, kBack, dns(WorkerBench::backend_mac(0)), kFront).size(), 1u);
  bench.expect_counter_law();
}

TEST_F(ServerRouterTest, NothingIsRoutedBetweenPortsOfClients) {
  WorkerBench bench({.back = Faces::kClients});
  put_backends(bench);
  put_routes(bench);
  bench.turn();
  expect_kernels(bench, kFront, sound_udp(kFar, kServerOwn, kFront));
  bench.expect_counter_law();
}

TEST_F(ServerRouterTest, FragmentsOfDatagramsAreRoutedThoseOfAServersSegmentsAreNot) {
  Bytes later =
      Frame().from(kServerOwn).to(kFar).fragment(0x00b9).ack(1).payload("12345678").to_mac(mac_of(kBack)).bytes();
  later[14 + 9] = 17;
  EXPECT_EQ(routed(bench_, kBack, right(later), kFront).size(), 1u);
  arrive(bench_, kBack,
         Frame().from(kServerOwn).to(kFar).fragment(0x00b9).ack(1).payload("12345678").to_mac(mac_of(kBack)).bytes());
  bench_.turn();
  EXPECT_TRUE(bench_.front().take().empty());
  EXPECT_EQ(bench_.counter(Counter::kDropFragment), 1u);
}

TEST_F(ServerRouterTest, PaddingOfTheLinkStaysBehind) {
  Bytes padded = sound_udp(kServerOwn, kFar, kBack);
  const size_t bytes = padded.size();
  padded.resize(bytes + 20);
  const auto out = routed(bench_, kBack, padded, kFront);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].size(), bytes);
}

TEST_F(ServerRouterTest, AnotherTableTakesTheFirstOnesPlaceAndNoneEndsIt) {
  const Bytes dns = sound_udp(kServerOwn, kFar, kBack);
  bench_.put_server_routes({{address("0.0.0.0"), 1}}, {}, {{kRouter6, 12, kFront, {}}});
  const auto tagged = routed(bench_, kBack, dns, kFront);
  ASSERT_EQ(tagged.size(), 1u);
  EXPECT_EQ(Bytes(tagged[0].begin(), tagged[0].begin() + 6), Bytes(kRouter6.bytes.begin(), kRouter6.bytes.end()));
  EXPECT_EQ(Bytes(tagged[0].begin() + 12, tagged[0].begin() + 16), (Bytes{0x81, 0, 0, 12}));
  bench_.put_server_routes({}, {}, {});
  arrive(bench_, kBack, dns);
  bench_.turn();
  EXPECT_EQ(bench_.punted(), std::vector<Bytes>{dns});
}

TEST_F(ServerRouterTest, ASnapshotThatNamesNoTableEndsIt) {
  bench_.command(channel::CommandType::kSnapshotBegin);
  put_backends(bench_);
  bench_.command(channel::CommandType::kSnapshotEnd);
  bench_.turn();
  expect_kernels(bench_, kBack, sound_udp(kServerOwn, kFar, kBack));
}

TEST_F(ServerRouterTest, ATableThatIsWrongLeavesTheLastOne) {
  const struct {
    const char* what;
    channel::PutServerRoutes message;
  } cases[] = {
      {"begins behind the arena", {{}, 0xffff'ffff, 2, 0, 1}},
      {"ends behind the arena", {{}, static_cast<uint32_t>(channel::kArenaBytes / channel::kArenaUnit) - 1, 64, 0, 1}},
      {"more borders than there may be", {{}, 0, channel::kMaxServerRouteBorders + 1, 0, 1}},
      {"more borders than there may be, of IPv6", {{}, 0, 0, 0xffff'ffff, 1}},
      {"more hops than there may be", {{}, 0, 1, 1, channel::kMaxServerHops + 1}},
  };
  uint64_t refused = 0;
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    channel::PutServerRoutes message = each.message;
    message.header.type = channel::CommandType::kPutServerRoutes;
    bench_.command(channel::Command(message));
    bench_.turn();
    EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), ++refused);
    EXPECT_EQ(routed(bench_, kBack, sound_udp(kServerOwn, kFar, kBack), kFront).size(), 1u);
  }
}

TEST_F(ServerRouterTest, AHopOfAPortThatIsNotThereIsTheKernels) {
  bench_.put_server_routes({{address("0.0.0.0"), 1}}, {}, {{kRouter, 0, 9, {}}});
  bench_.turn();
  expect_kernels(bench_, kBack, sound_udp(kServerOwn, kFar, kBack));
  bench_.put_server_routes({{address("0.0.0.0"), 3}}, {}, {{kRouter, 0, kFront, {}}});  // nor is there such a hop
  bench_.turn();
  expect_kernels(bench_, kBack, sound_udp(kServerOwn, kFar, kBack));
}

}  // namespace
}  // namespace sluice::testing

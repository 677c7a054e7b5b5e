// SPDX-License-Identifier: Apache-2.0
//
// What is not mail: by which class it goes to the kernel, and that a flood of one kind costs the others nothing.
#include "dataplane/worker/punt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/dataplane/support/fragmented.h"
#include "tests/dataplane/support/icmp_frame.h"
#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint32_t kFront = WorkerBench::kFront, kBack = WorkerBench::kBack;
const Address kOwn = WorkerBench::own_front(), kOwnBack = WorkerBench::own_back();
const Address kOwn6 = address("2001:db8:25::1");
const Endpoint kFar = endpoint("203.0.113.9", 4321);
const MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

Endpoint at(const Address& address, uint16_t port) {
  return {address, Be16::of(port)};
}

MacAddress mac_of(uint32_t port) {
  return port == kFront ? WorkerBench::front_mac() : WorkerBench::back_mac();
}

Bytes tcp(const Endpoint& from, const Endpoint& to, uint32_t port, uint8_t hops = 64) {
  return Frame().from(from).to(to).syn().seq(1).ttl(hops).to_mac(mac_of(port)).bytes();
}

/// The same of another protocol.
Bytes of_protocol(uint8_t protocol, const Endpoint& from, const Endpoint& to, uint32_t port, uint8_t hops = 64) {
  Bytes out = Frame().from(from).to(to).ack(1).payload("12345678").ttl(hops).to_mac(mac_of(port)).bytes();
  out[from.address.is_v4() ? 14 + 9 : 14 + 6] = protocol;
  return out;
}
Bytes udp(const Endpoint& from, const Endpoint& to, uint32_t port, uint8_t hops = 64) {
  return of_protocol(17, from, to, port, hops);
}

Bytes with_type(uint16_t type, const MacAddress& to = kBroadcast) {
  Bytes out(60, 0);
  std::copy(to.bytes.begin(), to.bytes.end(), out.begin());
  out[12] = static_cast<uint8_t>(type >> 8);
  out[13] = static_cast<uint8_t>(type);
  return out;
}

Bytes icmp(const Address& from, const Address& to, uint8_t type, uint32_t port, uint8_t hops = 64) {
  IcmpFrame out;
  out.source = from;
  out.destination = to;
  out.destination_mac = mac_of(port);
  out.type = type;
  out.ttl = hops;
  out.quoted = Bytes(40, 0);
  return out.bytes();
}

Bytes to_group(Bytes frame) {
  frame[0] |= 1;
  return frame;
}

class PuntTest : public WorkerTest {
 protected:
  void arrive(WorkerBench& bench, uint32_t port, const Bytes& frame) {
    (port == kFront ? bench.front() : bench.back()).arrive(frame);
  }
};

TEST_F(PuntTest, WhatComesToAVipFromWhereNobodyIsHasANameAndNoBudget) {
  WorkerBench bench({.strangers = Strangers::kKernel});
  bench.put_backend(0, backend4(0));
  bench.put_backend(3, backend6(3));
  bench.put_service(0, kVip, {0});
  bench.put_service(1, kVip6, {3});
  bench.turn();
  const std::vector<Bytes> frames{
      icmp(kVip.address, kVip.address, 8, kFront),  // LAND
      icmp(address("255.255.255.255"), kVip.address, 8, kFront),
      icmp(address("224.0.0.1"), kVip.address, 8, kFront),
      udp(at(address("127.0.0.1"), 7), at(kVip.address, 7), kFront),
      icmp(kVip6.address, kVip6.address, 128, kFront),
      icmp(address("ff02::1"), kVip6.address, 128, kFront),
      of_protocol(47, at(kVip.address, 1), at(kVip.address, 1), kFront),
  };
  for (const Bytes& frame : frames) arrive(bench, kFront, frame);
  bench.turn();
  EXPECT_EQ(bench.counter(Counter::kDropBadSource), frames.size());
  EXPECT_EQ(bench.counter(Counter::kPunted), 0u);
  bench.expect_counter_law();
}

TEST_F(PuntTest, SortsByClass) {
  using enum PuntClass;
  const Address far = kFar.address;
  const Endpoint server = backend4(1);
  struct Case {
    const char* description;
    uint32_t port;
    Bytes frame;
    PuntClass punt_class;
  };
  const std::vector<Case> cases{
      {"ARP request", kFront, with_type(0x0806), kInfrastructure},
      {"ARP reply", kBack, with_type(0x0806, WorkerBench::back_mac()), kInfrastructure},
      {"LACP", kFront, with_type(0x8809), kInfrastructure},
      {"IS-IS", kFront, with_type(0x0030), kInfrastructure},
      {"neighbour solicitation for a VIP", kFront, icmp(address("2001:db8:25::fe"), kVip6.address, 135, kFront, 255),
       kInfrastructure},
      {"router advertisement", kBack, to_group(icmp(address("fe80::1"), address("ff02::1"), 134, kBack, 255)),
       kInfrastructure},
      {"a neighbour solicitation that a router has passed on", kFront, icmp(kClient6.address, kOwn6, 135, kFront, 254),
       kLocal},
      {"BGP to us", kFront, tcp(at(far, 33333), at(kOwn, 179), kFront), kInfrastructure},
      {"BGP from a session of ours", kFront, tcp(at(far, 179), at(kOwn, 33333), kFront), kInfrastructure},
      {"BFD", kFront, udp(at(far, 49152), at(kOwn, 3784), kFront, 255), kInfrastructure},
      {"BFD over several hops", kFront, udp(at(far, 49152), at(kOwn, 4784), kFront, 60), kInfrastructure},
      {"BFD that has passed a router", kFront, udp(at(far, 49152), at(kOwn, 3784), kFront, 254), kLocal},
      {"OSPF hello", kFront, to_group(of_protocol(89, at(far, 1), endpoint("224.0.0.5", 1), kFront, 1)),
       kInfrastructure},
      {"OSPF to us", kFront, of_protocol(89, at(far, 1), at(kOwn, 1), kFront, 1), kInfrastructure},
      {"VRRP", kFront, to_group(of_protocol(112, at(far, 1), endpoint("224.0.0.18", 1), kFront, 255)), kInfrastructure},
      {"IGMP", kFront, to_group(of_protocol(2, at(far, 1), endpoint("224.0.0.1", 1), kFront, 1)), kInfrastructure},
      {"a probe's answer", kBack, tcp(server, at(kOwnBack, 50000), kBack), kInfrastructure},
      {"of another port", kBack, tcp(at(server.address, 9707), at(kOwnBack, 50000), kBack), kInfrastructure},
      {"IPv6", kBack, tcp(backend6(4), endpoint("fd00:1::1", 50000), kBack), kInfrastructure},
      {"a server's echo reply", kBack, icmp(server.address, kOwnBack, 0, kBack), kInfrastructure},
      {"a server's address, forged", kFront, tcp(server, at(kOwn, 50000), kFront), kLocal},
      {"ssh", kFront, tcp(at(far, 33333), at(kOwn, 22), kFront), kLocal},
      {"ssh at IPv6", kFront, tcp(kClient6, at(kOwn6, 22), kFront), kLocal},
      {"ssh at the other side's address", kFront, tcp(at(far, 33333), at(kOwnBack, 22), kFront), kLocal},
      {"DNS from a mail server", kBack, udp(at(server.address, 33333), at(kOwnBack, 53), kBack), kLocal},
      {"ping of our own address", kFront, icmp(far, kOwn, 8, kFront), kLocal},
      {"DHCP", kBack, to_group(udp(endpoint("0.0.0.0", 68), endpoint("255.255.255.255", 67), kBack)), kLocal},
      {"a server's own session with the world", kBack, tcp(at(server.address, 33333), at(far, 25), kBack), kRouted},
      {"its DNS", kBack, udp(at(server.address, 33333), at(far, 53), kBack), kRouted},
      {"the answer to it", kFront, udp(at(far, 53), at(server.address, 33333), kFront), kRouted},
      {"ping of a VIP", kFront, icmp(far, kVip.address, 8, kFront), kStrangers},
      {"ping of an IPv6 VIP", kFront, icmp(kClient6.address, kVip6.address, 128, kFront), kStrangers},
      {"UDP to a VIP", kFront, udp(kFar, at(kVip.address, 4444), kFront), kStrangers},
      {"BFD to a VIP", kFront, udp(at(far, 49152), at(kVip.address, 3784), kFront, 255), kStrangers},
      {"another port of a VIP", kFront, tcp(kFar, at(kVip.address, 179), kFront), kStrangers},
      {"other people's", kFront, tcp(kFar, endpoint("192.0.2.77", 25), kFront), kStrangers},
      {"a server's address, forged, to other people", kFront, udp(server, kFar, kFront), kStrangers},
      {"from behind, of no mail server", kBack, udp(endpoint("10.0.1.200", 1), kFar, kBack), kStrangers},
      {"GRE", kFront, of_protocol(47, kFar, at(kVip.address, 1), kFront), kStrangers},
      {"another ethertype", kFront, with_type(0x88a8), kStrangers},
  };
  WorkerBench bench({.strangers = Strangers::kKernel});
  for (uint16_t id = 0; id < 3; id++) bench.put_backend(id, backend4(id));
  for (uint16_t id = 3; id < 6; id++) bench.put_backend(id, backend6(id));
  bench.put_service(0, kVip, {0, 1, 2});
  bench.put_service(1, kVip6, {3, 4, 5});
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    arrive(bench, c.port, c.frame);
    bench.turn(10);
    EXPECT_EQ(bench.punted(c.port, c.punt_class), std::vector<Bytes>{c.frame});
    EXPECT_TRUE(bench.punted().empty());
  }
  EXPECT_EQ(bench.drops(), 0u);
  bench.expect_counter_law();
}

/// Junk of one kind, the n-th frame.
struct Junk {
  const char* description;
  uint32_t port;
  std::function<Bytes(uint32_t)> frame;
};

const std::vector<Junk>& kinds_of_junk() {
  const auto stranger = [](uint32_t n) {
    return endpoint("203.0.113." + std::to_string(n % 250), static_cast<uint16_t>(1024 + n % 60000));
  };
  static const std::vector<Junk> kKinds{
      {"UDP to a VIP", kFront, [=](uint32_t n) { return udp(stranger(n), at(kVip.address, 4444), kFront); }},
      {"SYNs to closed ports", kFront, [=](uint32_t n) { return tcp(stranger(n), at(kVip.address, 80), kFront); }},
      {"UDP to us", kFront, [=](uint32_t n) { return udp(stranger(n), at(kOwn, 4444), kFront); }},
      {"SYNs to the back port's address", kFront,
       [=](uint32_t n) { return tcp(stranger(n), at(kOwnBack, 22), kFront); }},
      {"fragments", kFront,
       [=](uint32_t n) {
         const Bytes whole =
             Frame().from(stranger(n)).to(kVip).ack(1).payload(Bytes(1000, 'x')).to_mac(mac_of(kFront)).bytes();
         return cut(whole, 600, n)[n % 2];
       }},
      {"ARP", kFront, [](uint32_t) { return with_type(0x0806); }},
      {"neighbour discovery", kFront,
       [](uint32_t n) { return icmp(address("fe80::" + std::to_string(n % 5000)), kOwn6, 135, kFront, 255); }},
      {"BGP", kFront, [=](uint32_t n) { return tcp(stranger(n), at(kOwn, 179), kFront); }},
      {"pings of a VIP", kFront, [=](uint32_t n) { return icmp(stranger(n).address, kVip.address, 8, kFront); }},
      {"ICMP errors", kFront, [=](uint32_t n) { return icmp(stranger(n).address, kVip.address, 3, kFront); }},
      {"GRE", kFront, [=](uint32_t n) { return of_protocol(47, stranger(n), at(kVip.address, 1), kFront); }},
      {"unknown flows", kFront, [=](uint32_t n) { return tcp(stranger(n), endpoint("192.0.2.99", 25), kFront); }},
      {"to a mail server's own address", kFront, [=](uint32_t n) { return tcp(stranger(n), backend4(1), kFront); }},
      {"what mail servers say to the world", kBack,
       [=](uint32_t n) { return udp(at(backend4(1).address, 33333), stranger(n), kBack); }},
      {"UDP to us from behind", kBack, [=](uint32_t n) { return udp(stranger(n), at(kOwnBack, 53), kBack); }},
  };
  return kKinds;
}

/// What has to reach the kernel beside the junk: frames for the back port.
std::vector<Bytes> lifeline() {
  return {with_type(0x0806),
          Frame().from(backend4(0)).to(at(kOwnBack, 50000)).syn().seq(1).ack(2).to_mac(mac_of(kBack)).bytes()};
}

class PuntFloodTest : public PuntTest {
 protected:
  /// Junk as fast as the worker takes it, of these kinds at once: none of it is taken on by main.
  void flood(const std::vector<Junk>& kinds) {
    constexpr uint32_t kEach = 3000;
    for (uint32_t n = 0; n < kEach; n++) {
      for (const Junk& junk : kinds) arrive(bench_, junk.port, junk.frame(n));
      if (n % 2 == 1) bench_.turn();
      bench_.front().take();
      bench_.back().take();
    }
  }

  void expect_lifeline() {
    bench_.punted(kBack, PuntClass::kInfrastructure);
    for (const Bytes& frame : lifeline()) bench_.back().arrive(frame);
    bench_.turn();
    EXPECT_EQ(bench_.punted(kBack, PuntClass::kInfrastructure), lifeline());
  }
};

TEST_F(PuntFloodTest, JunkOfAnyKindCostsTheBackPortsNeighboursAndProbesNothing) {
  for (const Junk& junk : kinds_of_junk()) {
    SCOPED_TRACE(junk.description);
    flood({junk});
    expect_lifeline();
    bench_.turn(1000);
    bench_.punted();
  }
  const uint32_t passed = 2 * SourceBudget::unreserved(Punt::kNeighbors.burst) + Punt::kRoutingProtocols.burst;
  EXPECT_EQ(bench_.counter(Counter::kDropPuntInfrastructure), 3 * 3000 - passed)
      << "ARP and neighbour discovery of one station and BGP of many sources, at the front port alone";
}

TEST_F(PuntFloodTest, NeitherDoesJunkOfAllKindsAtOnce) {
  flood(kinds_of_junk());
  expect_lifeline();
}

TEST_F(PuntFloodTest, AFloodOfNeighboursCostsRoutingAtItsOwnPortNothingNorTheOtherWayRound) {
  const Bytes bgp = tcp(kFar, at(kOwn, 179), kFront);
  for (uint32_t n = 0; n < 3000; n++) {
    bench_.front().arrive(with_type(0x0806));
    if (n % 32 == 31) bench_.turn();
  }
  bench_.front().arrive(bgp);
  bench_.turn();
  EXPECT_EQ(bench_.punted(kFront, PuntClass::kInfrastructure).back(), bgp);
  for (uint32_t n = 0; n < 3000; n++) {
    bench_.front().arrive(bgp);
    if (n % 32 == 31) bench_.turn();
  }
  bench_.turn(1);  // by now some neighbours may speak again
  bench_.front().arrive(with_type(0x0806));
  bench_.turn();
  EXPECT_EQ(bench_.punted(kFront, PuntClass::kInfrastructure).back(), with_type(0x0806));
}

/// A flood of one kind, of 250 sources: those who spoke before are heard all the same, as often as routers speak.
TEST_F(PuntFloodTest, SessionsOfRoutersOutliveAFloodOfTheirOwnKind) {
  std::vector<Bytes> routers{udp(endpoint("192.0.2.1", 49152), at(kOwn, 3784), kFront, 255),
                             tcp(endpoint("192.0.2.1", 179), at(kOwn, 33333), kFront),
                             udp(endpoint("2001:db8:25::1:1", 49152), at(kOwn6, 3784), kFront, 255),
                             to_group(of_protocol(89, endpoint("192.0.2.1", 1), endpoint("224.0.0.5", 1), kFront, 1))};
  std::ranges::sort(routers);
  const auto stranger = [](uint32_t n) { return endpoint("203.0.113." + std::to_string(n % 250), 50000); };
  for (uint32_t n = 0, ms = 0; ms < 1000; ms++) {
    if (ms % 100 == 0) {
      for (const Bytes& frame : routers) bench_.front().arrive(frame);
      bench_.turn();
      std::vector<Bytes> heard = bench_.punted(kFront, PuntClass::kInfrastructure);
      std::ranges::sort(heard);
      EXPECT_EQ(heard, routers) << "after " << ms << " ms";
    }
    for (uint32_t i = 1; i <= 60; i++, n++) {
      bench_.front().arrive(tcp(stranger(n), at(kOwn, 179), kFront));
      if (i % 30 == 0) bench_.turn(i / 60);
    }
    bench_.punted(kFront, PuntClass::kInfrastructure);
  }
  EXPECT_GT(bench_.counter(Counter::kDropPuntInfrastructure), 30'000u);
}

/// The same from afar in the routers' own names, after strangers had taken all places: hop limits tell them apart.
TEST_F(PuntFloodTest, SessionsOfRoutersOnTheLinkOutliveAFloodInTheirOwnNames) {
  const Address router = address("192.0.2.1"), router6 = address("2001:db8:25::1:1");
  std::vector<Bytes> routers{udp(at(router, 49152), at(kOwn, 3784), kFront, 255),
                             tcp(at(router, 179), at(kOwn, 33333), kFront, 255),
                             udp(at(router6, 49152), at(kOwn6, 3784), kFront, 255)};
  std::ranges::sort(routers);
  const std::vector<Bytes> forged{udp(at(router, 49152), at(kOwn, 4784), kFront, 254),
                                  tcp(at(router, 179), at(kOwn, 33333), kFront, 254),
                                  udp(at(router6, 49152), at(kOwn6, 4784), kFront, 254)};
  for (uint32_t n = 0; n < 1000; n++) {
    const Endpoint stranger{Address::v4(Be32::of(0xc6120000 + n)), Be16::of(50000)};
    bench_.front().arrive(tcp(stranger, at(kOwn, 179), kFront));
    bench_.turn(1);
    bench_.punted(kFront, PuntClass::kInfrastructure);
  }
  for (uint32_t ms = 0; ms < 1000; ms++) {
    for (uint32_t i = 1; i <= 60; i++) {
      bench_.front().arrive(forged[i % forged.size()]);
      if (i % 30 == 0) bench_.turn(i / 60);
    }
    bench_.punted(kFront, PuntClass::kInfrastructure);
    if (ms % 100 != 99) continue;
    for (const Bytes& frame : routers) bench_.front().arrive(frame);
    bench_.turn();
    std::vector<Bytes> heard = bench_.punted(kFront, PuntClass::kInfrastructure);
    std::ranges::sort(heard);
    EXPECT_EQ(heard, routers) << "after " << ms << " ms";
  }
  EXPECT_GT(bench_.counter(Counter::kDropPuntInfrastructure), 30'000u);
}

TEST_F(PuntFloodTest, AStationThatFloodsNeighbourDiscoveryTakesNothingFromOthers) {
  const Bytes other = [] {
    Bytes frame = with_type(0x0806);
    frame[11] = 0x42;  // its station
    return frame;
  }();
  for (uint32_t ms = 0; ms < 1000; ms++) {
    for (uint32_t i = 0; i < 32; i++) bench_.front().arrive(with_type(0x0806));
    bench_.turn(1);
    bench_.punted(kFront, PuntClass::kInfrastructure);
    if (ms % 100 != 99) continue;
    bench_.front().arrive(other);
    bench_.turn();
    EXPECT_EQ(bench_.punted(kFront, PuntClass::kInfrastructure), std::vector<Bytes>{other}) << "after " << ms << " ms";
  }
}

TEST_F(PuntFloodTest, WhoPingsAVipAtFullRateLeavesRoomForOthers) {
  for (uint32_t ms = 0; ms < 500; ms++) {
    for (uint32_t i = 0; i < 32; i++) bench_.front().arrive(icmp(address("203.0.113.1"), kVip.address, 8, kFront));
    bench_.turn(1);
    bench_.punted(kFront, PuntClass::kStrangers);
  }
  const Bytes other = icmp(kFar.address, kVip.address, 8, kFront);
  bench_.front().arrive(other);
  bench_.turn();
  EXPECT_EQ(bench_.punted(kFront, PuntClass::kStrangers), std::vector<Bytes>{other});
}

TEST_F(PuntFloodTest, SshBesideAFloodOfStrangersIsHeard) {
  flood({kinds_of_junk()[0], kinds_of_junk()[1], kinds_of_junk()[8]});
  const Bytes ssh = tcp(kFar, at(kOwn, 22), kFront);
  bench_.front().arrive(ssh);
  bench_.turn();
  EXPECT_EQ(bench_.punted(kFront, PuntClass::kLocal), std::vector<Bytes>{ssh});
}

TEST_F(PuntTest, EchoesOfAVipAreLimitedAndCounted) {
  WorkerBench bench({.echo_per_second = 1000});
  bench.put_service(0, kVip, {});
  const auto pings = [&](uint32_t n) {
    for (uint32_t i = 0; i < n; i++) bench.front().arrive(icmp(kFar.address, kVip.address, 8, kFront));
    bench.turn();
    return bench.punted(kFront, PuntClass::kStrangers).size();
  };
  const uint32_t passed = SourceBudget::unreserved(Punt::kEcho.burst);
  EXPECT_EQ(pings(30) + pings(30) + pings(30), passed);
  EXPECT_EQ(bench.counter(Counter::kDropEcho), 90 - passed);
  bench.turn(10);
  EXPECT_EQ(pings(30), 10u);
  bench.expect_counter_law();

  WorkerBench silent({.echo_per_second = 0});
  silent.put_service(0, kVip, {});
  silent.front().arrive(icmp(kFar.address, kVip.address, 8, kFront));
  silent.turn();
  EXPECT_EQ(silent.counter(Counter::kDropEcho), 1u);
}

TEST_F(PuntTest, StrangersAreDroppedByNameUnlessTheKernelIsToHaveThem) {
  const Bytes closed = tcp(kFar, at(kVip.address, 80), kFront);
  for (int i = 0; i < 100; i++) {
    bench_.front().arrive(closed);
    bench_.turn();
  }
  EXPECT_EQ(bench_.counter(Counter::kDropStrangers), 100u);
  EXPECT_EQ(bench_.counter(Counter::kPunted), 0u);

  WorkerBench kernel({.strangers = Strangers::kKernel});
  kernel.put_service(0, kVip, {});
  for (int i = 0; i < 100; i++) {
    kernel.front().arrive(closed);
    kernel.turn();
  }
  const uint32_t passed = SourceBudget::unreserved(Punt::kStrangers.burst);
  EXPECT_EQ(kernel.counter(Counter::kPunted), passed);
  EXPECT_EQ(kernel.counter(Counter::kDropStrangers), 100 - passed);
  kernel.expect_counter_law();
}

TEST_F(PuntTest, AServersSegmentOfAnUnknownSessionIsNeverPassedOnByTheKernel) {
  // Of a server that several services use, or that is the NAT service's own: the client would not know the sender.
  bench_.put_service(2, kOtherVip, {0});
  bench_.put_sole_backend(7, backend4(7), 0);
  for (const uint16_t id : {uint16_t{0}, uint16_t{7}}) {
    bench_.backend_sends(Frame().from(backend4(id)).to(kClient).seq(5001).ack(1001).psh().payload("250 ok\r\n"));
    bench_.turn();
  }
  EXPECT_EQ(bench_.counter(Counter::kDropNoFlow), 2u);
  EXPECT_EQ(bench_.counter(Counter::kPunted), 0u);
  // From another port of the server's it is its own session.
  bench_.backend_sends(Frame().from(at(backend4(0).address, 33333)).to(kFar).seq(5001).ack(1001).payload("QUIT\r\n"));
  bench_.turn();
  EXPECT_EQ(bench_.punted(kBack, PuntClass::kRouted).size(), 1u);
}

TEST_F(PuntTest, FollowsTheKernelsAddresses) {
  const Bytes ssh = tcp(kFar, endpoint("192.0.2.200", 22), kFront);
  bench_.front().arrive(ssh);
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kDropStrangers), 1u);
  bench_.set_own_addresses({address("192.0.2.200")});
  bench_.front().arrive(ssh);
  bench_.front().arrive(tcp(kFar, at(kOwn, 22), kFront));
  bench_.turn();
  EXPECT_EQ(bench_.punted(kFront, PuntClass::kLocal), std::vector<Bytes>{ssh});
  EXPECT_EQ(bench_.counter(Counter::kDropStrangers), 2u);
}

TEST_F(PuntTest, WithoutATwinWhatIsPuntedIsDroppedByItsClass) {
  WorkerBench bench({.twins = false});
  bench.back().arrive(with_type(0x0806));
  bench.client_sends(Frame().from(kFar).to(at(kOwn, 22)).syn());
  bench.turn();
  EXPECT_EQ(bench.counter(Counter::kDropPuntInfrastructure), 1u);
  EXPECT_EQ(bench.counter(Counter::kDropPuntLocal), 1u);
  bench.expect_counter_law();
}

TEST_F(PuntTest, SurvivesFramesCutShortAnywhere) {
  const std::vector<Bytes> frames{icmp(kClient6.address, kOwn6, 135, kFront, 255), udp(kFar, at(kOwn, 3784), kFront),
                                  tcp(kClient6, at(kOwn6, 22), kFront),
                                  Frame().from(kFar).to(at(kOwn, 22)).vlan(7).syn().bytes(), with_type(0x0806)};
  for (const Bytes& frame : frames) {
    for (size_t n = 1; n <= frame.size(); n++) {
      arrive(bench_, kFront, to_group(Bytes(frame.begin(), frame.begin() + static_cast<long>(n))));
      bench_.turn(1);
      bench_.punted();
    }
  }
}

TEST(OwnAddresses, AreAllFoundUntilTheyAreReplaced) {
  const auto own = std::make_unique<OwnAddresses>();
  std::vector<Address> addresses;
  for (uint32_t i = 0; i < OwnAddresses::kMax + 10; i++) addresses.push_back(Address::v4(Be32::of(0x0a000000 + i)));
  own->set(addresses);
  for (uint32_t i = 0; i < OwnAddresses::kMax; i++) EXPECT_TRUE(own->contains(addresses[i]));
  EXPECT_FALSE(own->contains(addresses[OwnAddresses::kMax]));
  EXPECT_FALSE(own->contains(kOwn6));
  own->set(std::vector{kOwn6, kOwn6});
  EXPECT_TRUE(own->contains(kOwn6));
  EXPECT_FALSE(own->contains(addresses[0]));
  own->set({});
  EXPECT_FALSE(own->contains(kOwn6));
}

}  // namespace
}  // namespace sluice::testing

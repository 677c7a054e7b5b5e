// SPDX-License-Identifier: Apache-2.0
//
// What is not mail: by which class it goes to the kernel.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/dataplane/support/fragmented.h"
#include "tests/dataplane/support/punt_fixture.h"

namespace sluice::testing {
namespace {

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

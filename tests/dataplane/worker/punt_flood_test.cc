// SPDX-License-Identifier: Apache-2.0
//
// What is not mail, as fast as the worker takes it: a flood of one kind costs the others nothing.
#include <gtest/gtest.h>

#include <functional>

#include "tests/dataplane/support/fragmented.h"
#include "tests/dataplane/support/punt_fixture.h"

namespace sluice::testing {
namespace {

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

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// The fast path does just what the slow path does: parsing, checksums, and a whole poll iteration.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/parse_fast.h"
#include "tests/dataplane/support/slow_path_only.h"
#include "tests/dataplane/support/traffic.h"
#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

const MacAddress kMac = mac(0x01);

/// A frame in an mbuf of its own, without a pool.
struct Received {
  rte_mbuf mbuf{};
  std::array<uint8_t, 256> buffer{};

  void set(const Bytes& frame) {
    std::copy(frame.begin(), frame.end(), buffer.begin());
    mbuf.buf_addr = buffer.data();
    mbuf.data_off = 0;
    mbuf.data_len = static_cast<uint16_t>(frame.size());
    mbuf.pkt_len = static_cast<uint32_t>(frame.size());
  }
};

uint64_t mac_word() {
  uint64_t word = 0;
  std::memcpy(&word, kMac.bytes.data(), 6);
  return word;
}

void expect_same(const Packet& quick, const Packet& general) {
  EXPECT_EQ(quick.source, general.source);
  EXPECT_EQ(quick.destination, general.destination);
  EXPECT_EQ(quick.sequence, general.sequence);
  EXPECT_EQ(quick.ack, general.ack);
  EXPECT_EQ(quick.l3_offset, general.l3_offset);
  EXPECT_EQ(quick.l4_offset, general.l4_offset);
  EXPECT_EQ(quick.ip_bytes, general.ip_bytes);
  EXPECT_EQ(quick.payload_bytes, general.payload_bytes);
  EXPECT_EQ(quick.vlan, general.vlan);
  EXPECT_EQ(quick.v6, general.v6);
  EXPECT_EQ(quick.tcp_flags, general.tcp_flags);
  EXPECT_EQ(quick.tcp_header_bytes, general.tcp_header_bytes);
}

/// The fast path's parser of one family, of frames with a tag or without.
template <uint32_t kL3, bool kV6>
bool parse(const rte_mbuf& mbuf, Packet& packet) {
  const FastFrames<kL3> frames(mac_word());
  return kV6 ? parse_fast_v6(mbuf, frames, packet) : parse_fast(mbuf, frames, packet);
}
template <uint32_t kL3, bool kV6>
Endpoint end_of(const rte_mbuf& mbuf, bool source) {
  return kV6 ? end_of_fast_v6<kL3>(mbuf, source) : end_of_fast<kL3>(mbuf, source);
}

template <uint32_t kL3, bool kV6>
void expect_parsed_alike(const Frame& like) {
  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed() + 1U;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const Bytes good = Frame(like)
                         .to_mac(kMac)
                         .seq(0x01020304)
                         .ack(0xfffefdfc)
                         .tcp_options({8, 10, 1, 2, 3, 4, 5, 6, 7, 8})
                         .payload("EHLO client.example\r\n")
                         .bytes();
  const uint32_t l4_offset = kL3 + (kV6 ? 40 : 20);
  Received received;
  uint32_t taken = 0, left = 0;
  for (int round = 0; round < 400'000; round++) {
    Bytes frame = good;
    // Only headers: of what follows neither parser takes notice.
    for (uint32_t n = random() % 4; n > 0; n--) frame[random() % (l4_offset + 20)] = static_cast<uint8_t>(random());
    if (random() % 8 == 0) frame.resize(random() % frame.size());
    if (random() % 8 == 0) frame.resize(60 + random() % 60);  // with padding, or not all of it
    if (kL3 == kBehindTag && frame.size() > 15) frame[14] = static_cast<uint8_t>(random());  // priority, and some VLAN
    // An IPv4-mapped address.
    if (kV6 && random() % 16 == 0) {
      const auto address = frame.begin() + kL3 + (random() % 2 == 0 ? 8 : 24);
      if (frame.size() > l4_offset) std::copy_n(kClient.address.bytes.begin(), random() % 17, address);
    }
    received.set(frame);
    received.mbuf.ol_flags = random() % 16 == 0 ? RTE_MBUF_F_RX_VLAN_STRIPPED : 0;
    if (random() % 16 == 0) received.mbuf.ol_flags |= RTE_MBUF_F_RX_VLAN;
    Packet quick{}, general{};
    const bool takes_fast_path = parse<kL3, kV6>(received.mbuf, quick);
    const ParseVerdict verdict = parse_any(received.mbuf, kMac, general);
    (takes_fast_path ? taken : left)++;
    if (takes_fast_path) {
      ASSERT_EQ(verdict, ParseVerdict::kTcp);
      expect_same(quick, general);
      const Plain plain = kL3 == kBehindTag ? Plain::kTagged : Plain::kUntagged;
      EXPECT_EQ(quick.plain, (quick.tcp_flags & (kTcpSyn | kTcpFin | kTcpRst)) == 0 ? plain : Plain::kNo);
      EXPECT_EQ((end_of<kL3, kV6>(received.mbuf, true)), general.source);
      EXPECT_EQ((end_of<kL3, kV6>(received.mbuf, false)), general.destination);
    } else {
      const bool should_be = verdict == ParseVerdict::kTcp && general.l3_offset == kL3 &&
                             general.l4_offset == l4_offset && general.v6 == kV6 &&
                             (received.mbuf.ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) == 0;
      EXPECT_FALSE(should_be) << "left to the general parser";
      EXPECT_EQ(general.plain, Plain::kNo);
    }
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(taken, 50'000u);
  EXPECT_GT(left, 50'000u);
}

TEST(Usual, ParsesWhatTheGeneralParserTakesOfIpv4AndNothingElse) {
  expect_parsed_alike<kEthernetBytes, false>(Frame().from(kClient).to(kVip));
}

TEST(Usual, ParsesWhatTheGeneralParserTakesOfIpv6AndNothingElse) {
  expect_parsed_alike<kEthernetBytes, true>(Frame().from(kClient6).to(kVip6));
}

TEST(Usual, ParsesWhatTheGeneralParserTakesBehindATagAndNothingElse) {
  expect_parsed_alike<kBehindTag, false>(Frame().from(kClient).to(kVip).vlan(7));
  expect_parsed_alike<kBehindTag, true>(Frame().from(kClient6).to(kVip6).vlan(7));
}

TEST(Usual, UpdatesBothChecksumsAsEachWouldBeByItself) {
  std::mt19937 random(4711);
  const auto word = [&] {
    static constexpr std::array<uint16_t, 4> kEdges{0, 1, 0xfffe, 0xffff};
    return random() % 4 == 0 ? kEdges[random() % 4] : static_cast<uint16_t>(random());
  };
  for (int round = 0; round < 1'000'000; round++) {
    const uint16_t tcp_before = word(), ipv4_before = word();
    const EndpointSums removed{.endpoint = word(), .address = word()}, added{.endpoint = word(), .address = word()};
    const uint64_t both = update_checksums(tcp_before | uint64_t{ipv4_before} << 32, removed, added);
    ASSERT_EQ(both & 0xffffffff, update_checksum(tcp_before, static_cast<uint16_t>(removed.endpoint),
                                                 static_cast<uint16_t>(added.endpoint)));
    ASSERT_EQ(both >> 32, update_checksum_and_ttl(ipv4_before, static_cast<uint16_t>(removed.address),
                                                  static_cast<uint16_t>(added.address)));
  }
}

/// Plays one conversation to both, `steps` steps to a burst.
void expect_equal_results(uint32_t steps, const std::vector<uint8_t>& bytes) {
  WorkerBench quick, general;
  Traffic::configure(quick);
  Traffic::configure(general);
  take_slow_path(general);
  Traffic traffic(bytes, false);
  bool over = false;
  for (uint32_t n = 0; !over; n++) {
    SCOPED_TRACE("burst " + std::to_string(n));
    for (uint32_t i = 0; i < steps && !over; i++) {
      const auto step = traffic.next();
      over = !step;
      if (over) break;
      for (WorkerBench* bench : {&quick, &general}) {
        for (const Bytes& frame : step->frames)
          (step->kind == Step::Kind::kClientFrame ? bench->front() : bench->back()).arrive(frame);
      }
    }
    for (WorkerBench* bench : {&quick, &general}) {
      bench->turn(1);
      bench->turns(3);
    }
    ASSERT_EQ(quick.front().take(), general.front().take());
    ASSERT_EQ(quick.back().take(), general.back().take());
    ASSERT_EQ(quick.punted(), general.punted());
  }
  expect_same(quick, general);
  EXPECT_GT(quick.counter(Counter::kForwarded), 100u) << "too little got through to prove anything";
  quick.expect_counter_law();
}

TEST(Usual, AWorkersQuickWayGivesTheResultsOfTheGeneralOne) {
  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed() + 815U;
  for (const uint32_t steps : {1U, 7U, 40U}) {
    for (unsigned round = 0; round < 6; round++) {
      SCOPED_TRACE(std::to_string(steps) + " steps to a burst, seed " + std::to_string(seed + round));
      std::mt19937 random(seed + round);
      std::vector<uint8_t> bytes(20'000);
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      expect_equal_results(steps, bytes);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace sluice::testing

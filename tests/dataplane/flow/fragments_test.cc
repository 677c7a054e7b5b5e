// SPDX-License-Identifier: Apache-2.0
//
// Fragments through the worker: put together again on the far side they must be the segment that was sent, with a
// right checksum over all of it.
#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/flow/fragments.h"
#include "tests/dataplane/support/fragmented.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;

struct Family {
  const char* name;
  Endpoint client, vip, backend;
  bool v6() const { return !client.address.is_v4(); }
};

const std::vector<Family>& families() {
  static const std::vector<Family> kFamilies{
      {"IPv4", endpoint("198.51.100.7", 40000), endpoint("192.0.2.25", 25), endpoint("10.0.1.10", 2525)},
      {"IPv6", endpoint("2001:db8:1::7", 40000), endpoint("2001:db8:25::25", 25), endpoint("fd00:1::10", 2525)},
  };
  return kFamilies;
}

Bytes text(size_t bytes) {
  Bytes out(bytes);
  for (size_t i = 0; i < bytes; i++) out[i] = static_cast<uint8_t>(i * 7);
  return out;
}

/// A bench with an established flow of each family: client sequence 1001, server sequence 5001.
class FragmentsTest : public ::testing::Test {
 protected:
  void SetUp() override { set_up(bench_, 0, 0); }
  void TearDown() override { bench_.expect_counter_law(); }

  static void set_up(WorkerBench& bench, uint16_t client_vlan, uint16_t backend_vlan) {
    bench.put_backend(0, families()[0].backend, channel::kBackendReachable, 1, backend_vlan);
    bench.put_backend(1, families()[1].backend, channel::kBackendReachable, 1, backend_vlan);
    bench.put_service(0, families()[0].vip, {0});
    bench.put_service(1, families()[1].vip, {1});
    for (const Family& f : families()) {
      ASSERT_TRUE(bench.establish(f.client, f.vip).has_value());
      ASSERT_TRUE(bench.client_to_backend(Frame().from(f.client).to(f.vip).seq(1001).ack(5001).vlan(client_vlan)));
    }
  }

  static Frame from_client(const Family& f, size_t payload) {
    return Frame().from(f.client).to(f.vip).seq(1001).ack(5001).payload(text(payload)).to_mac(WorkerBench::front_mac());
  }
  static Frame from_backend(const Family& f, size_t payload) {
    return Frame()
        .from(f.backend)
        .to(f.client)
        .seq(5001)
        .ack(1001)
        .payload(text(payload))
        .to_mac(WorkerBench::back_mac());
  }

  uint64_t fragments_dropped() const { return bench_.counter(Counter::kDropFragment); }

  WorkerBench bench_;
};

TEST_F(FragmentsTest, FollowTheirFlowBothWays) {
  struct Case {
    const char* description;
    uint16_t client_vlan, backend_vlan;
    size_t payload, each;
  };
  const std::vector<Case> cases{{"two", 0, 0, 1000, 600},
                                {"many, of an odd length", 0, 0, 1001, 64},
                                {"the smallest first one", 0, 0, 100, 24},
                                {"tagged on both sides", 100, 300, 1000, 304},
                                {"tagged behind", 0, 300, 1000, 304}};
  uint32_t id = 0xfff0;
  for (const Family& f : families()) {
    for (const Case& c : cases) {
      for (const bool up : {true, false}) {
        SCOPED_TRACE(std::string(f.name) + (up ? ", up: " : ", down: ") + c.description);
        WorkerBench bench;
        set_up(bench, c.client_vlan, c.backend_vlan);
        const Frame sent =
            up ? from_client(f, c.payload).vlan(c.client_vlan) : from_backend(f, c.payload).vlan(c.backend_vlan);
        const auto fragments = cut(sent.bytes(), c.each, id++);
        for (const Bytes& fragment : fragments) (up ? bench.front() : bench.back()).arrive(fragment);
        bench.turn();
        const auto out = (up ? bench.back() : bench.front()).take();
        ASSERT_EQ(out.size(), fragments.size());
        const auto whole = join(out);
        ASSERT_TRUE(whole.has_value());
        const auto seen = read(*whole);
        ASSERT_TRUE(seen.has_value()) << "the checksum is wrong";
        EXPECT_EQ(seen->source, up ? f.client : f.vip);
        EXPECT_EQ(seen->destination, up ? f.backend : f.client);
        EXPECT_EQ(seen->payload, text(c.payload));
        EXPECT_EQ(seen->ttl, 63);
        EXPECT_EQ(seen->vlan, up ? c.backend_vlan : c.client_vlan);
        EXPECT_EQ(seen->destination_mac, up ? WorkerBench::backend_mac(f.v6() ? 1 : 0) : mac(0xc1));
        EXPECT_EQ(seen->source_mac, up ? WorkerBench::back_mac() : WorkerBench::front_mac());
        bench.expect_counter_law();
      }
    }
  }
}

TEST_F(FragmentsTest, AreCountedInBytesLikeSegments) {
  const Family& f = families()[0];
  const auto before = bench_.stats().backends[0];
  uint64_t bytes = 0;
  for (const Bytes& fragment : cut(from_client(f, 1000).bytes(), 400, 1)) {
    bench_.front().arrive(fragment);
    bytes += fragment.size() - 14;
  }
  bench_.turn();
  const auto& after = bench_.stats().backends[0];
  EXPECT_EQ(after.packets_in - before.packets_in, 3u);
  EXPECT_EQ(after.bytes_in - before.bytes_in, bytes);
}

TEST_F(FragmentsTest, LaterOnesMayComeInAnyOrderAndInLaterTurns) {
  for (const Family& f : families()) {
    auto fragments = cut(from_client(f, 1000).bytes(), 104, 77);
    std::reverse(fragments.begin() + 1, fragments.end());
    std::vector<Bytes> out;
    for (const Bytes& fragment : fragments) {
      bench_.front().arrive(fragment);
      bench_.turn(100);
      for (const Bytes& frame : bench_.back().take()) out.push_back(frame);
    }
    const auto whole = join(out);
    ASSERT_TRUE(whole.has_value());
    EXPECT_TRUE(read(*whole).has_value());
  }
}

TEST_F(FragmentsTest, AFirstOneInTheMiddleOfABurstStillComesBeforeTheOthers) {
  const Family& f = families()[0];
  const auto fragments = cut(from_client(f, 1000).bytes(), 600, 5);
  bench_.front().arrive(fragments[1]);
  bench_.front().arrive(fragments[0]);
  bench_.turn();
  const auto out = bench_.back().take();
  ASSERT_EQ(out.size(), 2u);
  EXPECT_TRUE(join(out).has_value());
}

TEST_F(FragmentsTest, ThatComeBeforeTheirFirstOneAreDropped) {
  for (const Family& f : families()) {
    SCOPED_TRACE(f.name);
    const uint64_t before = fragments_dropped();
    bench_.front().arrive(cut(from_client(f, 1000).bytes(), 600, 6)[1]);
    bench_.back().arrive(cut(from_backend(f, 1000).bytes(), 600, 7)[1]);
    bench_.turn();
    EXPECT_EQ(fragments_dropped(), before + 2);
    EXPECT_TRUE(bench_.back().take().empty());
    EXPECT_TRUE(bench_.front().take().empty());
    EXPECT_TRUE(bench_.punted().empty());
  }
}

TEST_F(FragmentsTest, BelongToADatagramByAddressesAndIdentification) {
  const Family& f = families()[0];
  const auto ours = cut(from_client(f, 1000).bytes(), 600, 8);
  const auto other_id = cut(from_client(f, 1000).bytes(), 600, 9);
  const auto other_source =
      cut(from_client(f, 1000).from(Endpoint{address("198.51.100.8"), f.client.port}).bytes(), 600, 8);
  bench_.front().arrive(ours[0]);
  bench_.front().arrive(other_id[1]);
  bench_.front().arrive(other_source[1]);
  bench_.turn();
  EXPECT_EQ(bench_.back().take().size(), 1u);
  EXPECT_EQ(fragments_dropped(), 2u);
}

TEST_F(FragmentsTest, AreForgottenAfterThirtySeconds) {
  const Family& f = families()[0];
  const auto fragments = cut(from_client(f, 1000).bytes(), 400, 10);
  bench_.front().arrive(fragments[0]);
  bench_.turn();
  bench_.turn(30'000);
  bench_.front().arrive(fragments[1]);
  bench_.turn();
  EXPECT_EQ(bench_.back().take().size(), 2u);
  bench_.turn(1);
  bench_.front().arrive(fragments[2]);
  bench_.turn();
  EXPECT_TRUE(bench_.back().take().empty());
  EXPECT_EQ(fragments_dropped(), 1u);
}

TEST_F(FragmentsTest, AnIdentificationUsedAgainIsTheNewDatagrams) {
  const Family& f = families()[0];
  const Endpoint second{f.client.address, Be16::of(40001)};
  ASSERT_TRUE(bench_.establish(second, f.vip).has_value());
  for (const Endpoint& client : {f.client, second, f.client}) {
    for (const Bytes& fragment : cut(from_client(f, 1000).from(client).bytes(), 600, 11)) {
      bench_.front().arrive(fragment);
    }
    bench_.turn();
    const auto whole = join(bench_.back().take());
    ASSERT_TRUE(whole.has_value());
    EXPECT_EQ(read(*whole).value().source, client);
  }
}

TEST_F(FragmentsTest, ThatHideOrOverlapTheTcpHeaderAreRefused) {
  for (const Family& f : families()) {
    SCOPED_TRACE(f.name);
    const uint64_t malformed = bench_.counter(Counter::kDropMalformed);
    // RFC 1858 section 3: the header does not lie whole in the first one.
    bench_.front().arrive(cut(from_client(f, 1000).bytes(), 8, 12)[0]);
    bench_.front().arrive(cut(from_client(f, 1000).bytes(), 16, 13)[0]);
    // RFC 3128: data at offset 1 (8 bytes) overwrite flags; at 16 the checksum.
    bench_.front().arrive(cut(from_client(f, 1000).bytes(), 8, 14)[1]);
    bench_.front().arrive(cut(from_client(f, 1000).bytes(), 16, 15)[1]);
    bench_.turn();
    EXPECT_EQ(bench_.counter(Counter::kDropMalformed), malformed + 4);
    // Options are header as well, and only the first one tells how many there are.
    const uint64_t dropped = fragments_dropped();
    Frame with_options = from_client(f, 1000).tcp_options(Bytes(12, 1));
    bench_.front().arrive(cut(with_options.bytes(), 32, 16)[0]);
    bench_.front().arrive(cut(with_options.bytes(), 24, 16)[1]);
    bench_.turn();
    EXPECT_EQ(bench_.back().take().size(), 1u);
    EXPECT_EQ(fragments_dropped(), dropped + 1);
  }
}

TEST_F(FragmentsTest, ThatGrowBeyondADatagramOrHaveNoWholeUnitsAreMalformed) {
  const Family& f = families()[0];
  Bytes beyond = cut(from_client(f, 1000).bytes(), 600, 17)[1];
  beyond[20] = 0x1f;
  beyond[21] = 0xff;
  Bytes uneven = cut(from_client(f, 1000).bytes(), 608, 18)[0];
  uneven[17] = static_cast<uint8_t>(uneven[17] - 1);
  Bytes empty = cut(from_client(f, 1000).bytes(), 600, 19)[1];
  empty[16] = 0;
  empty[17] = 20;
  for (const Bytes& frame : {beyond, uneven, empty}) {
    const uint64_t malformed = bench_.counter(Counter::kDropMalformed);
    bench_.front().arrive(frame);
    bench_.turn();
    EXPECT_EQ(bench_.counter(Counter::kDropMalformed), malformed + 1);
  }
}

TEST_F(FragmentsTest, ForTheKernelStayTheKernels) {
  const Family& f = families()[0];
  const auto for_us = cut(from_client(f, 1000).to({WorkerBench::own_front(), Be16::of(22)}).bytes(), 600, 20);
  for (const Bytes& fragment : for_us) bench_.front().arrive(fragment);
  // A backend's answer to a probe of ours.
  const auto probe = cut(from_backend(f, 1000).to(endpoint("10.0.1.1", 55555)).bytes(), 600, 21);
  for (const Bytes& fragment : probe) bench_.back().arrive(fragment);
  bench_.turn();
  EXPECT_EQ(bench_.punted().size(), 4u);
  EXPECT_EQ(bench_.drops(), 0u);
}

TEST_F(FragmentsTest, OfOtherProtocolsStayTheKernels) {
  const Family& f = families()[1];
  auto fragments = cut(from_client(f, 1000).bytes(), 600, 22);
  for (Bytes& fragment : fragments) {
    fragment[14 + 40] = 58;
    bench_.front().arrive(fragment);
  }
  bench_.turn();
  EXPECT_EQ(bench_.punted().size(), 2u);
}

TEST_F(FragmentsTest, AnAtomicFragmentIsAWholeSegment) {
  const Family& f = families()[1];
  const auto fragments = cut(from_client(f, 100).bytes(), 800, 23);
  ASSERT_EQ(fragments.size(), 1u);
  bench_.front().arrive(fragments[0]);
  bench_.turn();
  const auto whole = join(bench_.back().take());
  ASSERT_TRUE(whole.has_value());
  EXPECT_TRUE(read(*whole).has_value());
}

TEST_F(FragmentsTest, AFlowThatBeginsInMidStreamIsFollowedAtTheSecondAttempt) {
  const Family& f = families()[0];
  const Endpoint moved{f.client.address, Be16::of(41000)};
  const auto fragments = cut(from_client(f, 1000).from(moved).bytes(), 600, 24);
  for (const size_t expected : {size_t{1}, size_t{2}}) {
    for (const Bytes& fragment : fragments) bench_.front().arrive(fragment);
    bench_.turn();
    EXPECT_EQ(bench_.back().take().size(), expected);
  }
  EXPECT_EQ(bench_.counter(Counter::kFlowsAdopted), 1u);
}

TEST_F(FragmentsTest, LaterOnesOfAFlowThatEndedOrLostItsBackendAreDropped) {
  const Family& f = families()[0];
  const auto fragments = cut(from_client(f, 1000).bytes(), 400, 25);
  bench_.front().arrive(fragments[0]);
  bench_.turn();
  bench_.put_backend(0, f.backend, 0);
  bench_.turn();
  bench_.front().arrive(fragments[1]);
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kDropBackendUnreachable), 1u);
  bench_.put_backend(0, f.backend, channel::kBackendReachable | channel::kBackendDown);
  bench_.turn();
  bench_.front().arrive(fragments[2]);
  bench_.turn();
  EXPECT_EQ(fragments_dropped(), 1u);
  for (int i = 0; i < 10; i++) bench_.turn(2000);  // until it is forgotten
  bench_.front().arrive(fragments[2]);
  bench_.turn();
  EXPECT_EQ(fragments_dropped(), 2u);
}

TEST_F(FragmentsTest, LaterOnesWithoutHopsOrTooBigAreDroppedInSilence) {
  const Family& f = families()[0];
  WorkerBench bench({.front_mtu = 600, .back_mtu = 600});
  set_up(bench, 0, 0);
  for (const bool up : {true, false}) {
    const auto big = cut((up ? from_client(f, 1400) : from_backend(f, 1400)).bytes(), 400, 26);
    const auto bigger = cut((up ? from_client(f, 1400) : from_backend(f, 1400)).bytes(), 800, 26);
    const auto spent = cut((up ? from_client(f, 1400) : from_backend(f, 1400)).ttl(1).bytes(), 400, 26);
    const uint64_t too_big = bench.counter(Counter::kDropTooBig);
    const uint64_t expired = bench.counter(Counter::kDropTtlExpired);
    RingPort& port = up ? bench.front() : bench.back();
    port.arrive(big[0]);
    port.arrive(bigger[1].size() > 600 ? bigger[1] : bigger[0]);
    port.arrive(spent[1]);
    bench.turn();
    EXPECT_EQ((up ? bench.back() : bench.front()).take().size(), 1u);
    EXPECT_TRUE((up ? bench.front() : bench.back()).take().empty());
    EXPECT_EQ(bench.counter(Counter::kDropTooBig), too_big + 1);
    EXPECT_EQ(bench.counter(Counter::kDropTtlExpired), expired + 1);
  }
  EXPECT_EQ(bench.counter(Counter::kIcmpSent), 0u);
}

TEST_F(FragmentsTest, AFloodOfStrangersDoesNotDisplaceThoseOfAFlow) {
  const Family& f = families()[0];
  const auto fragments = cut(from_client(f, 1000).bytes(), 600, 27);
  bench_.front().arrive(fragments[0]);
  bench_.turn();
  for (uint32_t i = 0; i < 20'000; i++) {
    const Endpoint stranger{Address::v4(Be32::of(0x0b000000 + i)), Be16::of(1)};
    bench_.front().arrive(cut(from_client(f, 100).from(stranger).rst().bytes(), 64, i)[0]);
    if (i % 16 == 15) bench_.turn();
  }
  bench_.turn();
  bench_.back().take();
  bench_.front().arrive(fragments[1]);
  bench_.turn();
  EXPECT_EQ(bench_.back().take().size(), 1u);
}

TEST_F(FragmentsTest, SurviveEveryTruncationAndRandomBytes) {
  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed() + 7U;
  SCOPED_TRACE("seed " + std::to_string(seed));
  srand(seed);
  for (const Family& f : families()) {
    for (const bool up : {true, false}) {
      const auto fragments = cut((up ? from_client(f, 200) : from_backend(f, 200)).bytes(), 104, 28);
      RingPort& port = up ? bench_.front() : bench_.back();
      const auto run = [&](const Bytes& frame) {
        port.arrive(frame);
        bench_.turn();
        bench_.front().take();
        bench_.back().take();
        bench_.punted();
      };
      for (const Bytes& whole : fragments) {
        for (size_t n = 1; n <= whole.size(); n++) run(Bytes(whole.begin(), whole.begin() + static_cast<long>(n)));
        for (int i = 0; i < 3000; i++) {
          Bytes frame = whole;
          for (int change = rand() % 4; change >= 0; change--) {
            frame[12 + static_cast<size_t>(rand()) % (frame.size() - 12)] = static_cast<uint8_t>(rand());
          }
          run(frame);
        }
      }
      bench_.expect_counter_law();
    }
  }
}

}  // namespace
}  // namespace sluice::testing

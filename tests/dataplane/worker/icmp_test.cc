// SPDX-License-Identifier: Apache-2.0
//
// ICMP errors through the worker. The oracle for what an error quotes on the far side is the very packet that was sent
// there.
#include <gtest/gtest.h>

#include "dataplane/base/token_bucket.h"
#include "dataplane/packet/icmp.h"
#include "tests/dataplane/support/icmp_frame.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;

const Address kRouter = address("198.51.100.254");
const Address kRouter6 = address("2001:db8:ffff::1");
constexpr uint16_t kClientVlan = 100;
constexpr uint16_t kBackendVlan = 300;

struct Family {
  const char* name;
  Endpoint client, vip, backend;
  Address router;
  uint8_t unreachable, time_exceeded, parameter_problem, too_big, too_big_code;
  bool v6() const { return !client.address.is_v4(); }
};

const std::vector<Family>& families() {
  static const std::vector<Family> kFamilies{
      {"IPv4", endpoint("198.51.100.7", 40000), endpoint("192.0.2.25", 25), endpoint("10.0.1.10", 2525), kRouter, 3, 11,
       12, 3, 4},
      {"IPv6", endpoint("2001:db8:1::7", 40000), endpoint("2001:db8:25::25", 25), endpoint("fd00:1::10", 2525),
       kRouter6, 1, 3, 4, 2, 0},
  };
  return kFamilies;
}

/// A bench with an established flow of each family: client sequence 1001, server sequence 5001.
class IcmpTest : public ::testing::Test {
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
      const auto up = bench.client_to_backend(Frame().from(f.client).to(f.vip).seq(1001).ack(5001).vlan(client_vlan));
      ASSERT_TRUE(up.has_value());
      EXPECT_EQ(up->vlan, backend_vlan);
    }
  }

  /// A segment on the clients' side, and what it is on the backends' side. `hops` apart, so that the quotes may be
  /// equal.
  static Frame client_segment(const Family& f, uint8_t ttl = 64) {
    return Frame().from(f.client).to(f.vip).seq(1001).ack(5001).psh().payload("MAIL FROM:<>\r\n").ttl(ttl);
  }
  static Frame backend_segment(const Family& f, uint8_t ttl = 64) {
    return Frame().from(f.backend).to(f.client).seq(5001).ack(1001).psh().payload("250 ok, go on\r\n").ttl(ttl);
  }

  /// What the backend sees of the client's segment, and the client of the backend's.
  static Frame seen_by_backend(const Family& f, uint8_t ttl) { return client_segment(f, ttl).to(f.backend); }
  static Frame seen_by_client(const Family& f, uint8_t ttl) { return backend_segment(f, ttl).from(f.vip); }

  WorkerBench bench_{{.strangers = Strangers::kKernel}};
};

IcmpFrame error_from_clients_side(const Family& f, const Address& from, uint8_t type, uint8_t code,
                                  const Bytes& quoted) {
  IcmpFrame out;
  out.source = from;
  out.destination = f.vip.address;
  out.destination_mac = WorkerBench::front_mac();
  out.type = type;
  out.code = code;
  out.quoted = quoted;
  return out;
}

IcmpFrame error_from_backends_side(const Family& f, const Address& from, uint8_t type, uint8_t code,
                                   const Bytes& quoted) {
  IcmpFrame out = error_from_clients_side(f, from, type, code, quoted);
  out.destination = f.client.address;
  out.destination_mac = WorkerBench::back_mac();
  return out;
}

struct Kind {
  const char* name;
  uint8_t type, code;
  uint32_t rest;
};

std::vector<Kind> kinds_of(const Family& f) {
  return {{"host unreachable", f.unreachable, 1, 0},
          {"port unreachable", f.unreachable, static_cast<uint8_t>(f.v6() ? 4 : 3), 0},
          {"too big", f.too_big, f.too_big_code, 1400},
          {"time exceeded", f.time_exceeded, 0, 0},
          {"parameter problem", f.parameter_problem, 0, 0x14000000}};
}

/// How much of a packet may be quoted: from IP header and 8 bytes to all of it.
std::vector<size_t> quote_lengths(const Family& f, const Frame& frame) {
  const size_t header = f.v6() ? 40 : 20;
  std::vector<size_t> out;
  for (size_t n = header + 8; n <= ip_packet(frame.bytes()).size(); n++) out.push_back(n);
  return out;
}

/// The quote of `n` bytes of `there`, once it was translated from that of `here`. Where the TCP checksum is cut in two,
/// the half that is there cannot be brought up to date.
Bytes translated_quote(const Family& f, const Frame& here, const Frame& there, size_t n) {
  Bytes out = ip_packet(there.bytes(), n);
  const size_t half_checksum = (f.v6() ? 40 : 20) + 17;
  if (n == half_checksum) out.back() = ip_packet(here.bytes(), n).back();
  return out;
}

TEST_F(IcmpTest, ErrorsFromTheClientsSideReachTheBackend) {
  for (const Family& f : families()) {
    for (const Kind& kind : kinds_of(f)) {
      for (const Address& from : {f.router, f.client.address}) {
        for (const size_t n : quote_lengths(f, seen_by_client(f, 60))) {
          SCOPED_TRACE(std::string(f.name) + ", " + kind.name + ", quotes " + std::to_string(n));
          IcmpFrame error =
              error_from_clients_side(f, from, kind.type, kind.code, ip_packet(seen_by_client(f, 60).bytes(), n));
          error.rest = kind.rest;
          bench_.front().arrive(error.bytes());
          bench_.turn();
          const auto frames = bench_.back().take();
          ASSERT_EQ(frames.size(), 1u);
          const auto out = read_icmp(frames[0]);
          ASSERT_TRUE(out.has_value()) << "a checksum is wrong";
          EXPECT_EQ(out->source, from);
          EXPECT_EQ(out->destination, f.backend.address);
          EXPECT_EQ(out->ttl, 63);
          EXPECT_EQ(out->type, kind.type);
          EXPECT_EQ(out->code, kind.code);
          EXPECT_EQ(out->rest, kind.rest);
          EXPECT_EQ(out->source_mac, WorkerBench::back_mac());
          EXPECT_EQ(out->destination_mac, WorkerBench::backend_mac(f.v6() ? 1 : 0));
          EXPECT_EQ(out->quoted, translated_quote(f, seen_by_client(f, 60), backend_segment(f, 60), n));
        }
      }
    }
  }
  EXPECT_EQ(bench_.counter(Counter::kIcmpPassedOn), bench_.counter(Counter::kForwarded) - 8);
  EXPECT_EQ(bench_.drops(), 0u);
}

TEST_F(IcmpTest, ErrorsFromTheBackendsSideReachTheClient) {
  for (const Family& f : families()) {
    for (const Kind& kind : kinds_of(f)) {
      for (const bool from_backend : {false, true}) {
        for (const size_t n : quote_lengths(f, seen_by_backend(f, 60))) {
          SCOPED_TRACE(std::string(f.name) + ", " + kind.name + ", quotes " + std::to_string(n));
          IcmpFrame error = error_from_backends_side(f, from_backend ? f.backend.address : f.router, kind.type,
                                                     kind.code, ip_packet(seen_by_backend(f, 60).bytes(), n));
          error.rest = kind.rest;
          bench_.back().arrive(error.bytes());
          bench_.turn();
          const auto frames = bench_.front().take();
          ASSERT_EQ(frames.size(), 1u);
          const auto out = read_icmp(frames[0]);
          ASSERT_TRUE(out.has_value()) << "a checksum is wrong";
          EXPECT_EQ(out->source, from_backend ? f.vip.address : f.router);
          EXPECT_EQ(out->destination, f.client.address);
          EXPECT_EQ(out->ttl, 63);
          EXPECT_EQ(out->type, kind.type);
          EXPECT_EQ(out->rest, kind.rest);
          EXPECT_EQ(out->source_mac, WorkerBench::front_mac());
          EXPECT_EQ(out->destination_mac, mac(0xc1));
          EXPECT_EQ(out->quoted, translated_quote(f, seen_by_backend(f, 60), client_segment(f, 60), n));
        }
      }
    }
  }
  EXPECT_EQ(bench_.drops(), 0u);
}

TEST_F(IcmpTest, ErrorsKeepToTheVlansOfBothSides) {
  WorkerBench bench;
  set_up(bench, kClientVlan, kBackendVlan);
  for (const Family& f : families()) {
    IcmpFrame down = error_from_clients_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_client(f, 60).bytes()));
    down.vlan = kClientVlan;
    bench.front().arrive(down.bytes());
    IcmpFrame up = error_from_backends_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_backend(f, 60).bytes()));
    up.vlan = kBackendVlan;
    bench.back().arrive(up.bytes());
    bench.turn();
    const auto to_backend = bench.back().take();
    const auto to_client = bench.front().take();
    ASSERT_EQ(to_backend.size(), 1u);
    ASSERT_EQ(to_client.size(), 1u);
    EXPECT_EQ(read_icmp(to_backend[0]).value().vlan, kBackendVlan);
    EXPECT_EQ(read_icmp(to_backend[0]).value().quoted, ip_packet(backend_segment(f, 60).bytes()));
    EXPECT_EQ(read_icmp(to_client[0]).value().vlan, kClientVlan);
    EXPECT_EQ(read_icmp(to_client[0]).value().quoted, ip_packet(client_segment(f, 60).bytes()));
  }
  bench.expect_counter_law();
}

TEST_F(IcmpTest, AnErrorThatCameDamagedLeavesDamaged) {
  const Family& f = families()[0];
  Bytes frame =
      error_from_clients_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_client(f, 60).bytes())).bytes();
  frame.back() ^= 0x40;
  bench_.front().arrive(frame);
  bench_.turn();
  const auto frames = bench_.back().take();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_FALSE(read_icmp(frames[0]).has_value());
}

TEST_F(IcmpTest, SequenceNumbersFarFromTheFlowsAreNotBelieved) {
  struct Case {
    uint32_t shift;
    bool passes;
  };
  // The sides will use 1001 and 5001 next; 8 MiB before that may still be in flight.
  for (const Family& f : families()) {
    for (const auto& [shift, passes] : {Case{0, true}, Case{0U - 5000, true}, Case{0U - (1U << 23), true},
                                        Case{1, false}, Case{0U - (1U << 23) - 1, false}, Case{0x80000000, false}}) {
      SCOPED_TRACE(std::string(f.name) + ", off by " + std::to_string(static_cast<int32_t>(shift)));
      const uint64_t dropped = bench_.counter(Counter::kDropIcmp);
      bench_.front().arrive(error_from_clients_side(f, f.router, f.unreachable, 1,
                                                    ip_packet(seen_by_client(f, 60).seq(5001 + shift).bytes()))
                                .bytes());
      bench_.back().arrive(error_from_backends_side(f, f.router, f.unreachable, 1,
                                                    ip_packet(seen_by_backend(f, 60).seq(1001 + shift).bytes()))
                               .bytes());
      bench_.turn();
      EXPECT_EQ(bench_.back().take().size(), passes ? 1u : 0u);
      EXPECT_EQ(bench_.front().take().size(), passes ? 1u : 0u);
      EXPECT_EQ(bench_.counter(Counter::kDropIcmp), dropped + (passes ? 0 : 2));
    }
  }
}

TEST_F(IcmpTest, WhatIsAboutNoFlowGoesToTheKernel) {
  for (const Family& f : families()) {
    const Endpoint stranger{f.client.address, Be16::of(1)};
    const Bytes quoted = ip_packet(seen_by_client(f, 60).bytes());
    Bytes udp = quoted;
    udp.at(f.v6() ? 6 : 9) = 17;
    Bytes later_fragment = quoted;
    if (!f.v6()) later_fragment.at(7) = 10;
    struct Case {
      const char* description;
      IcmpFrame frame;
    };
    std::vector<Case> cases{
        {"echo request", error_from_clients_side(f, f.client.address, f.v6() ? 128 : 8, 0, quoted)},
        {"echo reply", error_from_clients_side(f, f.client.address, f.v6() ? 129 : 0, 0, quoted)},
        {"neighbour solicitation or redirect", error_from_clients_side(f, f.router, f.v6() ? 135 : 5, 0, quoted)},
        {"another port of the VIP",
         error_from_clients_side(f, f.router, f.unreachable, 1,
                                 ip_packet(seen_by_client(f, 60).from(Endpoint{f.vip.address, Be16::of(26)}).bytes()))},
        {"UDP", error_from_clients_side(f, f.router, f.unreachable, 1, udp)},
        {"a backend's packet, seen from outside",
         error_from_clients_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_backend(f, 60).bytes()))},
        {"nothing", error_from_clients_side(f, f.router, f.unreachable, 1, {})},
    };
    if (!f.v6()) {
      cases.push_back({"a later fragment", error_from_clients_side(f, f.router, f.unreachable, 1, later_fragment)});
    }
    for (const Case& c : cases) {
      SCOPED_TRACE(std::string(f.name) + ", " + c.description);
      bench_.front().arrive(c.frame.bytes());
      bench_.turn();
      EXPECT_EQ(bench_.punted(), std::vector<Bytes>{c.frame.bytes()}) << "to the kernel, and as it came";
      EXPECT_TRUE(bench_.back().take().empty());
      EXPECT_TRUE(bench_.front().take().empty());
    }
    // From the backends' side: about another client's flow.
    const IcmpFrame other = error_from_backends_side(f, f.router, f.unreachable, 1,
                                                     ip_packet(seen_by_backend(f, 60).from(stranger).bytes()));
    bench_.back().arrive(other.bytes());
    bench_.turn();
    EXPECT_EQ(bench_.punted(), std::vector<Bytes>{other.bytes()});
  }
}

TEST_F(IcmpTest, ErrorsWithoutHopsOrWithoutABackendAreDropped) {
  const Family& f = families()[0];
  IcmpFrame spent = error_from_clients_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_client(f, 60).bytes()));
  spent.ttl = 1;
  bench_.front().arrive(spent.bytes());
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kDropTtlExpired), 1u);
  IcmpFrame spent_up =
      error_from_backends_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_backend(f, 60).bytes()));
  spent_up.ttl = 1;
  bench_.back().arrive(spent_up.bytes());
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kDropTtlExpired), 2u);
  bench_.put_backend(0, f.backend, 0);
  bench_.front().arrive(
      error_from_clients_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_client(f, 60).bytes())).bytes());
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kDropBackendUnreachable), 1u);
  bench_.put_backend(0, f.backend, channel::kBackendDown);
  bench_.turn();
  bench_.front().take();
  bench_.front().arrive(
      error_from_clients_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_client(f, 60).bytes())).bytes());
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kDropNoFlow), 1u);
  EXPECT_TRUE(bench_.back().take().empty());
}

TEST_F(IcmpTest, WorksOnOneArm) {
  WorkerBench bench({.front = Faces::kBoth, .back = Faces::kBoth});
  set_up(bench, 0, 0);
  for (const Family& f : families()) {
    bench.front().arrive(
        error_from_clients_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_client(f, 60).bytes())).bytes());
    bench.back().arrive(
        error_from_backends_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_backend(f, 60).bytes())).bytes());
    bench.turn();
    EXPECT_EQ(bench.back().take().size(), 1u);
    EXPECT_EQ(bench.front().take().size(), 1u);
  }
}

TEST_F(IcmpTest, AnErrorComesAfterTheSegmentsThatCameBeforeIt) {
  const Family& f = families()[0];
  bench_.client_sends(client_segment(f));
  bench_.back().arrive(
      error_from_backends_side(f, f.router, f.unreachable, 1, ip_packet(seen_by_backend(f, 60).bytes())).bytes());
  bench_.backend_sends(backend_segment(f));
  bench_.turn();
  const auto frames = bench_.front().take();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_TRUE(read(frames[0]).has_value());
  EXPECT_TRUE(read_icmp(frames[1]).has_value());
}

TEST_F(IcmpTest, ABurstOfNothingButErrorsIsAllPassedOn) {
  const Family& f = families()[1];
  const Bytes error =
      error_from_clients_side(f, f.router, f.too_big, 0, ip_packet(seen_by_client(f, 60).bytes())).bytes();
  for (int i = 0; i < 200; i++) bench_.front().arrive(error);
  bench_.turns(20);
  EXPECT_EQ(bench_.back().take().size(), 200u);
}

TEST_F(IcmpTest, SurvivesEveryTruncationAndRandomBytes) {
  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed() + 5U;
  SCOPED_TRACE("seed " + std::to_string(seed));
  srand(seed);
  const auto run = [&](RingPort& port, const Bytes& frame) {
    port.arrive(frame);
    bench_.turn();
    bench_.front().take();
    bench_.back().take();
    bench_.punted();
  };
  for (const Family& f : families()) {
    for (const bool from_client : {true, false}) {
      RingPort& port = from_client ? bench_.front() : bench_.back();
      const auto error = [&](const Bytes& quoted) {
        return (from_client ? error_from_clients_side(f, f.router, f.unreachable, 1, quoted)
                            : error_from_backends_side(f, f.router, f.unreachable, 1, quoted))
            .bytes();
      };
      const Bytes quoted = ip_packet((from_client ? seen_by_client(f, 60) : seen_by_backend(f, 60)).bytes());
      const Bytes whole = error(quoted);
      // Cut short on the wire, and quoting less.
      for (size_t n = 1; n <= whole.size(); n++) run(port, Bytes(whole.begin(), whole.begin() + static_cast<long>(n)));
      for (size_t n = 0; n <= quoted.size(); n++)
        run(port, error(Bytes(quoted.begin(), quoted.begin() + static_cast<long>(n))));
      for (int i = 0; i < 5000; i++) {
        Bytes frame = whole;
        for (int change = rand() % 4; change >= 0; change--) {
          frame[12 + static_cast<size_t>(rand()) % (frame.size() - 12)] = static_cast<uint8_t>(rand());
        }
        run(port, frame);
      }
      bench_.expect_counter_law();
    }
  }
  EXPECT_GT(bench_.counter(Counter::kIcmpPassedOn), 1000u);
}

TEST_F(IcmpTest, PacketsTooBigForTheWayOutAreAnsweredWithItsMtu) {
  struct Case {
    const char* description;
    bool from_client;
    uint16_t vlan;
    size_t payload;
  };
  for (const Family& f : families()) {
    const size_t headers = f.v6() ? 60 : 40;
    for (const Case& c : {Case{"to the backend", true, 0, 1400 - headers + 1}, Case{"to the client", false, 0, 1400},
                          Case{"to the backend, tagged", true, kClientVlan, 1400},
                          Case{"to the client, tagged", false, kBackendVlan, 1400}}) {
      SCOPED_TRACE(std::string(f.name) + ", " + c.description);
      WorkerBench bench({.front_mtu = 1300, .back_mtu = 1400});
      set_up(bench, c.from_client ? c.vlan : 0, c.from_client ? 0 : c.vlan);
      const uint64_t forwarded = bench.counter(Counter::kForwarded);
      Frame big = (c.from_client ? client_segment(f) : backend_segment(f)).payload(Bytes(c.payload, 'x')).vlan(c.vlan);
      if (c.from_client) {
        bench.client_sends(big);
        big.to_mac(WorkerBench::front_mac());
      } else {
        bench.backend_sends(big);
        big.to_mac(WorkerBench::back_mac());
      }
      bench.turn();
      const auto frames = (c.from_client ? bench.front() : bench.back()).take();
      ASSERT_EQ(frames.size(), 1u);
      const auto answer = read_icmp(frames[0]);
      ASSERT_TRUE(answer.has_value()) << "a checksum is wrong";
      EXPECT_EQ(answer->type, f.too_big);
      EXPECT_EQ(answer->code, f.too_big_code);
      EXPECT_EQ(answer->rest, c.from_client ? 1400u : 1300u);
      EXPECT_EQ(answer->source, c.from_client ? f.vip.address : f.client.address);
      EXPECT_EQ(answer->destination, c.from_client ? f.client.address : f.backend.address);
      EXPECT_EQ(answer->source_mac, c.from_client ? WorkerBench::front_mac() : WorkerBench::back_mac());
      EXPECT_EQ(answer->destination_mac, mac(0xc1));
      EXPECT_EQ(answer->vlan, c.vlan);
      EXPECT_EQ(answer->quoted, ip_packet(big.bytes(), f.v6() ? 1280 - 48 : 576 - 28));
      EXPECT_TRUE((c.from_client ? bench.back() : bench.front()).take().empty());
      EXPECT_EQ(bench.counter(Counter::kDropTooBig), 1u);
      EXPECT_EQ(bench.counter(Counter::kIcmpSent), 1u);
      EXPECT_EQ(bench.counter(Counter::kForwarded), forwarded) << "an answer is not a packet passed on";
      bench.expect_counter_law();
    }
  }
}

TEST_F(IcmpTest, PacketsThatJustFitPass) {
  for (const Family& f : families()) {
    WorkerBench bench({.front_mtu = 1300, .back_mtu = 1400});
    set_up(bench, 0, 0);
    const size_t headers = f.v6() ? 60 : 40;
    EXPECT_TRUE(bench.client_to_backend(client_segment(f).payload(Bytes(1400 - headers, 'x'))).has_value());
    EXPECT_TRUE(bench.backend_to_client(backend_segment(f).payload(Bytes(1300 - headers, 'x'))).has_value());
  }
}

TEST_F(IcmpTest, AnswersToBigPacketsAreLimitedInRate) {
  WorkerBench bench({.back_mtu = 1400});
  set_up(bench, 0, 0);
  const Family& f = families()[0];
  const auto flood = [&] {
    for (int i = 0; i < 400; i++) {
      bench.client_sends(client_segment(f).payload(Bytes(1401, 'x')));
      if (i % 16 == 15) bench.turn();
    }
    return bench.front().take().size();
  };
  EXPECT_EQ(flood(), 50u);
  bench.turn(20);
  EXPECT_EQ(flood(), 20u) << "one a millisecond";
  bench.turn(60'000);
  EXPECT_EQ(flood(), 50u) << "and no more than a burst after a pause";
  EXPECT_EQ(bench.counter(Counter::kDropTooBig), 1200u);
  EXPECT_EQ(bench.counter(Counter::kIcmpSent), 120u);
  bench.expect_counter_law();
}

TEST(RewriteIcmpError, ShiftsTheQuotedSequenceAndAcknowledgement) {
  start_eal();
  rte_mempool* pool = make_pool(63);
  for (const Family& f : families()) {
    const Frame seen = Frame().from(f.client).to(f.backend).seq(1029).ack(5001).payload("MAIL FROM:<>\r\n");
    const Frame wanted = Frame().from(f.client).to(f.vip).seq(1001).ack(5008).payload("MAIL FROM:<>\r\n");
    for (size_t n = f.v6() ? 48 : 28; n <= ip_packet(seen.bytes()).size(); n++) {
      SCOPED_TRACE(std::string(f.name) + ", quotes " + std::to_string(n));
      rte_mbuf* mbuf =
          make_mbuf(pool, error_from_backends_side(f, f.router, f.unreachable, 1, ip_packet(seen.bytes(), n)).bytes());
      Packet packet;
      IcmpError error;
      ASSERT_EQ(parse_any(*mbuf, WorkerBench::back_mac(), packet), ParseVerdict::kIcmp);
      ASSERT_TRUE(read_icmp_error(*mbuf, packet, error));
      EXPECT_EQ(error.source, f.client);
      EXPECT_EQ(error.destination, f.backend);
      EXPECT_EQ(error.sequence, 1029u);
      rewrite_icmp_error(*mbuf, packet, error, {f.router, f.client, f.vip, 0U - 28, 7});
      const auto* data = rte_pktmbuf_mtod(mbuf, const uint8_t*);
      const auto out = read_icmp(Bytes(data, data + mbuf->data_len));
      rte_pktmbuf_free(mbuf);
      ASSERT_TRUE(out.has_value()) << "a checksum is wrong";
      // An acknowledgement that is cut off in the middle stays as it is.
      const bool ack_cut = n > (f.v6() ? 48U : 28U) && n < (f.v6() ? 52U : 32U);
      Bytes expected = translated_quote(f, seen, wanted, n);
      if (ack_cut) expected = ip_packet(Frame(wanted).ack(5001).bytes(), n);
      EXPECT_EQ(out->quoted, expected);
    }
  }
}

TEST(ReadIcmpError, LooksBehindExtensionHeadersOfTheQuotedPacket) {
  start_eal();
  rte_mempool* pool = make_pool(63);
  const Family& f = families()[1];
  const Bytes plain = ip_packet(Frame().from(f.vip).to(f.client).seq(5001).ack(1).bytes());
  const auto with_header = [&](uint8_t type, Bytes header) {
    Bytes out(plain.begin(), plain.begin() + 40);
    header[0] = out[6];
    out[6] = type;
    out.insert(out.end(), header.begin(), header.end());
    out.insert(out.end(), plain.begin() + 40, plain.end());
    return out;
  };
  struct Case {
    const char* description;
    Bytes quoted;
    bool found;
  };
  const std::vector<Case> cases{
      {"none", plain, true},
      {"destination options of 16 bytes", with_header(60, {0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), true},
      {"first fragment", with_header(44, {0, 0, 0, 1, 1, 2, 3, 4}), true},
      {"later fragment", with_header(44, {0, 0, 0, 8, 1, 2, 3, 4}), false},
      {"routing header longer than the message", with_header(43, {0, 200, 0, 0, 0, 0, 0, 0}), false},
      {"an unknown one", with_header(99, {0, 0, 0, 0, 0, 0, 0, 0}), false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    rte_mbuf* mbuf = make_mbuf(pool, error_from_clients_side(f, f.router, f.unreachable, 1, c.quoted).bytes());
    Packet packet;
    IcmpError error;
    ASSERT_EQ(parse_any(*mbuf, WorkerBench::front_mac(), packet), ParseVerdict::kIcmp);
    EXPECT_EQ(read_icmp_error(*mbuf, packet, error), c.found);
    rte_pktmbuf_free(mbuf);
    if (!c.found) continue;
    EXPECT_EQ(error.source, f.vip);
    EXPECT_EQ(error.destination, f.client);
    EXPECT_EQ(error.sequence, 5001u);
  }
}

TEST(TokenBucket, RefillsWithTimeUpToItsBurst) {
  TokenBucket bucket(500, 3, 1000);
  const auto taken = [&](uint64_t now_ms) {
    int n = 0;
    while (bucket.take(now_ms)) n++;
    return n;
  };
  EXPECT_EQ(taken(1000), 3);
  EXPECT_EQ(taken(1001), 0);
  EXPECT_EQ(taken(1002), 1) << "halves add up";
  EXPECT_EQ(taken(1001), 0) << "a clock that goes back gives nothing";
  EXPECT_EQ(taken(1ULL << 60), 3);
}

}  // namespace
}  // namespace sluice::testing

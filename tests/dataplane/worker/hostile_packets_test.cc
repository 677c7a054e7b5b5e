// SPDX-License-Identifier: Apache-2.0
//
// What strangers send who know addresses and ports, through a whole worker: it neither ends nor moves what is open, and
// what cannot be a client's is dropped by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/dataplane/support/icmp_frame.h"
#include "tests/dataplane/support/one_way_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kVip6At = endpoint("2001:db8:25::25", 25);
const Endpoint kClient = endpoint("198.51.100.7", 40000);
const Endpoint kBackend = endpoint("10.0.1.10", 2525);

struct Nat : WorkerBench {
  explicit Nat(const BenchOptions& options = {}) : WorkerBench(options) {
    put_sole_backend(0, kBackend, 0);
    put_backend(1, endpoint("fd00:1::10", 2525));
    put_service(0, kVip, {0});
    put_service(1, kVip6At, {1});
    turn();
  }
  void attacker_sends(const Frame& frame) {
    client_sends(Frame(frame).from(kClient).to(kVip).from_mac(mac(0xee)));
    turn();
    back().take();
  }
  /// Lets time pass, in steps in which the sweep gets round.
  void wait_ms(uint64_t ms) {
    turn(ms);
    for (int i = 0; i < 40; i++) turn(200);
  }
  std::optional<ReadFrame> server_says(uint32_t seq, uint32_t ack, const std::string& text) {
    return backend_to_client(Frame().from(kBackend).to(kClient).seq(seq).ack(ack).psh().payload(text));
  }
};

TEST(BlindSegments, FinLeavesTheTimerAsItWas) {
  Nat bench;
  ASSERT_TRUE(bench.establish(kClient, kVip));
  bench.attacker_sends(Frame().seq(0x40000000).ack(0x12345678).fin());
  EXPECT_EQ(bench.counter(Counter::kFlowsClosingNow), 0u);
  EXPECT_EQ(bench.counter(Counter::kSegmentsNotBelieved), 1u);
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).psh().payload(".\r\n")));
  bench.wait_ms(600'000);
  EXPECT_TRUE(bench.server_says(5001, 1004, "250 ok\r\n")) << "it has worked on the message for ten minutes";
}

TEST(BlindSegments, FinEndsNoOneWayFlow) {
  for (const Mode& mode : kModes) {
    SCOPED_TRACE(mode.name);
    OneWayBench bench(mode);
    bench.converse(mode.client());
    ASSERT_TRUE(bench.pass(bench.client_frame().seq(0x40000000).ack(0x12345678).fin())) << "its server decides";
    EXPECT_EQ(bench.counter(Counter::kFlowsClosed), 0u);
    EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
  }
}

TEST(BlindSegments, DataMakesNoResetBelievable) {
  std::mt19937 random(7);
  Nat bench;
  ASSERT_TRUE(bench.establish(kClient, kVip, static_cast<uint32_t>(random()), static_cast<uint32_t>(random())));
  for (int tries = 0; tries < 20'000; tries++) {
    const auto guess = static_cast<uint32_t>(random());
    bench.client_sends(Frame().from(kClient).to(kVip).seq(guess).ack(static_cast<uint32_t>(random())).payload("x"));
    bench.client_sends(Frame().from(kClient).to(kVip).seq(guess + 1).rst());
    bench.turn();
    bench.back().take();
  }
  EXPECT_EQ(bench.counter(Counter::kFlowsReset), 0u);
  EXPECT_EQ(bench.counter(Counter::kSegmentsNotBelieved), 40'000u);
}

TEST(BlindSegments, ResetWithinTheWindowIsLeftToTheEnds) {
  Nat bench;
  ASSERT_TRUE(bench.establish(kClient, kVip));
  bench.attacker_sends(Frame().seq(1001 + 30'000).rst());
  EXPECT_EQ(bench.counter(Counter::kFlowsReset), 0u);
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).psh().payload("x")));
  bench.wait_ms(15'000);
  EXPECT_TRUE(bench.server_says(5001, 1002, "250 ok\r\n"));
}

TEST(BlindSegments, NoneMovesTheReturnPath) {
  Nat bench;
  ASSERT_TRUE(bench.establish(kClient, kVip));
  bench.attacker_sends(Frame().seq(0x40000000).ack(0x12345678).psh().payload("x"));
  bench.attacker_sends(Frame().seq(0x40000000).rst());
  bench.attacker_sends(Frame().seq(77).syn());
  const auto word = bench.server_says(5001, 1001, "220 hi\r\n");
  ASSERT_TRUE(word);
  EXPECT_NE(word->destination_mac, mac(0xee));
}

TEST(BlindSegments, NoneIsReadAsSmtp) {
  Nat bench;
  ASSERT_TRUE(bench.establish(kClient, kVip));
  ASSERT_TRUE(bench.server_says(5001, 1001, "220 hi\r\n"));
  bench.attacker_sends(Frame().seq(0x40000000).ack(0x12345678).psh().payload("QUIT\r\n"));
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5009).psh().payload("EHLO a\r\n")));
  ASSERT_TRUE(bench.server_says(5009, 1009, "250 mta\r\n"));
  const Flow& flow = bench.worker().flows()[0];
  EXPECT_EQ(static_cast<SmtpPhase>(flow.smtp_phase), SmtpPhase::kCommands);
  EXPECT_EQ(flow.smtp_detail & kSmtpQuit, 0);
}

/// An IPv6 frame with IPv4-mapped addresses where they are wanted.
Bytes mapped(bool source, bool destination) {
  Bytes frame = Frame()
                    .from(endpoint("2001:db8::1", 40000))
                    .to(endpoint("2001:db8::2", 25))
                    .seq(1001)
                    .ack(5001)
                    .fin()
                    .to_mac(WorkerBench::front_mac())
                    .bytes();
  if (source) std::ranges::copy(kClient.address.bytes, frame.begin() + 14 + 8);
  if (destination) std::ranges::copy(kVip.address.bytes, frame.begin() + 14 + 24);
  return frame;
}

TEST(Tags, MoreThanOneAreDroppedByName) {
  Nat bench;
  ASSERT_TRUE(bench.establish(kClient, kVip));
  const auto tagged = [&](uint16_t outer_type, bool inner_tag) {
    Frame frame = Frame().from(kClient).to(kVip).to_mac(WorkerBench::front_mac()).seq(1001).ack(5001);
    if (inner_tag) frame.vlan(7);
    Bytes bytes = frame.bytes();
    const Bytes tag{static_cast<uint8_t>(outer_type >> 8), static_cast<uint8_t>(outer_type), 0, 9};
    bytes.insert(bytes.begin() + 12, tag.begin(), tag.end());
    return bytes;
  };
  bench.front().arrive(tagged(kEtherTypeVlan, true));
  bench.front().arrive(tagged(kEtherTypeServiceVlan, true));
  bench.front().arrive(tagged(kEtherTypeServiceVlan, false));
  bench.turn();
  EXPECT_TRUE(bench.back().take().empty());
  EXPECT_TRUE(bench.punted().empty());
  EXPECT_EQ(bench.counter(Counter::kDropDoubleTag), 3U);
  bench.front().arrive(tagged(kEtherTypeVlan, false));
  bench.turn();
  EXPECT_EQ(bench.back().take().size(), 1U);
  bench.expect_counter_law();
}

TEST(MappedAddresses, OnTheWireAreDroppedByName) {
  Nat bench;
  ASSERT_TRUE(bench.establish(kClient, kVip));
  for (const auto& [source, destination] : {std::pair{true, true}, std::pair{true, false}, std::pair{false, true}}) {
    bench.front().arrive(mapped(source, destination));
  }
  bench.turn();
  EXPECT_TRUE(bench.back().take().empty());
  EXPECT_TRUE(bench.punted().empty());
  EXPECT_EQ(bench.counter(Counter::kDropV4Mapped), 3u);
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
  bench.expect_counter_law();
}

TEST(MappedAddresses, InAQuotationAreNotTakenForAnIpv4Flow) {
  Nat bench;
  ASSERT_TRUE(bench.establish(kClient, kVip));
  Bytes quoted = mapped(false, false);
  quoted.erase(quoted.begin(), quoted.begin() + 14);
  std::ranges::copy(kVip.address.bytes, quoted.begin() + 8);
  std::ranges::copy(kClient.address.bytes, quoted.begin() + 24);
  IcmpFrame error;
  error.destination_mac = WorkerBench::front_mac();
  error.source = address("2001:db8::66");
  error.destination = kVip6At.address;
  error.type = 1;
  error.quoted = quoted;
  bench.front().arrive(error.bytes());
  bench.turn();
  EXPECT_TRUE(bench.back().take().empty());
  EXPECT_EQ(bench.counter(Counter::kIcmpPassedOn), 0u);
}

TEST(BadEnds, OfWhatIsToAServiceAreDroppedByName) {
  for (const char* source : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.1.2.3", "255.255.255.255",
                             "240.0.0.1", "192.0.2.25", "::", "::1", "ff02::1", "2001:db8:25::25"}) {
    SCOPED_TRACE(source);
    Nat bench;
    const Endpoint from = endpoint(source, 40000);
    const Endpoint& to = from.address.is_v4() ? kVip : kVip6At;
    bench.client_sends(Frame().from(from).to(to).syn().seq(1));
    bench.client_sends(Frame().from(from).to(to).seq(1).ack(1).payload("x"));
    bench.turn();
    EXPECT_EQ(bench.counter(Counter::kDropBadSource), 2u);
    EXPECT_TRUE(bench.front().take().empty()) << "no answer either";
    EXPECT_TRUE(bench.back().take().empty());
    EXPECT_EQ(bench.worker().flows().size(), 0u);
    bench.expect_counter_law();
  }
}

TEST(BadEnds, OneVipToAnotherAndLandAreDropped) {
  Nat bench;
  bench.put_service(2, endpoint("192.0.2.26", 25), {0});
  bench.turn();
  bench.client_sends(Frame().from(kVip).to(kVip).syn().seq(1));
  bench.client_sends(Frame().from(endpoint("192.0.2.26", 777)).to(kVip).syn().seq(1));
  bench.turn();
  EXPECT_EQ(bench.counter(Counter::kDropBadSource), 2u);
  EXPECT_EQ(bench.worker().flows().size(), 0u);
}

TEST(BadEnds, PortZeroIsDroppedAndOrdinaryClientsAreNot) {
  Nat bench;
  bench.client_sends(Frame().from(endpoint("198.51.100.7", 0)).to(kVip).syn().seq(1));
  bench.turn();
  EXPECT_EQ(bench.counter(Counter::kDropPortZero), 1u);
  for (const char* source : {"1.0.0.1", "126.0.0.1", "128.0.0.1", "223.255.255.1", "::2", "2001:db8::1", "fd00::1"}) {
    const Endpoint from = endpoint(source, 1);
    EXPECT_TRUE(bench.client_to_backend(Frame().from(from).to(from.address.is_v4() ? kVip : kVip6At).syn().seq(1)));
  }
}

TEST(OwnResets, AreLimitedAndWhatIsBeyondIsSilentlyDropped) {
  WorkerBench bench;
  bench.put_service(0, kVip, {});
  bench.turn();
  uint64_t answered = 0;
  const auto flood = [&](uint32_t packets) {
    for (uint32_t i = 0; i < packets; i++) {
      bench.client_sends(Frame().from(endpoint("198.51.100.7", static_cast<uint16_t>(1 + i % 60'000))).to(kVip).syn());
      if (i % 16 == 15) {
        bench.turn();
        answered += bench.front().take().size();
      }
    }
  };
  flood(Resets::kAnswersPerSecond + 3200);
  EXPECT_EQ(answered, Resets::kAnswersPerSecond);
  EXPECT_EQ(bench.counter(Counter::kResetsHeldBack), 3200u);
  EXPECT_EQ(bench.counter(Counter::kDropNoBackend), Resets::kAnswersPerSecond + 3200u);
  bench.turn(100);
  flood(1600);
  EXPECT_EQ(answered, Resets::kAnswersPerSecond + Resets::kAnswersPerSecond / 10);
  bench.expect_counter_law();
}

/// A port that leads to clients and backends alike.
struct OneArm : Nat {
  explicit OneArm(uint16_t vlan = 0) : Nat({.front = Faces::kBoth, .back = Faces::kBoth}) {
    put_backend(0, kBackend, channel::kBackendReachable, 1, vlan);
    turn();
  }
  Frame of_backend() const { return Frame().from(kBackend).to(kClient).from_mac(backend_mac(0)); }
};

TEST(BothFaces, BackendIsBelievedByItsNextHopAlone) {
  OneArm bench;
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000)));
  for (RingPort* port : {&bench.front(), &bench.back()}) {
    const MacAddress to = port == &bench.front() ? WorkerBench::front_mac() : WorkerBench::back_mac();
    port->arrive(bench.of_backend().syn().seq(5000).ack(1001).from_mac(mac(0xc1)).to_mac(to).bytes());
    port->arrive(bench.of_backend().syn().seq(5000).ack(1001).vlan(7).to_mac(to).bytes());
  }
  bench.turn();
  EXPECT_EQ(bench.counter(Counter::kDropNotNextHop), 4u);
  EXPECT_TRUE(bench.front().take().empty());
  bench.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5001));
  bench.turn();
  bench.back().take();
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 0u) << "its server has not answered";
  ASSERT_TRUE(bench.backend_to_client(bench.of_backend().syn().seq(6000).ack(1001)));
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(6001)));
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
  // In mid-connection likewise, where the fast path would take it.
  bench.backend_sends(bench.of_backend().seq(6001).ack(1001).psh().payload("220 hi\r\n").from_mac(mac(0xc1)));
  bench.turn();
  EXPECT_TRUE(bench.front().take().empty());
  EXPECT_TRUE(bench.backend_to_client(bench.of_backend().seq(6001).ack(1001).psh().payload("220 hi\r\n")));
  bench.expect_counter_law();
}

TEST(BothFaces, VlanOfTheNextHopCounts) {
  OneArm bench(300);
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000)));
  bench.backend_sends(bench.of_backend().syn().seq(5000).ack(1001));
  bench.turn();
  EXPECT_TRUE(bench.front().take().empty());
  EXPECT_TRUE(bench.backend_to_client(bench.of_backend().syn().seq(5000).ack(1001).vlan(300)));
}

TEST(BothFaces, ForgedReplyOfAnUnknownSessionIsNotAdopted) {
  Nat bench({.front = Faces::kBoth, .back = Faces::kBoth});
  ASSERT_TRUE(bench.client_to_backend(Frame().from(endpoint("198.51.100.99", 1234)).to(kVip).syn().seq(1)));
  const Frame word = Frame().from(kBackend).to(kClient).seq(5001).ack(1001).psh().payload("250 ok\r\n");
  bench.backend_sends(Frame(word).from_mac(mac(0xc1)));
  bench.turn();
  EXPECT_TRUE(bench.front().take().empty());
  EXPECT_EQ(bench.worker().flows().size(), 1u);
  EXPECT_TRUE(bench.backend_to_client(Frame(word).from_mac(WorkerBench::backend_mac(0))));
}

TEST(BothFaces, BackendIsHeardAgainOnceItsNewCardIsKnown) {
  OneArm bench;
  const auto first = bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000));
  ASSERT_TRUE(first);
  ASSERT_TRUE(bench.backend_to_client(bench.of_backend().syn().seq(5000).ack(1001)));
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001)));
  const Frame word = bench.of_backend().seq(5001).ack(1001).psh().payload("220 hi\r\n");
  bench.backend_sends(Frame(word).from_mac(mac(0xb7)));
  bench.turn();
  EXPECT_TRUE(bench.front().take().empty());
  channel::PutBackend moved{};
  moved.header = {channel::CommandType::kPutBackend, 0, 0, 0};
  moved.key = 1000;
  moved.address = kBackend.address;
  moved.port = kBackend.port;
  moved.generation = 1;
  moved.next_hop = mac(0xb7);
  moved.port_index = WorkerBench::kBack;
  moved.flags = channel::kBackendReachable;
  moved.sole_service = channel::kNoService;
  bench.command(channel::Command(moved));
  EXPECT_TRUE(bench.backend_to_client(Frame(word).from_mac(mac(0xb7)))) << "sent again";
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// Taps on crafted frames: whose packets they take, what they tell of them, how they end, and that the packets go their
// way all the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "dataplane/taps.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::PlacedBy;
using channel::TraceRecord;
using channel::TraceStage;

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kOtherVip = endpoint("192.0.2.26", 587);
const Endpoint kClient = endpoint("198.51.100.7", 40000);
const std::string kSecret = "AUTH PLAIN c2VjcmV0\r\n";

Endpoint backend(uint16_t id) {
  return endpoint("10.0.1." + std::to_string(10 + id), 2525);
}

/// Everything of one client address, unless more is said.
channel::PutTap tap_on(const Endpoint& client, uint8_t flags = channel::kTapTrace) {
  channel::PutTap out{};
  out.client = client.address;
  out.prefix_bits = 128;
  out.flags = flags;
  out.service = channel::kNoService;
  out.backend = channel::kNoBackend;
  out.packets = 1000;
  return out;
}

bool holds(const void* bytes, size_t size, const std::string& text) {
  const auto* begin = static_cast<const char*>(bytes);
  return std::search(begin, begin + size, text.begin(), text.end()) != begin + size;
}

/// Services 0 (backends 0 and 1) and 1 (backend 2).
class Tap : public ::testing::Test {
 protected:
  void SetUp() override {
    for (uint16_t id = 0; id < 3; id++) bench_.put_backend(id, backend(id));
    bench_.put_service(0, kVip, {0, 1, 0, 1, 0});
    bench_.put_service(1, kOtherVip, {2});
    bench_.turn();
  }
  void TearDown() override { bench_.expect_counter_law(); }

  void put(uint16_t id, const channel::PutTap& tap) {
    bench_.put_tap(id, tap);
    bench_.turn();
  }
  std::vector<TraceStage> stages() {
    std::vector<TraceStage> out;
    for (const TraceRecord& record : records_ = bench_.traced()) out.push_back(record.stage);
    return out;
  }
  const TraceRecord& record(TraceStage stage) {
    const auto found = std::ranges::find_if(records_, [&](const TraceRecord& record) { return record.stage == stage; });
    if (found == records_.end()) {
      ADD_FAILURE() << "no record of stage " << static_cast<int>(stage);
      static const TraceRecord kNone{};
      return kNone;
    }
    return *found;
  }
  std::vector<Counter> counted() const {
    std::vector<Counter> out;
    for (const TraceRecord& record : records_) {
      if (record.stage == TraceStage::kCounted) out.push_back(static_cast<Counter>(record.counter));
    }
    return out;
  }
  const channel::TapStats& stats(uint16_t id) const { return bench_.stats().taps[id]; }

  WorkerBench bench_;
  std::vector<TraceRecord> records_;
};

TEST_F(Tap, TellsWhereANewConnectionWent) {
  put(0, tap_on(kClient));
  const auto out = bench_.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000));
  ASSERT_TRUE(out);
  ASSERT_EQ(stages(),
            (std::vector{TraceStage::kReceived, TraceStage::kPlaced, TraceStage::kSent, TraceStage::kCounted}));
  const TraceRecord& received = record(TraceStage::kReceived);
  EXPECT_EQ(received.port, WorkerBench::kFront);
  EXPECT_EQ(received.frame.source, kClient);
  EXPECT_EQ(received.frame.destination, kVip);
  EXPECT_EQ(received.frame.sequence, 1000u);
  EXPECT_EQ(received.detail, 0x02) << "SYN";
  const TraceRecord& placed = record(TraceStage::kPlaced);
  EXPECT_EQ(placed.flow.service, 0);
  EXPECT_EQ(backend(placed.flow.backend), out->destination);
  EXPECT_EQ(static_cast<PlacedBy>(placed.detail), PlacedBy::kTable);
  const TraceRecord& sent = record(TraceStage::kSent);
  EXPECT_EQ(sent.port, WorkerBench::kBack);
  EXPECT_EQ(sent.frame.source, kClient);
  EXPECT_EQ(sent.frame.destination, out->destination);
  EXPECT_EQ(counted(), std::vector{Counter::kFlowsCreated});
  EXPECT_EQ(stats(0).packets, 1u);
}

TEST_F(Tap, FollowsTheFlowBothWaysAndHoldsNoContent) {
  ASSERT_TRUE(bench_.establish(kClient, kVip, 1000, 5000));
  put(0, tap_on(kClient));
  ASSERT_TRUE(bench_.client_to_backend(Frame().from(kClient).to(kVip).psh().seq(1001).ack(5001).payload(kSecret)));
  ASSERT_EQ(stages(), (std::vector{TraceStage::kReceived, TraceStage::kFound, TraceStage::kSent}));
  EXPECT_EQ(record(TraceStage::kReceived).frame.payload_bytes, kSecret.size());
  EXPECT_EQ(record(TraceStage::kFound).flow.state, TcpState::kEstablished);
  EXPECT_FALSE(holds(records_.data(), records_.size() * sizeof(TraceRecord), kSecret.substr(0, 8)));
  const Endpoint server = backend(record(TraceStage::kFound).flow.backend);

  ASSERT_TRUE(
      bench_.backend_to_client(Frame().from(server).to(kClient).psh().seq(5001).ack(1022).payload("235 ok\r\n")));
  ASSERT_EQ(stages(), (std::vector{TraceStage::kReceived, TraceStage::kFound, TraceStage::kSent}));
  EXPECT_EQ(record(TraceStage::kReceived).port, WorkerBench::kBack);
  EXPECT_EQ(record(TraceStage::kSent).frame.source, kVip);
  EXPECT_EQ(record(TraceStage::kSent).port, WorkerBench::kFront);
}

TEST_F(Tap, TellsWhyAPacketWentNoFurther) {
  put(0, tap_on(kClient));
  struct Case {
    const char* description;
    Frame frame;
    std::vector<Counter> counted;
    bool flow;
  };
  const std::vector<Case> cases{
      {"a reset of nobody", Frame().from(kClient).to(kVip).rst().seq(1), {Counter::kDropNoFlow}, false},
      {"no service there", Frame().from(kClient).to(endpoint("192.0.2.25", 80)).syn(), {Counter::kPunted}, false},
      {"hops used up",
       Frame().from(kClient).to(kVip).syn().ttl(1),
       {Counter::kDropTtlExpired, Counter::kFlowsCreated},
       true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    bench_.client_sends(c.frame);
    bench_.turn();
    bench_.punted();
    const std::vector<TraceStage> seen = stages();
    EXPECT_EQ(seen.front(), TraceStage::kReceived);
    EXPECT_EQ(std::ranges::count(seen, TraceStage::kNoFlow), c.flow ? 0 : 1);
    EXPECT_EQ(std::ranges::count(seen, TraceStage::kSent), 0);
    EXPECT_EQ(counted(), c.counted);
  }
}

TEST_F(Tap, TellsOfTheAnswerThatIsMade) {
  bench_.put_service(1, kOtherVip, {});  // refuses
  put(0, tap_on(kClient));
  bench_.client_sends(Frame().from(kClient).to(kOtherVip).syn().seq(77));
  bench_.turn();
  ASSERT_EQ(bench_.to_clients().size(), 1u);
  (void)stages();
  EXPECT_EQ(record(TraceStage::kMade).frame.destination, kClient);
  EXPECT_EQ(record(TraceStage::kMade).detail & 0x04, 0x04) << "RST";
  EXPECT_EQ(counted(), (std::vector{Counter::kDropNoBackend, Counter::kResetsToClient}));
}

TEST_F(Tap, TellsOfWhatIsNoTcpAndOfWhatIsBroken) {
  put(0, tap_on(kClient));
  Bytes broken = Frame().from(kClient).to(kVip).to_mac(WorkerBench::front_mac()).syn().bytes();
  broken[14 + 20 + 12] = 0x10;  // a TCP header of four bytes
  bench_.front().arrive(broken);
  Bytes udp = Frame().from(kClient).to(kVip).to_mac(WorkerBench::front_mac()).syn().bytes();
  udp[14 + 9] = 17;
  bench_.front().arrive(udp);
  bench_.turn();
  EXPECT_EQ(bench_.punted().size(), 1u);
  EXPECT_EQ(stages(),
            (std::vector{TraceStage::kReceived, TraceStage::kCounted, TraceStage::kReceived, TraceStage::kCounted}));
  EXPECT_EQ(counted(), (std::vector{Counter::kDropMalformed, Counter::kPunted}));
}

TEST_F(Tap, TakesOnlyWhatItsFilterNames) {
  struct Case {
    const char* description;
    std::function<void(channel::PutTap&)> narrow;
    size_t packets;  // of the two SYNs below
  };
  const std::vector<Case> cases{
      {"one address", [](auto&) {}, 2},
      {"its prefix", [](auto& tap) { tap.prefix_bits = 96 + 24, tap.client = endpoint("198.51.100.0", 1).address; }, 2},
      {"a prefix of odd length", [](auto& tap) { tap.prefix_bits = 127, tap.client.bytes[15] = 6; }, 2},
      {"every client", [](auto& tap) { tap.prefix_bits = 0, tap.client = {}; }, 2},
      {"another address", [](auto& tap) { tap.client.bytes[15]++; }, 0},
      {"a port", [](auto& tap) { tap.client_port = Be16::of(41000); }, 1},
      {"a service", [](auto& tap) { tap.service = 1; }, 1},
      {"a backend, before it is chosen", [](auto& tap) { tap.backend = 2; }, 1},
      {"a backend of another service", [](auto& tap) { tap.service = 0, tap.backend = 2; }, 0},
  };
  uint16_t port = 41000;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    WorkerBench bench;
    for (uint16_t id = 0; id < 3; id++) bench.put_backend(id, backend(id));
    bench.put_service(0, kVip, {0, 1, 0, 1, 0});
    bench.put_service(1, kOtherVip, {2});
    channel::PutTap tap = tap_on(kClient);
    c.narrow(tap);
    bench.put_tap(0, tap);
    bench.turn();
    bench.client_sends(Frame().from({kClient.address, Be16::of(port)}).to(kVip).syn());
    bench.client_sends(Frame().from({kClient.address, Be16::of(static_cast<uint16_t>(port + 1))}).to(kOtherVip).syn());
    bench.turn();
    EXPECT_EQ(bench.to_backends().size(), 2u);
    EXPECT_EQ(bench.stats().taps[0].packets, c.packets);
    const auto records = bench.traced();
    EXPECT_EQ(std::ranges::count_if(records, [](const auto& r) { return r.stage == TraceStage::kReceived; }),
              static_cast<ptrdiff_t>(c.packets));
  }
}

TEST_F(Tap, KeepsTheOrderOfPacketsThatItDoesNotTake) {
  const Endpoint other = endpoint("203.0.113.9", 40001);
  ASSERT_TRUE(bench_.establish(kClient, kVip));
  ASSERT_TRUE(bench_.establish(other, kVip));
  put(0, tap_on(kClient));
  for (uint32_t i = 0; i < 6; i++) {
    bench_.client_sends(Frame()
                            .from(i % 2 == 0 ? kClient : other)
                            .to(kVip)
                            .psh()
                            .seq(1001 + i / 2)
                            .ack(5001)
                            .payload(std::string(1, static_cast<char>('a' + i))));
  }
  bench_.turn();
  std::string arrived;
  for (const ReadFrame& frame : bench_.to_backends()) arrived.append(frame.payload.begin(), frame.payload.end());
  EXPECT_EQ(arrived, "abcdef");
  EXPECT_EQ(stats(0).packets, 3u);
}

TEST_F(Tap, EndsByItsCountItsTimeItsDropAndWithItsControl) {
  struct Case {
    const char* description;
    std::function<void(WorkerBench&)> end;
  };
  const std::vector<Case> cases{
      {"count", [](WorkerBench&) {}},
      {"count, and no packet more",
       [](WorkerBench& bench) {
         for (uint16_t i = 0; i < 2; i++) {
           bench.client_sends(
               Frame().from({kClient.address, Be16::of(static_cast<uint16_t>(41000 + i))}).to(kVip).syn());
         }
         bench.turns(2);
         EXPECT_EQ(bench.to_backends().size(), 2u);
         EXPECT_EQ(bench.stats().taps[3].active, 0u);
       }},
      {"time", [](WorkerBench& bench) { bench.turn(10'000); }},
      {"drop", [](WorkerBench& bench) { bench.command(channel::CommandType::kDropTap, 3), bench.turn(); }},
      {"control", [](WorkerBench& bench) { bench.end_connection(), bench.turn(); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    WorkerBench bench;
    bench.put_backend(0, backend(0));
    bench.put_service(0, kVip, {0});
    channel::PutTap tap = tap_on(kClient);
    tap.packets = 2;
    bench.put_tap(3, tap);
    bench.turn();
    ASSERT_EQ(bench.stats().taps[3].active, 1u);
    EXPECT_EQ(bench.stats().taps[3].key, 7003u);
    c.end(bench);
    for (uint16_t i = 0; i < 5; i++) {
      bench.client_sends(Frame().from({kClient.address, Be16::of(static_cast<uint16_t>(42000 + i))}).to(kVip).syn());
    }
    bench.turn();
    EXPECT_EQ(bench.to_backends().size(), 5u);
    EXPECT_EQ(bench.stats().taps[3].active, 0u);
    EXPECT_EQ(bench.stats().taps[3].packets, std::string(c.description).starts_with("count") ? 2u : 0u);
  }
}

TEST_F(Tap, WhatComesTooFastOrFindsNoRoomIsCounted) {
  put(0, tap_on(kClient));
  ASSERT_TRUE(bench_.establish(kClient, kVip));
  bench_.traced();
  const uint64_t before = stats(0).packets;
  constexpr uint32_t kSent = 1000;
  for (uint32_t i = 0; i < kSent; i++) {
    bench_.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5001));
    if (i % 32 == 31) bench_.turn();
    bench_.to_backends();
  }
  bench_.turn();
  EXPECT_EQ(stats(0).packets - before + stats(0).skipped, kSent);
  EXPECT_GT(stats(0).skipped, 0u) << "the clock stood still";
  bench_.turn(60'000);
  EXPECT_EQ(stats(0).active, 0u);

  // A ring that nobody reads.
  channel::PutTap patient = tap_on(kClient);
  patient.packets = 100'000;
  patient.deadline_ms = bench_.now_ms() + 3'000'000;
  put(1, patient);
  while (stats(1).lost == 0 && stats(1).packets < 5000) {
    bench_.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5001));
    bench_.turn(100);
    bench_.to_backends();
  }
  EXPECT_GT(stats(1).lost, 0u);
}

TEST_F(Tap, SeveralAtATimeEachGetTheirOwn) {
  put(0, tap_on(kClient));
  put(5, tap_on(kClient));
  channel::PutTap elsewhere = tap_on(kClient);
  elsewhere.client_port = Be16::of(1);
  put(6, elsewhere);
  bench_.client_sends(Frame().from(kClient).to(kVip).syn());
  bench_.turn();
  (void)stages();
  ASSERT_FALSE(records_.empty());
  for (const TraceRecord& record : records_) EXPECT_EQ(record.taps, 0x21);
  EXPECT_EQ(stats(6).packets, 0u);
}

TEST_F(Tap, RefusesWhatMakesNoSense) {
  struct Case {
    const char* description;
    std::function<void(channel::PutTap&)> spoil;
    uint16_t id = 0;
  };
  const std::vector<Case> cases{
      {"place out of range", [](auto&) {}, channel::kMaxTaps},
      {"prefix too long", [](auto& tap) { tap.prefix_bits = 129; }},
      {"nothing to do", [](auto& tap) { tap.flags = 0; }},
      {"unknown flag", [](auto& tap) { tap.flags = 4; }},
      {"no packets", [](auto& tap) { tap.packets = 0; }},
      {"over already", [](auto& tap) { tap.deadline_ms = 1; }},
      {"for ever", [](auto& tap) { tap.deadline_ms = UINT64_MAX; }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    channel::PutTap tap = tap_on(kClient);
    c.spoil(tap);
    const uint64_t rejected = bench_.counter(Counter::kCommandsRejected);
    put(c.id, tap);
    EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), rejected + 1);
    if (c.id < channel::kMaxTaps) {
      EXPECT_EQ(stats(c.id).active, 0u);
    }
  }
}

TEST_F(Tap, CopiesFramesAsReceivedAndAsSent) {
  ASSERT_TRUE(bench_.establish(kClient, kVip, 1000, 5000));
  for (const uint32_t snap : {0U, 2000U}) {
    SCOPED_TRACE(snap);
    channel::PutTap tap = tap_on(kClient, channel::kTapCapture);
    tap.snap_bytes = snap;
    put(0, tap);
    const auto out = bench_.client_to_backend(Frame()
                                                  .from(kClient)
                                                  .to(kVip)
                                                  .psh()
                                                  .seq(1001)
                                                  .ack(5001)
                                                  .tcp_options({1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8})
                                                  .payload(kSecret));
    ASSERT_TRUE(out);
    EXPECT_TRUE(bench_.traced().empty());
    const std::vector<Bytes> copies = bench_.captured();
    ASSERT_EQ(copies.size(), 2u);
    for (const Bytes& copy : copies) EXPECT_EQ(holds(copy.data(), copy.size(), kSecret), snap != 0);
    const auto address = [](const Endpoint& e) {
      return std::string(reinterpret_cast<const char*>(&e.address.bytes[12]), 4);
    };
    EXPECT_TRUE(holds(copies[0].data(), copies[0].size(), address(kVip)));
    EXPECT_TRUE(holds(copies[1].data(), copies[1].size(), address(out->destination)));
  }
}

TEST_F(Tap, FullCaptureLosesCopiesAndNoPacket) {
  channel::PutTap tap = tap_on(kClient, channel::kTapCapture);
  put(0, tap);
  for (uint16_t i = 0; i < 100; i++) {  // the ring takes 63 copies
    bench_.client_sends(Frame().from({kClient.address, Be16::of(static_cast<uint16_t>(43000 + i))}).to(kVip).syn());
    bench_.turn();
    ASSERT_EQ(bench_.to_backends().size(), 1u);
  }
  EXPECT_EQ(bench_.captured().size(), 63u);
  EXPECT_GT(stats(0).lost, 0u);
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// Inspections on crafted frames: whose packets they take, what they tell of them, how they end, and that the packets go
// their way all the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "dataplane/worker/inspections.h"
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
channel::StartInspection inspection_on(const Endpoint& client, uint8_t flags = channel::kInspectForTrace) {
  channel::StartInspection out{};
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
class Inspection : public ::testing::Test {
 protected:
  void SetUp() override {
    for (uint16_t id = 0; id < 3; id++) bench_.put_backend(id, backend(id));
    bench_.put_service(0, kVip, {0, 1, 0, 1, 0});
    bench_.put_service(1, kOtherVip, {2});
    bench_.turn();
  }
  void TearDown() override { bench_.expect_counter_law(); }

  void put(uint16_t id, const channel::StartInspection& inspection) {
    bench_.start_inspection(id, inspection);
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
  const channel::InspectionStats& stats(uint16_t id) const { return bench_.stats().inspections[id]; }

  WorkerBench bench_;
  std::vector<TraceRecord> records_;
};

TEST_F(Inspection, TellsWhereANewConnectionWent) {
  put(0, inspection_on(kClient));
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

TEST_F(Inspection, FollowsTheFlowBothWaysAndHoldsNoContent) {
  ASSERT_TRUE(bench_.establish(kClient, kVip, 1000, 5000));
  put(0, inspection_on(kClient));
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

TEST_F(Inspection, TellsWhyAPacketWentNoFurther) {
  put(0, inspection_on(kClient));
  struct Case {
    const char* description;
    Frame frame;
    std::vector<Counter> counted;
    bool flow;
  };
  const std::vector<Case> cases{
      {"a reset of nobody", Frame().from(kClient).to(kVip).rst().seq(1), {Counter::kDropNoFlow}, false},
      {"no service there",
       Frame().from(kClient).to(endpoint("192.0.2.25", 80)).syn(),
       {Counter::kDropStrangers},
       false},
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

TEST_F(Inspection, TellsOfTheAnswerThatIsMade) {
  bench_.put_service(1, kOtherVip, {});  // refuses
  put(0, inspection_on(kClient));
  bench_.client_sends(Frame().from(kClient).to(kOtherVip).syn().seq(77));
  bench_.turn();
  ASSERT_EQ(bench_.to_clients().size(), 1u);
  (void)stages();
  EXPECT_EQ(record(TraceStage::kMade).frame.destination, kClient);
  EXPECT_EQ(record(TraceStage::kMade).detail & 0x04, 0x04) << "RST";
  EXPECT_EQ(counted(), (std::vector{Counter::kDropNoBackend, Counter::kResetsToClient}));
}

TEST_F(Inspection, TellsOfWhatIsNoTcpAndOfWhatIsBroken) {
  put(0, inspection_on(kClient));
  Bytes broken = Frame().from(kClient).to(kVip).to_mac(WorkerBench::front_mac()).syn().bytes();
  broken[14 + 20 + 12] = 0x10;  // a TCP header of four bytes
  bench_.front().arrive(broken);
  Bytes udp =
      Frame().from(kClient).to({WorkerBench::own_front(), Be16::of(53)}).to_mac(WorkerBench::front_mac()).syn().bytes();
  udp[14 + 9] = 17;
  bench_.front().arrive(udp);
  bench_.turn();
  EXPECT_EQ(bench_.punted().size(), 1u);
  EXPECT_EQ(stages(),
            (std::vector{TraceStage::kReceived, TraceStage::kCounted, TraceStage::kReceived, TraceStage::kCounted}));
  EXPECT_EQ(counted(), (std::vector{Counter::kDropMalformed, Counter::kPunted}));
}

TEST_F(Inspection, TakesOnlyWhatItsFilterNames) {
  struct Case {
    const char* description;
    std::function<void(channel::StartInspection&)> narrow;
    size_t packets;  // of the two SYNs below
  };
  const std::vector<Case> cases{
      {"one address", [](auto&) {}, 2},
      {"its prefix",
       [](auto& inspection) {
         inspection.prefix_bits = 96 + 24, inspection.client = endpoint("198.51.100.0", 1).address;
       },
       2},
      {"a prefix of odd length",
       [](auto& inspection) { inspection.prefix_bits = 127, inspection.client.bytes[15] = 6; }, 2},
      {"every client", [](auto& inspection) { inspection.prefix_bits = 0, inspection.client = {}; }, 2},
      {"another address", [](auto& inspection) { inspection.client.bytes[15]++; }, 0},
      {"a port", [](auto& inspection) { inspection.client_port = Be16::of(41000); }, 1},
      {"a service", [](auto& inspection) { inspection.service = 1; }, 1},
      {"a backend, before it is chosen", [](auto& inspection) { inspection.backend = 2; }, 1},
      {"a backend of another service", [](auto& inspection) { inspection.service = 0, inspection.backend = 2; }, 0},
  };
  uint16_t port = 41000;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    WorkerBench bench;
    for (uint16_t id = 0; id < 3; id++) bench.put_backend(id, backend(id));
    bench.put_service(0, kVip, {0, 1, 0, 1, 0});
    bench.put_service(1, kOtherVip, {2});
    channel::StartInspection inspection = inspection_on(kClient);
    c.narrow(inspection);
    bench.start_inspection(0, inspection);
    bench.turn();
    bench.client_sends(Frame().from({kClient.address, Be16::of(port)}).to(kVip).syn());
    bench.client_sends(Frame().from({kClient.address, Be16::of(static_cast<uint16_t>(port + 1))}).to(kOtherVip).syn());
    bench.turn();
    EXPECT_EQ(bench.to_backends().size(), 2u);
    EXPECT_EQ(bench.stats().inspections[0].packets, c.packets);
    const auto records = bench.traced();
    EXPECT_EQ(std::ranges::count_if(records, [](const auto& r) { return r.stage == TraceStage::kReceived; }),
              static_cast<ptrdiff_t>(c.packets));
  }
}

TEST_F(Inspection, KeepsTheOrderOfPacketsThatItDoesNotTake) {
  const Endpoint other = endpoint("203.0.113.9", 40001);
  ASSERT_TRUE(bench_.establish(kClient, kVip));
  ASSERT_TRUE(bench_.establish(other, kVip));
  put(0, inspection_on(kClient));
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

TEST_F(Inspection, EndsByItsCountItsTimeItsDropAndWithItsControl) {
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
         EXPECT_EQ(bench.stats().inspections[3].active, 0u);
       }},
      {"time", [](WorkerBench& bench) { bench.turn(10'000); }},
      {"drop", [](WorkerBench& bench) { bench.command(channel::CommandType::kStopInspection, 3), bench.turn(); }},
      {"control", [](WorkerBench& bench) { bench.end_connection(), bench.turn(); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    WorkerBench bench;
    bench.put_backend(0, backend(0));
    bench.put_service(0, kVip, {0});
    channel::StartInspection inspection = inspection_on(kClient);
    inspection.packets = 2;
    bench.start_inspection(3, inspection);
    bench.turn();
    ASSERT_EQ(bench.stats().inspections[3].active, 1u);
    EXPECT_EQ(bench.stats().inspections[3].key, 7003u);
    c.end(bench);
    for (uint16_t i = 0; i < 5; i++) {
      bench.client_sends(Frame().from({kClient.address, Be16::of(static_cast<uint16_t>(42000 + i))}).to(kVip).syn());
    }
    bench.turn();
    EXPECT_EQ(bench.to_backends().size(), 5u);
    EXPECT_EQ(bench.stats().inspections[3].active, 0u);
    EXPECT_EQ(bench.stats().inspections[3].packets, std::string(c.description).starts_with("count") ? 2u : 0u);
  }
}

TEST_F(Inspection, WhatComesTooFastOrFindsNoRoomIsCounted) {
  put(0, inspection_on(kClient));
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
  channel::StartInspection patient = inspection_on(kClient);
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

TEST_F(Inspection, SeveralAtATimeEachGetTheirOwn) {
  put(0, inspection_on(kClient));
  put(5, inspection_on(kClient));
  channel::StartInspection elsewhere = inspection_on(kClient);
  elsewhere.client_port = Be16::of(1);
  put(6, elsewhere);
  bench_.client_sends(Frame().from(kClient).to(kVip).syn());
  bench_.turn();
  (void)stages();
  ASSERT_FALSE(records_.empty());
  for (const TraceRecord& record : records_) EXPECT_EQ(record.inspections, 0x21);
  EXPECT_EQ(stats(6).packets, 0u);
}

TEST_F(Inspection, RefusesWhatMakesNoSense) {
  struct Case {
    const char* description;
    std::function<void(channel::StartInspection&)> spoil;
    uint16_t id = 0;
  };
  const std::vector<Case> cases{
      {"place out of range", [](auto&) {}, channel::kMaxInspections},
      {"prefix too long", [](auto& inspection) { inspection.prefix_bits = 129; }},
      {"nothing to do", [](auto& inspection) { inspection.flags = 0; }},
      {"unknown flag", [](auto& inspection) { inspection.flags = 4; }},
      {"no packets", [](auto& inspection) { inspection.packets = 0; }},
      {"over already", [](auto& inspection) { inspection.deadline_ms = 1; }},
      {"for ever", [](auto& inspection) { inspection.deadline_ms = UINT64_MAX; }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    channel::StartInspection inspection = inspection_on(kClient);
    c.spoil(inspection);
    const uint64_t rejected = bench_.counter(Counter::kCommandsRejected);
    put(c.id, inspection);
    EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), rejected + 1);
    if (c.id < channel::kMaxInspections) {
      EXPECT_EQ(stats(c.id).active, 0u);
    }
  }
}

TEST_F(Inspection, CopiesFramesAsReceivedAndAsSent) {
  ASSERT_TRUE(bench_.establish(kClient, kVip, 1000, 5000));
  for (const uint32_t snap : {0U, 2000U}) {
    SCOPED_TRACE(snap);
    channel::StartInspection inspection = inspection_on(kClient, channel::kInspectForCapture);
    inspection.snap_bytes = snap;
    put(0, inspection);
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

TEST_F(Inspection, FullCaptureLosesCopiesAndNoPacket) {
  channel::StartInspection inspection = inspection_on(kClient, channel::kInspectForCapture);
  put(0, inspection);
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

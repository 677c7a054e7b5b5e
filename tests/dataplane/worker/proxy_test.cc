// SPDX-License-Identifier: Apache-2.0
//
// PROXY header injection, packet by packet (proxy-protocol.txt sections 2.1 and 2.2; RFC 9293; RFC 2018; RFC 7323).
#include <gtest/gtest.h>

#include "dataplane/packet/proxy_header.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::ProxyHeader;

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kVip6 = endpoint("2001:db8:25::25", 25);
const Endpoint kClient = endpoint("198.51.100.7", 40000);
const Endpoint kClient6 = endpoint("2001:db8:1::7", 40000);
const Endpoint kBackend = endpoint("10.0.1.10", 2525);
const Endpoint kBackend6 = endpoint("fd00:1::10", 2525);

constexpr uint32_t kV2Bytes = 28;

Bytes header_bytes(ProxyHeader kind, const Endpoint& client, const Endpoint& vip) {
  Bytes out(kMaxProxyHeader);
  out.resize(write_proxy_header(kind, client, vip, out.data()));
  return out;
}

TEST(ProxyHeaderBytes, FollowTheSpecification) {
  const Bytes v1 = header_bytes(ProxyHeader::kV1, kClient, kVip);
  EXPECT_EQ(std::string(v1.begin(), v1.end()), "PROXY TCP4 198.51.100.7 192.0.2.25 40000 25\r\n");
  const Bytes v1_6 = header_bytes(ProxyHeader::kV1, kClient6, kVip6);
  EXPECT_EQ(std::string(v1_6.begin(), v1_6.end()), "PROXY TCP6 2001:db8:1::7 2001:db8:25::25 40000 25\r\n");
  const Bytes v2{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21, 0x11,
                 0,    12,   198,  51,   100,  7,    192,  0,    2,    25,   0x9c, 0x40, 0,    25};
  EXPECT_EQ(header_bytes(ProxyHeader::kV2, kClient, kVip), v2);
  const Bytes v2_6 = header_bytes(ProxyHeader::kV2, kClient6, kVip6);
  EXPECT_EQ(v2_6.size(), 52u);
  EXPECT_EQ(v2_6[13], 0x21);
  EXPECT_EQ(v2_6[15], 36);
  EXPECT_TRUE(header_bytes(ProxyHeader::kNone, kClient, kVip).empty());
}

TEST(ShiftTowardsClient, MovesSackEdgesAtEvenAndOddOffsets) {
  for (const bool odd : {false, true}) {
    // One SACK block, after two or three NOPs.
    Bytes options = odd ? Bytes{1, 1, 1, 5, 10} : Bytes{1, 1, 5, 10};
    for (const uint32_t edge : {5000u, 6000u}) {
      for (int shift = 24; shift >= 0; shift -= 8) options.push_back(static_cast<uint8_t>(edge >> shift));
    }
    Bytes frame = Frame().from(kBackend).to(kClient).seq(1).ack(2000).tcp_options(options).bytes();
    uint8_t* tcp_header = &frame[34];
    shift_towards_client(tcp_header, (tcp_header[12] >> 4) * 4U, 28, false, 0);
    const auto seen = read(frame);
    ASSERT_TRUE(seen.has_value()) << "checksum, odd " << odd;
    EXPECT_EQ(seen->ack, 1972u);
    const size_t at = odd ? 5 : 4;
    const auto edge = [&](size_t i) {
      return uint32_t{seen->tcp_options[i]} << 24 | uint32_t{seen->tcp_options[i + 1]} << 16 |
             uint32_t{seen->tcp_options[i + 2]} << 8 | seen->tcp_options[i + 3];
    };
    EXPECT_EQ(edge(at), 4972u);
    EXPECT_EQ(edge(at + 4), 5972u);
  }
}

class ProxyTest : public ::testing::Test {
 protected:
  void configure(ProxyHeader kind) {
    channel::PutService service{};
    service.proxy = kind;
    bench_.put_backend(0, kBackend);
    bench_.put_backend(1, kBackend6);
    bench_.put_service(0, kVip, {0}, service);
    bench_.put_service(1, kVip6, {1}, service);
    bench_.turn();
  }

  void SetUp() override { configure(ProxyHeader::kV2); }
  void TearDown() override { bench_.expect_counter_law(); }

  /// SYN and SYN-ACK; then `ack` from the client. Returns what went to the backend for it.
  std::vector<ReadFrame> handshake(const Frame& ack) {
    bench_.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000));
    bench_.backend_to_client(Frame().from(kBackend).to(kClient).syn().seq(5000).ack(1001));
    bench_.client_sends(ack);
    bench_.turn();
    return bench_.to_backends();
  }

  static Frame client() { return Frame().from(kClient).to(kVip); }
  static Frame backend() { return Frame().from(kBackend).to(kClient); }

  WorkerBench bench_;
};

TEST_F(ProxyTest, SendsTheHeaderRightAfterTheHandshake) {
  const auto frames = handshake(client().seq(1001).ack(5001));
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].seq, 1001u) << "the handshake's ACK goes first, as it came";
  EXPECT_TRUE(frames[0].payload.empty());
  EXPECT_EQ(frames[1].seq, 1001u);
  EXPECT_EQ(frames[1].ack, 5001u);
  EXPECT_EQ(frames[1].flags, kTcpPsh | kTcpAck);
  EXPECT_EQ(frames[1].payload, header_bytes(ProxyHeader::kV2, kClient, kVip));
  EXPECT_EQ(frames[1].source, kClient);
  EXPECT_EQ(frames[1].destination, kBackend);
}

TEST_F(ProxyTest, ShiftsBothWaysForTheRestOfTheFlow) {
  handshake(client().seq(1001).ack(5001));
  bench_.backend_sends(backend().seq(5001).ack(1001 + kV2Bytes).payload("220 hi\r\n"));
  bench_.turn();
  const auto greeting = bench_.to_clients();
  ASSERT_EQ(greeting.size(), 1u);
  EXPECT_EQ(greeting[0].ack, 1001u) << "the client must not see its unsent bytes acknowledged";
  EXPECT_EQ(greeting[0].seq, 5001u);
  const auto ehlo = bench_.client_to_backend(client().seq(1001).ack(5009).payload("EHLO x\r\n"));
  ASSERT_TRUE(ehlo.has_value());
  EXPECT_EQ(ehlo->seq, 1001 + kV2Bytes);
  EXPECT_EQ(ehlo->ack, 5009u);
  const auto reply = bench_.backend_to_client(backend().seq(5009).ack(1009 + kV2Bytes).payload("250 x\r\n"));
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->ack, 1009u);
  const auto fin = bench_.client_to_backend(client().seq(1009).ack(5016).fin());
  ASSERT_TRUE(fin.has_value());
  EXPECT_EQ(fin->seq, 1009 + kV2Bytes);
  const auto rst = bench_.client_to_backend(client().seq(1010).rst());
  ASSERT_TRUE(rst.has_value());
  EXPECT_EQ(rst->seq, 1010 + kV2Bytes);
}

TEST_F(ProxyTest, SendsTheHeaderExactlyOnceHoweverOftenTheAckComes) {
  handshake(client().seq(1001).ack(5001));
  for (int i = 0; i < 5; i++) {
    const auto frame = bench_.client_to_backend(client().seq(1001).ack(5001));
    ASSERT_TRUE(frame.has_value()) << "one frame in, one out";
    EXPECT_TRUE(frame->payload.empty());
  }
  EXPECT_EQ(bench_.counter(Counter::kProxyHeadersSent), 1u);
}

TEST_F(ProxyTest, PutsTheHeaderBeforeDataThatCompletesTheHandshake) {
  const auto frames = handshake(client().seq(1001).ack(5001).payload("\x16\x03\x01 client hello"));
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].payload, header_bytes(ProxyHeader::kV2, kClient, kVip));
  EXPECT_EQ(frames[0].seq, 1001u);
  EXPECT_EQ(frames[1].seq, 1001 + kV2Bytes);
}

TEST_F(ProxyTest, PutsTheHeaderAtTheClientsFirstNumberWhicheverSegmentComesFirst) {
  const Frame out_of_order = client().seq(1009).ack(5001);
  uint16_t port = 40100;
  for (const Frame& first : {Frame(out_of_order).payload("hello"), Frame(out_of_order).fin(), out_of_order}) {
    const Endpoint from = endpoint("198.51.100.7", port++);
    bench_.client_to_backend(client().from(from).syn().seq(1000));
    bench_.backend_to_client(backend().to(from).syn().seq(5000).ack(1001));
    bench_.client_sends(Frame(first).from(from));
    bench_.turn();
    const auto frames = bench_.to_backends();
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(frames[0].payload, header_bytes(ProxyHeader::kV2, from, kVip));
    EXPECT_EQ(frames[0].seq, 1001u);
    EXPECT_EQ(frames[1].seq, 1009 + kV2Bytes);
    const auto late = bench_.client_to_backend(client().from(from).seq(1001).ack(5001).payload("\x16\x03\x01 cli"));
    ASSERT_TRUE(late.has_value());
    EXPECT_EQ(late->seq, 1001 + kV2Bytes);
  }
}

TEST_F(ProxyTest, AcknowledgementsOfWhatTheServerHasNotSaidAreNotBelieved) {
  handshake(client().seq(1001).ack(5001));
  for (const bool in_slow_path : {true, false}) {
    const uint64_t before = bench_.counter(Counter::kSegmentsNotBelieved);
    EXPECT_TRUE(bench_.client_to_backend(client().seq(1001).ack(5101)));
    EXPECT_EQ(bench_.counter(Counter::kSegmentsNotBelieved), before + 1) << in_slow_path;
    bench_.backend_to_client(backend().seq(5001).ack(1001 + kV2Bytes));  // the header is there
  }
}

TEST_F(ProxyTest, RetransmitsUntilTheHeaderIsAcknowledged) {
  handshake(client().seq(1001).ack(5001));
  bench_.turn(600);
  EXPECT_TRUE(bench_.to_backends().empty());
  bench_.turn(200);
  const auto again = bench_.to_backends();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].seq, 1001u);
  EXPECT_EQ(again[0].payload, header_bytes(ProxyHeader::kV2, kClient, kVip));
  bench_.turn(1500);
  EXPECT_EQ(bench_.to_backends().size(), 1u) << "a second retry within Exim's three seconds";
  // A part of it is not enough, and the client is told nothing of it.
  const auto partial = bench_.backend_to_client(backend().seq(5001).ack(1011));
  ASSERT_TRUE(partial.has_value());
  EXPECT_EQ(partial->ack, 1001u);
  bench_.turn(3000);
  EXPECT_EQ(bench_.to_backends().size(), 1u);
  bench_.backend_to_client(backend().seq(5001).ack(1001 + kV2Bytes));
  for (int i = 0; i < 60; i++) bench_.turn(1000);
  EXPECT_TRUE(bench_.to_backends().empty());
  EXPECT_EQ(bench_.counter(Counter::kProxyHeadersResent), 3u);
}

TEST_F(ProxyTest, EndsAFlowWhoseHeaderIsNeverAcknowledged) {
  handshake(client().seq(1001).ack(5001));
  for (int i = 0; i < 50; i++) bench_.turn(1000);
  const auto resets = bench_.to_clients();
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].flags & kTcpRst, kTcpRst);
  EXPECT_EQ(resets[0].seq, 5001u);
  const auto to_backend = bench_.to_backends();
  ASSERT_FALSE(to_backend.empty());
  EXPECT_EQ(to_backend.back().flags & kTcpRst, kTcpRst);
  EXPECT_EQ(to_backend.back().seq, 1001 + kV2Bytes);
}

TEST_F(ProxyTest, CarriesTheTimestampsOptionOfTheClientsAck) {
  const Bytes options{1, 1, 8, 10, 0xaa, 0xbb, 0xcc, 0xdd, 0x11, 0x22, 0x33, 0x44};
  const auto frames = handshake(client().seq(1001).ack(5001).tcp_options(options));
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[1].tcp_options, options);
}

TEST_F(ProxyTest, ServesIpv6AndVersion1) {
  configure(ProxyHeader::kV1);
  bench_.client_to_backend(Frame().from(kClient6).to(kVip6).syn().seq(1000));
  bench_.backend_to_client(Frame().from(kBackend6).to(kClient6).syn().seq(5000).ack(1001));
  bench_.client_sends(Frame().from(kClient6).to(kVip6).seq(1001).ack(5001));
  bench_.turn();
  const auto frames = bench_.to_backends();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[1].payload, header_bytes(ProxyHeader::kV1, kClient6, kVip6));
}

TEST_F(ProxyTest, AdoptsAFlowWhoseHeaderWasSentElsewhere) {
  const auto up = bench_.client_to_backend(client().seq(7000).ack(9000).payload("DATA\r\n"));
  ASSERT_TRUE(up.has_value());
  EXPECT_EQ(up->seq, 7000 + kV2Bytes);
  const auto down = bench_.backend_to_client(backend().seq(9000).ack(7006 + kV2Bytes));
  ASSERT_TRUE(down.has_value());
  EXPECT_EQ(down->ack, 7006u);
  EXPECT_EQ(bench_.counter(Counter::kProxyHeadersSent), 0u);
}

TEST_F(ProxyTest, LeavesAReusedPortToStartAgain) {
  handshake(client().seq(1001).ack(5001));
  bench_.client_to_backend(client().seq(1001).rst());
  const auto frames = handshake(client().seq(1001).ack(5001));
  EXPECT_EQ(frames.size(), 2u);
  EXPECT_EQ(bench_.counter(Counter::kProxyHeadersSent), 2u);
  for (int i = 0; i < 3; i++) bench_.turn(1000);
  for (const ReadFrame& frame : bench_.to_backends()) EXPECT_EQ(frame.payload.size(), kV2Bytes);
  EXPECT_EQ(bench_.counter(Counter::kProxyHeadersResent), 2u) << "only the living flow's";
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/proxy_injector.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

const std::string kHeader = "PROXY TCP4 198.51.100.7 192.0.2.25 40000 25\r\n";
constexpr uint32_t kFirst = 1001, kServerFirst = 5001;  // as in begin_flow()
const Bytes kTimestamps{1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9};

Bytes bytes_of(const rte_mbuf& mbuf) {
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  return {data, data + rte_pktmbuf_data_len(&mbuf)};
}

class ProxyInjectorTest : public FlowPartsTest {
 protected:
  void SetUp() override {
    FlowPartsTest::SetUp();
    want(channel::ProxyHeader::kV1);
  }
  void want(channel::ProxyHeader kind) {
    channel::PutService message{};
    message.proxy = kind;
    put_service({0, 1, 2}, message);
  }
  /// A frame, and what parse would have said of it.
  struct Arrived {
    explicit Arrived(const Frame& frame, uint32_t payload_bytes = 0)
        : mbuf(make_mbuf(pool(), frame.bytes())), was(*read(frame.bytes())) {
      packet.l4_offset = 34;
      packet.tcp_header_bytes = static_cast<uint8_t>(20 + was.tcp_options.size());
      packet.sequence = was.seq;
      packet.ack = was.ack;
      packet.tcp_flags = was.flags;
      packet.payload_bytes = static_cast<uint16_t>(payload_bytes);
    }
    ~Arrived() { rte_pktmbuf_free(mbuf); }
    Arrived(const Arrived&) = delete;
    Arrived& operator=(const Arrived&) = delete;
    std::optional<ReadFrame> is() const { return read(bytes_of(*mbuf)); }

    rte_mbuf* mbuf;
    ReadFrame was;
    Packet packet{};
  };

  /// A flow whose client has just acknowledged the backend's SYN.
  FlowIndex establish(uint16_t n = 0, const Bytes& options = {}) {
    const FlowIndex index = begin_flow(*lifecycle_, n);
    proxy_->prepare(flows_[index], true);
    lifecycle_->set_state(flows_[index], TcpState::kEstablished);
    const Arrived ack(Frame().from(client(n)).to(vip()).seq(kFirst).ack(kServerFirst).tcp_options(options));
    EXPECT_TRUE(proxy_->start(index, kFirst, ProxyInjector::client_ack(*ack.mbuf, ack.packet)));
    return index;
  }
  FlowIndex send_header(uint16_t n = 0, const Bytes& options = {}) {
    const FlowIndex index = establish(n, options);
    proxy_->send_header(flows_[index]);
    return index;
  }
  /// What the backend acknowledges, as the client gets it.
  uint32_t acknowledge(FlowIndex index, uint32_t ack) {
    const Arrived segment(Frame().from(backend(0)).to(client()).seq(kServerFirst).ack(ack));
    proxy_->shift_to_client(*segment.mbuf, segment.packet, flows_[index]);
    const auto shifted = segment.is();
    EXPECT_TRUE(shifted) << "its checksum is right";
    return shifted ? shifted->ack : 0;
  }
  /// Eight bytes of the client's.
  static Packet said_by_client() {
    Packet out{};
    out.payload_bytes = 8;
    out.ack = kServerFirst;
    return out;
  }
  bool is_pending(FlowIndex index) const { return proxy_->entry_of(flows_[index]) != ProxyInjector::kNoEntry; }
  uint32_t resent() {
    while (proxy_->resend() != kNoFlow) ADD_FAILURE() << "none is to be cut";
    return static_cast<uint32_t>(sent(kBack).size());
  }
};

TEST_F(ProxyInjectorTest, AServiceWithoutHasNone) {
  want(channel::ProxyHeader::kNone);
  const FlowIndex index = begin_flow(*lifecycle_);
  EXPECT_FALSE(proxy_->wants_header(flows_[index]));
  proxy_->prepare(flows_[index], true);
  EXPECT_EQ(flows_[index].flags & kFlowSpecial, 0);
}

TEST_F(ProxyInjectorTest, SendsTheHeaderAsTheClientsFirstBytes) {
  const FlowIndex index = send_header(0, kTimestamps);
  EXPECT_TRUE(proxy_->wants_header(flows_[index]));
  EXPECT_NE(flows_[index].flags & kFlowSpecial, 0);
  EXPECT_EQ(flows_[index].proxy_bytes, kHeader.size());
  EXPECT_TRUE(is_pending(index));
  const auto frames = sent(kBack);
  ASSERT_EQ(frames.size(), 1u);
  const auto segment = read(frames[0]);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->source, client());
  EXPECT_EQ(segment->destination, backend(0));
  EXPECT_EQ(segment->destination_mac, mac(0xb0));
  EXPECT_EQ(segment->seq, kFirst);
  EXPECT_EQ(segment->ack, kServerFirst);
  EXPECT_EQ(segment->flags, kTcpPsh | kTcpAck);
  EXPECT_EQ(segment->tcp_options, kTimestamps);
  EXPECT_EQ(std::string(segment->payload.begin(), segment->payload.end()), kHeader);
  EXPECT_EQ(counter(Counter::kForwarded), 0u) << "it was made";
}

TEST_F(ProxyInjectorTest, TheHeaderThatABackendWasToldOfOutlivesAReload) {
  send_header();
  want(channel::ProxyHeader::kV2);
  sent(kBack);
  pass(ProxyPending::kWaitMs[0] + 1);
  EXPECT_EQ(proxy_->resend(), kNoFlow);
  const auto frames = sent(kBack);
  ASSERT_EQ(frames.size(), 1u);
  const auto segment = read(frames[0]);
  ASSERT_TRUE(segment);
  EXPECT_EQ(std::string(segment->payload.begin(), segment->payload.end()), kHeader);
}

TEST_F(ProxyInjectorTest, SendsItAgainUntilItIsAcknowledged) {
  const FlowIndex index = send_header();
  sent(kBack);
  pass(ProxyPending::kWaitMs[0] - 1);
  EXPECT_EQ(resent(), 0u);
  pass(2);
  EXPECT_EQ(resent(), 1u);
  EXPECT_EQ(counter(Counter::kProxyHeadersResent), 1u);
  EXPECT_EQ(acknowledge(index, kFirst + 1), kFirst) << "the client has sent nothing yet";
  EXPECT_TRUE(is_pending(index));
  EXPECT_EQ(acknowledge(index, kFirst + static_cast<uint32_t>(kHeader.size())), kFirst);
  EXPECT_FALSE(is_pending(index));
  pass(ProxyPending::kWaitMs.back() + 1);
  EXPECT_EQ(resent(), 0u);
}

TEST_F(ProxyInjectorTest, NamesAFlowWhoseHeaderWasSentInVainTooOften) {
  const FlowIndex index = send_header();
  for (uint32_t attempt = 0; attempt + 1 < ProxyPending::kAttempts; attempt++) {
    pass(ProxyPending::kWaitMs[attempt] + 1);
    EXPECT_EQ(proxy_->resend(), kNoFlow) << attempt;
  }
  EXPECT_EQ(counter(Counter::kProxyHeadersResent), ProxyPending::kAttempts - 1);
  pass(ProxyPending::kWaitMs.back() + 1);
  EXPECT_EQ(proxy_->resend(), index);
  proxy_->abandon(flows_[index]);
  EXPECT_EQ(proxy_->resend(), kNoFlow);
}

TEST_F(ProxyInjectorTest, SendsAFewAgainInEachPoll) {
  for (uint16_t n = 0; n < 40; n++) send_header(n);
  sent(kBack);
  pass(ProxyPending::kWaitMs[0] + 1);
  EXPECT_EQ(resent(), 32u);
  EXPECT_EQ(resent(), 0u) << "not in this one";
  pass(0);
  EXPECT_EQ(resent(), 8u);
}

TEST_F(ProxyInjectorTest, TheBackendCountsTheHeader) {
  const FlowIndex index = send_header();
  const Arrived data(Frame().from(client()).to(vip()).seq(kFirst).ack(kServerFirst).payload("EHLO x\r\n"));
  renumber(rte_pktmbuf_mtod_offset(data.mbuf, uint8_t*, data.packet.l4_offset), data.packet.tcp_header_bytes,
           flows_.numbers_for_backend(index));
  ASSERT_TRUE(data.is()) << "its checksum is right";
  EXPECT_EQ(data.is()->seq, kFirst + kHeader.size());
}

TEST_F(ProxyInjectorTest, TheClientsBytesMeanwhileAreCountedInTheEnd) {
  const FlowIndex index = send_header();
  Flow& flow = flows_[index];
  const uint32_t entry = proxy_->entry_of(flow);
  flow.client_next = kFirst + 8;
  flow.bytes_up += 8;  // as tracking does, which knows nothing of this
  proxy_->put_back(flow, entry, said_by_client());
  EXPECT_EQ(proxy_->entry_of(flow), entry);
  EXPECT_EQ(PendingPlace::of(flow.bytes_up).beyond, 8u) << "for a successor of this process";
  acknowledge(index, kFirst + static_cast<uint32_t>(kHeader.size()));
  EXPECT_EQ(flow.bytes_up, 8u);
}

TEST_F(ProxyInjectorTest, ASuccessorSendsTheHeaderFromWhereItBegan) {
  const FlowIndex index = send_header();
  sent(kBack);
  Flow& flow = flows_[index];
  flow.client_next = kFirst + 8;
  proxy_->put_back(flow, proxy_->entry_of(flow), said_by_client());
  const auto successor = std::make_unique<ProxyInjector>(context_);
  ASSERT_TRUE(successor->take_up(index));
  successor->send_header(flow);
  const auto frames = sent(kBack);
  ASSERT_EQ(frames.size(), 1u);
  const auto segment = read(frames[0]);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->seq, kFirst);
  EXPECT_EQ(std::string(segment->payload.begin(), segment->payload.end()), kHeader);
  flow.bytes_up = PendingPlace{0, PendingPlace::kFar}.word();
  EXPECT_FALSE(successor->take_up(index)) << "where it began is not known";
}

TEST_F(ProxyInjectorTest, AFlowMetInMidStreamHadItsHeader) {
  Flow& flow = flows_[begin_flow(*lifecycle_)];
  proxy_->prepare(flow, false);
  EXPECT_EQ(flow.proxy_bytes, kHeader.size());
  EXPECT_EQ(flow.flags & kFlowProxyPending, 0);
}

TEST_F(ProxyInjectorTest, SendsNothingToABackendThatCannotBeReached) {
  put_backend(0, 100, 0, 0);
  const FlowIndex index = send_header();
  EXPECT_TRUE(sent(kBack).empty());
  EXPECT_TRUE(is_pending(index)) << "it may come back";
}

}  // namespace
}  // namespace sluice::testing

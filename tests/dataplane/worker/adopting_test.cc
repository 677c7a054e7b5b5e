// SPDX-License-Identifier: Apache-2.0
//
// What a worker does with flows that an earlier process left in flow memory.
#include <gtest/gtest.h>

#include <memory>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kClient = endpoint("198.51.100.7", 40000);
const Endpoint kBackend = endpoint("10.0.1.10", 2525);
constexpr uint32_t kHeader = 28;  // bytes of a PROXY v2 header over IPv4

channel::PutService with_proxy() {
  channel::PutService message{};
  message.proxy = channel::ProxyHeader::kV2;
  return message;
}

struct Bench : WorkerBench {
  explicit Bench(const BenchOptions& options = {}, const channel::PutService& service = {}) : WorkerBench(options) {
    put_backend(0, kBackend);
    put_service(0, kVip, {0}, service);
    turn();
  }
  Flow& flow(FlowIndex index) { return const_cast<Flow&>(worker().flows()[index]); }
};

/// Handshake of a proxied session; its header is on the way.
void open_proxied(WorkerBench& bench, const Endpoint& client, uint32_t isn) {
  bench.client_to_backend(Frame().from(client).to(kVip).syn().seq(isn));
  bench.backend_to_client(Frame().from(kBackend).to(client).syn().seq(5000).ack(isn + 1));
  bench.client_sends(Frame().from(client).to(kVip).seq(isn + 1).ack(5001));
  bench.turn();
  bench.to_backends();
}

TEST(Adopting, FlowOfAPortThatIsGoneIsDroppedAlone) {
  Bench first;
  ASSERT_TRUE(first.establish(kClient, kVip));
  const Endpoint other = endpoint("198.51.100.8", 40000);
  ASSERT_TRUE(first.establish(other, kVip));
  first.flow(0).vlan_and_port = 2 << 12;  // its client came in by a third port
  auto& header = *reinterpret_cast<FlowMemoryHeader*>(first.flow_memory());
  header.ports = 2;  // as the main lcore has settled
  WorkerBench second({.flow_memory = first.flow_memory(), .snapshot = false});
  EXPECT_EQ(second.worker().flows().adopted(), 1u);
  for (int i = 0; i < 300; i++) {
    second.backend_sends(Frame().from(kBackend).to(kClient).seq(5001).ack(1001));
    second.turn();
  }
  EXPECT_TRUE(second.backend_to_client(Frame().from(kBackend).to(other).seq(5001).ack(1001).psh().payload("250\r\n")));
}

TEST(Adopting, DeadlineOfADamagedFlowIsNotLongerThanItsTimer) {
  Bench first;
  ASSERT_TRUE(first.establish(kClient, kVip));
  first.flow(0).deadline_ms = static_cast<uint32_t>(first.now_ms()) + 0x7fffffff;
  WorkerBench second({.flow_memory = first.flow_memory(), .snapshot = false});
  const uint32_t left = second.worker().flows()[0].deadline_ms - static_cast<uint32_t>(second.now_ms());
  EXPECT_LE(left, FlowTimers{}.established_ms);
}

TEST(Adopting, PendingProxyHeaderIsSentAgainUntilItIsAcknowledged) {
  Bench first({}, with_proxy());
  open_proxied(first, kClient, 1000);
  Bench second({.flow_memory = first.flow_memory()}, with_proxy());
  second.to_backends();
  for (int i = 0; i < 10 && second.counter(Counter::kProxyHeadersResent) == 0; i++) second.turn(100);
  const auto sent = second.to_backends();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].seq, 1001u);
  EXPECT_EQ(sent[0].ack, 5001u);
  EXPECT_EQ(sent[0].payload.size(), kHeader);
  const auto greeting = second.backend_to_client(
      Frame().from(kBackend).to(kClient).seq(5001).ack(1001 + kHeader).psh().payload("220 hi\r\n"));
  ASSERT_TRUE(greeting);
  EXPECT_EQ(greeting->ack, 1001u);
  for (int i = 0; i < 600; i++) second.turn(100);
  EXPECT_EQ(second.counter(Counter::kProxyHeadersResent), 1u);
  EXPECT_EQ(second.counter(Counter::kFlowsCutProxy), 0u);
}

TEST(Adopting, PendingProxyHeaderStandsBeforeWhatTheClientHasSaidSince) {
  Bench first({}, with_proxy());
  open_proxied(first, kClient, 1000);
  ASSERT_TRUE(first.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).psh().payload("hello")));
  Bench second({.flow_memory = first.flow_memory()}, with_proxy());
  second.to_backends();
  for (int i = 0; i < 10 && second.counter(Counter::kProxyHeadersResent) == 0; i++) second.turn(100);
  const auto sent = second.to_backends();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].seq, 1001u);
  ASSERT_TRUE(second.backend_to_client(Frame().from(kBackend).to(kClient).seq(5001).ack(1006 + kHeader)));
  EXPECT_EQ(second.flow(0).bytes_up, 5u);
}

TEST(Adopting, PendingProxyHeaderThatNobodyHasEndsItsFlowAlone) {
  Bench first({}, with_proxy());
  open_proxied(first, kClient, 1000);
  first.flow(0).bytes_up = PendingPlace{3, PendingPlace::kFar}.word();
  Bench second({.flow_memory = first.flow_memory()}, with_proxy());
  const auto answers = [&] {
    second.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5001).psh().payload("EHLO\r\n"));
    second.turn();
    return second.to_clients();
  }();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_NE(answers[0].flags & kTcpRst, 0);
  EXPECT_EQ(second.counter(Counter::kFlowsClosingNow), 1u);
}

TEST(Adopting, PendingProxyHeadersDoNotDisturbLaterOnes) {
  Bench first({}, with_proxy());
  open_proxied(first, kClient, 1000);
  Bench second({.flow_memory = first.flow_memory()}, with_proxy());
  second.backend_to_client(Frame().from(kBackend).to(kClient).seq(5001).ack(1001 + kHeader));
  const Endpoint a = endpoint("198.51.100.8", 2000), b = endpoint("198.51.100.9", 3000);
  open_proxied(second, a, 0x10000000);
  open_proxied(second, b, 0x50000000);
  for (const auto& [client, isn] : {std::pair{a, 0x10000000U}, std::pair{b, 0x50000000U}}) {
    const auto greeting = second.backend_to_client(
        Frame().from(kBackend).to(client).seq(5001).ack(isn + 1 + kHeader).psh().payload("220 hi\r\n"));
    ASSERT_TRUE(greeting);
    EXPECT_EQ(greeting->ack, isn + 1);
  }
  for (int i = 0; i < 600; i++) second.turn(100);
  EXPECT_TRUE(second.to_clients().empty());
  EXPECT_EQ(second.counter(Counter::kProxyHeadersResent), 0u);
  EXPECT_EQ(second.counter(Counter::kFlowsCutProxy), 0u);
  EXPECT_EQ(second.counter(Counter::kFlowsEstablishedNow), 3u);
}

}  // namespace
}  // namespace sluice::testing

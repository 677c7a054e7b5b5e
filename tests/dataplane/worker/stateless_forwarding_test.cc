// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/stateless_forwarding.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

class StatelessForwardingTest : public FlowPartsTest {
 protected:
  void SetUp() override {
    PartsTest::SetUp();
    sole_service_ = 0;
    for (uint16_t id = 0; id < 3; id++) put_backend(id);
    put_service({0, 1, 2});
  }
  static Frame from_client(uint16_t n) { return Frame().from(client(n)).to(vip()).seq(1001).ack(5001).payload("NOOP"); }

  /// What goes on to a backend; none: it was not possible, and nothing has been done.
  std::optional<ReadFrame> to_backend(const Frame& frame) {
    const auto burst = burst_of(frame, kFront);
    if (!stateless_.to_backend(*burst, 0, 0)) {
      rte_pktmbuf_free(burst->mbuf[0]);
      EXPECT_TRUE(sent(kBack).empty());
      return std::nullopt;
    }
    const auto frames = sent(kBack);
    return frames.empty() ? std::nullopt : read(frames[0]);
  }
  std::optional<ReadFrame> to_client(const Frame& frame) {
    const auto burst = burst_of(frame, kBack);
    if (!stateless_.to_client(*burst, 0)) {
      rte_pktmbuf_free(burst->mbuf[0]);
      EXPECT_TRUE(sent(kFront).empty());
      return std::nullopt;
    }
    const auto frames = sent(kFront);
    return frames.empty() ? std::nullopt : read(frames[0]);
  }

  Random random_{7};
  Placement placement_{context_, *lifecycle_, random_};
  IcmpErrors icmp_errors_{context_};
  StatelessForwarding stateless_{context_, placement_, icmp_errors_, one_way_, 0x5eed};
};

TEST_F(StatelessForwardingTest, AllOfAConnectionGoesToOneBackendAndBackAndNoFlowIsMade) {
  for (uint16_t n = 0; n < 20; n++) {
    const auto first = to_backend(Frame().from(client(n)).to(vip()).syn().seq(1000).from_mac(mac(0xc5)));
    ASSERT_TRUE(first);
    EXPECT_EQ(first->source, client(n));
    for (int i = 0; i < 3; i++) {
      const auto next = to_backend(from_client(n).from_mac(mac(0xc5)));
      ASSERT_TRUE(next);
      EXPECT_EQ(next->destination, first->destination);
    }
    const auto reply = to_client(Frame().from(first->destination).to(client(n)).seq(5001).ack(1005));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->source, vip());
    EXPECT_EQ(reply->destination_mac, mac(0xc5)) << "by the way that the client's packets came";
  }
  EXPECT_EQ(flows_.size(), 0u);
  EXPECT_EQ(counter(Counter::kFlowsStateless), 20u * 5);
}

TEST_F(StatelessForwardingTest, IsOnlyWhereAReplyNamesItsService) {
  sole_service_ = channel::kNoService;
  for (uint16_t id = 0; id < 3; id++) put_backend(id);
  EXPECT_FALSE(to_backend(from_client(0)));
  EXPECT_EQ(counter(Counter::kFlowsStateless), 0u);
}

TEST_F(StatelessForwardingTest, IsNotWhereAHeaderHasToBeSentFirst) {
  channel::PutService message{};
  message.proxy = channel::ProxyHeader::kV1;
  put_service({0, 1, 2}, message);
  EXPECT_FALSE(to_backend(from_client(0)));
}

TEST_F(StatelessForwardingTest, WhereRepliesAreNotSeenTheyNeedNotNameAService) {
  sole_service_ = channel::kNoService;
  for (uint16_t id = 0; id < 3; id++) put_backend(id);
  channel::PutService message{};
  message.forwarding = channel::Forwarding::kDsr;
  put_service({0, 1, 2}, message);
  const auto out = to_backend(from_client(0));
  ASSERT_TRUE(out);
  EXPECT_EQ(out->destination, vip()) << "only the way is chosen";
}

TEST_F(StatelessForwardingTest, AReplyToNobodyWhoWasHeardIsLeftToOthers) {
  EXPECT_FALSE(to_client(Frame().from(backend(0)).to(client(9)).seq(5001).ack(1001)));
  EXPECT_FALSE(to_client(Frame().from(endpoint("10.0.1.99", 2525)).to(client(0)).seq(5001).ack(1001)));
}

TEST_F(StatelessForwardingTest, WhatHasNoHopsLeftEndsHere) {
  EXPECT_FALSE(to_backend(from_client(0).ttl(1)));
  EXPECT_EQ(counter(Counter::kDropTtlExpired), 1u);
}

TEST_F(StatelessForwardingTest, WithoutAUsableBackendNothingIsDone) {
  for (uint16_t id = 0; id < 3; id++) put_backend(id, 100, 0, channel::kBackendDown);
  EXPECT_FALSE(to_backend(from_client(0)));
}

TEST_F(StatelessForwardingTest, WhatAServerThatCannotBeReachedForAMomentIsToGetIsDropped) {
  const auto first = to_backend(from_client(7));
  ASSERT_TRUE(first);
  for (uint16_t id = 0; id < 3; id++) put_backend(id, 100, 0, 0);
  EXPECT_FALSE(to_backend(Frame().from(client(7)).to(vip()).syn().seq(1000)));
  EXPECT_EQ(counter(Counter::kDropBackendUnreachable), 0u) << "a session that begins is not kept waiting";
  EXPECT_FALSE(to_backend(from_client(7)));
  EXPECT_EQ(counter(Counter::kDropBackendUnreachable), 1u);
  for (uint16_t id = 0; id < 3; id++) put_backend(id);
  const auto again = to_backend(from_client(7));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->destination, first->destination);
}

}  // namespace
}  // namespace sluice::testing

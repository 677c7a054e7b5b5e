// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/egress.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

class EgressTest : public PartsTest {
 protected:
  rte_mbuf* frame() { return make_mbuf(pool(), Frame().from(client()).to(vip()).syn().bytes()); }
};

TEST_F(EgressTest, SendsInOrderAndCountsWhatWasReceivedAsForwarded) {
  egress_.send(kBack, frame());
  egress_.send_made(kBack, frame());
  egress_.send(kBack, frame());
  EXPECT_EQ(egress_.queue(kBack).count, 3u);
  EXPECT_FALSE(egress_.queue(kBack).is_made(0));
  EXPECT_TRUE(egress_.queue(kBack).is_made(1));
  EXPECT_EQ(sent(kBack).size(), 3u);
  EXPECT_EQ(counter(Counter::kForwarded), 2u);
  EXPECT_EQ(counter(Counter::kDropMade), 0u);
}

TEST_F(EgressTest, TransmitsAFullQueueAtOnceAndForgetsWhichWereMade) {
  for (uint32_t i = 0; i < OutQueue::kSize; i++) egress_.send_made(kFront, frame());
  EXPECT_EQ(egress_.queue(kFront).count, 0u);
  EXPECT_EQ(ports_[kFront].take().size(), OutQueue::kSize);
  egress_.send(kFront, frame());
  sent(kFront);
  EXPECT_EQ(counter(Counter::kForwarded), 1u);
}

TEST_F(EgressTest, KnowsWhatAPortIs) {
  EXPECT_EQ(egress_.mtu(kBack), 1500);
  EXPECT_EQ(egress_.mac(kBack), port_mac(kBack));
  EXPECT_EQ(std::memcmp(port_mac(kBack).bytes.data(), std::array{egress_.mac_word(kBack)}.data(), 6), 0);
}

TEST_F(EgressTest, HandsFramesToThePortsSenderMarkedAsTheyWere) {
  rte_ring* ring = rte_ring_create("egress_sender", 64, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  ASSERT_NE(ring, nullptr);
  setup_.workers = 2;
  setup_.hand_to[1] = ring;
  setup_.port[kBack].transmit_queue = WorkerPort::kNoQueue;
  setup_.port[kBack].sender = 1;
  egress_.send(kBack, frame());
  egress_.send_made(kBack, frame());
  egress_.transmit(kBack);
  handover_.flush();
  std::array<void*, 4> mbufs;
  ASSERT_EQ(rte_ring_sc_dequeue_burst(ring, mbufs.data(), 4, nullptr), 2u);
  EXPECT_EQ(note_of(*static_cast<rte_mbuf*>(mbufs[0])).what, Handed::kSend);
  EXPECT_EQ(note_of(*static_cast<rte_mbuf*>(mbufs[1])).what, Handed::kSendMade);
  EXPECT_EQ(static_cast<rte_mbuf*>(mbufs[0])->port, kBack);
  EXPECT_EQ(counter(Counter::kHandedOut), 1u) << "a frame that was made was never received";
  for (int i = 0; i < 2; i++) rte_pktmbuf_free(static_cast<rte_mbuf*>(mbufs[static_cast<size_t>(i)]));
  rte_ring_free(ring);
}

}  // namespace
}  // namespace sluice::testing

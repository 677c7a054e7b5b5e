// SPDX-License-Identifier: Apache-2.0
//
// Handover by itself: its queues, and the rings between it and two others. Workers that hand over: handover_test.cc.
#include <gtest/gtest.h>

#include "dataplane/worker/handover.h"
#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

constexpr uint32_t kRingEntries = 128;

class HandoverQueues : public PartsTest {
 protected:
  void SetUp() override {
    PartsTest::SetUp();
    setup_.index = 1;
    setup_.workers = 3;
    for (const uint32_t other : {0U, 2U}) {
      setup_.hand_to[other] = make_ring("to", other);
      setup_.hand_from[other] = make_ring("from", other);
    }
    free_before_ = rte_mempool_avail_count(pool());
  }
  void TearDown() override {
    for (const uint32_t other : {0U, 2U}) {
      for (rte_ring* ring : {setup_.hand_to[other], setup_.hand_from[other]}) {
        drain(ring);
        rte_ring_free(ring);
      }
    }
    EXPECT_EQ(rte_mempool_avail_count(pool()), free_before_) << "every mbuf was freed once";
  }
  static rte_ring* make_ring(const char* name, uint32_t other) {
    return rte_ring_create((std::string("queues_") + name + std::to_string(other)).c_str(), kRingEntries, SOCKET_ID_ANY,
                           RING_F_SP_ENQ | RING_F_SC_DEQ);
  }
  static rte_mbuf* frame() { return make_mbuf(pool(), Frame().from(client()).to(vip()).syn().bytes()); }
  void hand_over(uint32_t worker, Handed what = Handed::kProcess) {
    handover_.hand_over(worker, kBack, frame(), {what, 0});
  }
  uint32_t waiting(uint32_t worker) const { return rte_ring_count(setup_.hand_to[worker]); }

  uint32_t free_before_ = 0;
};

TEST_F(HandoverQueues, AFrameWaitsForTheEndOfThePollAndHasItsNoteAndPortWithIt) {
  handover_.hand_over(2, kBack, frame(), {Handed::kAsk, 7});
  hand_over(0, Handed::kSend);
  EXPECT_EQ(waiting(0) + waiting(2), 0u);
  handover_.flush();
  EXPECT_EQ(waiting(0), 1u);
  void* object = nullptr;
  ASSERT_EQ(rte_ring_sc_dequeue(setup_.hand_to[2], &object), 0);
  auto* mbuf = static_cast<rte_mbuf*>(object);
  EXPECT_EQ(note_of(*mbuf).what, Handed::kAsk);
  EXPECT_EQ(note_of(*mbuf).asker, 7);
  EXPECT_EQ(mbuf->port, kBack);
  rte_pktmbuf_free(mbuf);
  EXPECT_EQ(counter(Counter::kHandedOut), 2u);
}

TEST_F(HandoverQueues, AFullBurstGoesAtOnce) {
  for (uint32_t i = 0; i + 1 < kMaxBurst; i++) hand_over(2);
  EXPECT_EQ(waiting(2), 0u);
  hand_over(2);
  EXPECT_EQ(waiting(2), kMaxBurst);
  EXPECT_EQ(counter(Counter::kHandedOut), kMaxBurst);
  handover_.flush();
  EXPECT_EQ(waiting(2), kMaxBurst) << "nothing goes twice";
}

TEST_F(HandoverQueues, WhatFindsNoRoomIsDroppedAndWhatWasMadeIsCountedApart) {
  constexpr uint32_t kRoom = kRingEntries - 1;
  for (uint32_t i = 0; i < kRoom - 3; i++) hand_over(0);
  handover_.flush();
  // Room for three of six: received, made, received, made, received, made.
  for (uint32_t i = 0; i < 6; i++) hand_over(0, i % 2 == 0 ? Handed::kSend : Handed::kSendMade);
  handover_.flush();
  EXPECT_EQ(waiting(0), kRoom);
  EXPECT_EQ(counter(Counter::kHandedOut), kRoom - 1) << "what was made was never received";
  EXPECT_EQ(counter(Counter::kDropHandoverFull), 1u);
  EXPECT_EQ(counter(Counter::kDropMade), 2u);
}

TEST_F(HandoverQueues, AsksTheOthersInTurnUntilItIsBackAtTheAsker) {
  EXPECT_TRUE(handover_.ask_next(kFront, frame(), 1, client().address));
  handover_.flush();
  EXPECT_EQ(waiting(2), 1u);
  setup_.index = 2;
  EXPECT_TRUE(handover_.ask_next(kFront, frame(), 1, client().address)) << "after the last comes the first";
  handover_.flush();
  EXPECT_EQ(waiting(0), 1u);
  setup_.index = 0;
  rte_mbuf* mbuf = frame();
  EXPECT_FALSE(handover_.ask_next(kFront, mbuf, 1, client().address)) << "that one asked";
  rte_pktmbuf_free(mbuf);  // whoever is refused still has it
}

TEST_F(HandoverQueues, TakesWhatAnotherWorkerHasForThisOne) {
  std::array<void*, kMaxBurst> mbufs;
  EXPECT_EQ(handover_.take(1, mbufs), 0u) << "there is no ring to itself";
  EXPECT_EQ(handover_.take(0, mbufs), 0u);
  for (uint32_t i = 0; i < kMaxBurst + 1; i++) ASSERT_EQ(rte_ring_sp_enqueue(setup_.hand_from[0], frame()), 0);
  for (const uint32_t expected : {kMaxBurst, 1U}) {
    const uint32_t taken = handover_.take(0, mbufs);
    EXPECT_EQ(taken, expected);
    for (uint32_t i = 0; i < taken; i++) rte_pktmbuf_free(static_cast<rte_mbuf*>(mbufs[i]));
  }
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/inspector.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/channel_segment.h"
#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

using channel::TraceRecord;
using channel::TraceStage;

/// One inspection, at place 0, of all that comes from client().
class InspectorTest : public FlowPartsTest {
 protected:
  void SetUp() override {
    FlowPartsTest::SetUp();
    attached_.store(&segment_.attachment());
    setup_.attachment = &attached_;
    inspector_.attach(segment_.trace());
  }
  channel::StartInspection wanted(uint8_t flags = channel::kInspectForTrace) const {
    channel::StartInspection out{};
    out.header = {channel::CommandType::kStartInspection, 0, 0, 0};
    out.key = 9;
    out.deadline_ms = clock_.now_ms() + 1000;
    out.client = client().address;
    out.prefix_bits = 128;
    out.flags = flags;
    out.service = channel::kNoService;
    out.backend = channel::kNoBackend;
    out.packets = 1000;
    return out;
  }
  static rte_mbuf* frame(const Endpoint& from = client()) {
    return make_mbuf(pool(), Frame().from(from).to(vip()).syn().seq(1000).bytes());
  }
  /// A packet of the client's comes and is dropped.
  void inspect_a_drop() {
    rte_mbuf* mbuf = frame();
    const uint8_t inspections = inspector_.wanting(*mbuf);
    inspector_.begin(notes_, inspections, kFront, *mbuf);
    egress_.drop(mbuf, Counter::kDropNoBackend);
    inspector_.end(notes_, inspections);
    notes_ = {};
  }
  std::vector<TraceRecord> records() {
    std::vector<TraceRecord> out(64);
    out.resize(channel::take_some(segment_.trace(), std::span(out)));
    return out;
  }
  const channel::InspectionStats& figures() const { return stats_->inspections[0]; }

  Random random_{7};
  Placement placement_{context_, *lifecycle_, random_};
  Inspector inspector_{context_, placement_};
  ChannelSegment segment_{1};
  std::atomic<const ChannelAttachment*> attached_{nullptr};
  Inspector::Notes notes_{};
};

TEST_F(InspectorTest, WantsWhatIsAskedForAndNothingElse) {
  rte_mbuf* ours = frame();
  rte_mbuf* other = frame(endpoint("198.51.100.8", 40000));
  EXPECT_FALSE(inspector_.any());
  EXPECT_EQ(inspector_.wanting(*ours), 0);
  ASSERT_FALSE(inspector_.start(wanted()));
  EXPECT_TRUE(inspector_.any());
  EXPECT_EQ(inspector_.wanting(*ours), 1);
  EXPECT_EQ(inspector_.wanting(*other), 0);
  EXPECT_EQ(figures().packets, 1u);
  ASSERT_FALSE(inspector_.stop(0));
  EXPECT_EQ(inspector_.wanting(*ours), 0);
  rte_pktmbuf_free(ours);
  rte_pktmbuf_free(other);
}

TEST_F(InspectorTest, TellsWhatCameWhatWasCountedAndUnderOneNumberPerPacket) {
  ASSERT_FALSE(inspector_.start(wanted()));
  inspect_a_drop();
  inspect_a_drop();
  const auto told = records();
  ASSERT_EQ(told.size(), 4u);
  EXPECT_EQ(told[0].stage, TraceStage::kReceived);
  EXPECT_EQ(told[0].port, kFront);
  EXPECT_EQ(told[0].frame.source, client());
  EXPECT_EQ(told[0].frame.destination, vip());
  EXPECT_EQ(told[0].frame.sequence, 1000u);
  EXPECT_EQ(told[1].stage, TraceStage::kCounted);
  EXPECT_EQ(told[1].counter, static_cast<uint16_t>(Counter::kDropNoBackend));
  EXPECT_EQ(told[0].packet, told[1].packet);
  EXPECT_NE(told[1].packet, told[2].packet);
  for (const TraceRecord& record : told) EXPECT_EQ(record.inspections, 1);
}

TEST_F(InspectorTest, TellsWhatIsSentBecauseOfAPacketAndWhatWasMade) {
  ASSERT_FALSE(inspector_.start(wanted()));
  rte_mbuf* mbuf = frame();
  egress_.send(kBack, frame());  // another's, before it
  const uint8_t inspections = inspector_.wanting(*mbuf);
  inspector_.begin(notes_, inspections, kFront, *mbuf);
  egress_.send(kBack, mbuf);
  egress_.send_made(kFront, frame());
  inspector_.end(notes_, inspections);
  const auto told = records();
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[1].stage, TraceStage::kMade);
  EXPECT_EQ(told[1].port, kFront);
  EXPECT_EQ(told[2].stage, TraceStage::kSent);
  EXPECT_EQ(told[2].port, kBack);
  EXPECT_EQ(sent(kBack).size(), 2u);
}

TEST_F(InspectorTest, APacketThatWasNotTheirsAfterAllIsGivenBack) {
  ASSERT_FALSE(inspector_.start(wanted()));
  rte_mbuf* mbuf = frame();
  inspector_.begin(notes_, inspector_.wanting(*mbuf), kFront, *mbuf);
  inspector_.end(notes_, 0);
  EXPECT_EQ(figures().packets, 0u);
  EXPECT_TRUE(records().empty());
  rte_pktmbuf_free(mbuf);
}

TEST_F(InspectorTest, CountsWhatFindsNoRoom) {
  ASSERT_FALSE(inspector_.start(wanted()));
  const TraceRecord record{};
  while (channel::put_all(segment_.trace(), std::span(&record, 1))) continue;
  inspect_a_drop();
  EXPECT_EQ(figures().lost, 1u);
  EXPECT_EQ(figures().packets, 1u);
}

TEST_F(InspectorTest, RefusesACaptureThatHasNowhereToGo) {
  EXPECT_EQ(inspector_.start(wanted(channel::kInspectForCapture)), channel::RejectReason::kBadInspection);
  EXPECT_FALSE(inspector_.any());
  const CaptureSink sink{};
  setup_.capture = &sink;
  EXPECT_FALSE(inspector_.start(wanted(channel::kInspectForCapture)));
  EXPECT_TRUE(inspector_.any());
}

TEST_F(InspectorTest, EndsWithItsTimeItsControlOrTheNextConnection) {
  ASSERT_FALSE(inspector_.start(wanted()));
  clock_.set(clock_.now_ms() + 999);
  inspector_.expire();
  EXPECT_TRUE(inspector_.any());
  clock_.set(clock_.now_ms() + 1);
  inspector_.expire();
  EXPECT_FALSE(inspector_.any());

  ASSERT_FALSE(inspector_.start(wanted()));
  segment_.end();
  inspector_.expire();
  EXPECT_FALSE(inspector_.any());

  ASSERT_FALSE(inspector_.start(wanted()));
  inspector_.attach(segment_.trace());
  EXPECT_FALSE(inspector_.any());
  EXPECT_EQ(figures().active, 0u);
}

}  // namespace
}  // namespace sluice::testing

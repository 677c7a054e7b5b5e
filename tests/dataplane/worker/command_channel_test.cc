// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/command_channel.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/channel_segment.h"
#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

using channel::CommandType;

class CommandChannelTest : public FlowPartsTest {
 protected:
  void SetUp() override {
    FlowPartsTest::SetUp();
    setup_.attachment = &attached_;
    setup_.oldest_epoch_in_use = &oldest_epoch_;
  }
  void connect(const ChannelSegment& segment) { attached_.store(&segment.attachment()); }
  /// `id` numbers the command, too: a drop of what is not there is applied, and changes nothing.
  static channel::Command drop_backend(uint32_t sequence, uint16_t id) {
    return channel::Command(channel::CommandHeader{CommandType::kDropBackend, 0, id, sequence});
  }
  static bool send(const ChannelSegment& segment, const channel::Command& command) {
    return channel::put_all(segment.commands(), std::span(&command, 1));
  }
  static std::vector<channel::Event> events(const ChannelSegment& segment) {
    std::vector<channel::Event> out(64);
    out.resize(channel::take_some(segment.events(), std::span(out)));
    return out;
  }

  Random random_{7};
  Placement placement_{context_, *lifecycle_, random_};
  Inspector inspector_{context_, placement_};
  std::atomic<const ChannelAttachment*> attached_{nullptr};
  std::atomic<uint64_t> oldest_epoch_{0};
  const ChannelSegment segment_{5};
  RouterMoves router_moves_{context_};
  CommandChannel commands_{setup_, clock_, counters_, state_, inspector_, router_moves_, *observer_, records_};
};

TEST_F(CommandChannelTest, HasNothingToDoWithoutAConnection) {
  EXPECT_FALSE(commands_.poll());
  EXPECT_EQ(stats_->segment_epoch, 0u);
}

TEST_F(CommandChannelTest, SaysWhichConnectionItIsOn) {
  stats_->applied_sequence = 77;
  connect(segment_);
  EXPECT_FALSE(commands_.poll()) << "no command has come";
  EXPECT_EQ(stats_->segment_epoch, 5u);
  EXPECT_EQ(stats_->applied_sequence, 0u) << "the sequence counts this connection's commands";
  EXPECT_EQ(oldest_epoch_.load(), state_.oldest_epoch_in_use());
}

TEST_F(CommandChannelTest, AppliesSomeInEachPollAndSaysHowFarItIs) {
  connect(segment_);
  for (uint32_t n = 1; n <= 40; n++) ASSERT_TRUE(send(segment_, drop_backend(n, 100)));
  EXPECT_TRUE(commands_.poll());
  EXPECT_EQ(stats_->applied_sequence, 32u) << "packets do not wait for all of them";
  EXPECT_TRUE(commands_.poll());
  EXPECT_EQ(stats_->applied_sequence, 40u);
  EXPECT_FALSE(commands_.poll());
  EXPECT_EQ(counter(Counter::kCommandsApplied), 40u);
  EXPECT_TRUE(events(segment_).empty());
}

TEST_F(CommandChannelTest, ACommandTakesEffectOnTheForwardingState) {
  connect(segment_);
  ASSERT_TRUE(state_.backend(2).in_use);
  ASSERT_TRUE(send(segment_, drop_backend(1, 2)));
  commands_.poll();
  EXPECT_FALSE(state_.backend(2).in_use);
  EXPECT_TRUE(state_.backend(1).in_use);
}

TEST_F(CommandChannelTest, TellsOfWhatItRefusesAndGoesOn) {
  connect(segment_);
  ASSERT_TRUE(send(segment_, drop_backend(1, channel::kMaxBackends)));
  ASSERT_TRUE(send(segment_, drop_backend(2, 2)));
  commands_.poll();
  EXPECT_EQ(counter(Counter::kCommandsRejected), 1u);
  EXPECT_EQ(counter(Counter::kCommandsApplied), 1u);
  EXPECT_EQ(stats_->applied_sequence, 2u) << "a refused command is done with";
  EXPECT_FALSE(state_.backend(2).in_use);
  const auto told = events(segment_);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].type, channel::EventType::kCommandRejected);
  EXPECT_EQ(told[0].command, CommandType::kDropBackend);
  EXPECT_EQ(told[0].id, channel::kMaxBackends);
  EXPECT_EQ(told[0].sequence, 1u);
  EXPECT_EQ(told[0].detail, static_cast<uint32_t>(channel::RejectReason::kIdOutOfRange));
  EXPECT_EQ(told[0].time_ms, clock_.now_ms());
}

TEST_F(CommandChannelTest, CountsWhatItCannotTell) {
  connect(segment_);
  const channel::Event event{};
  uint64_t room = 0;
  while (channel::put_all(segment_.events(), std::span(&event, 1))) room++;
  ASSERT_GT(room, 0u);
  ASSERT_TRUE(send(segment_, drop_backend(1, channel::kMaxBackends)));
  commands_.poll();
  EXPECT_EQ(counter(Counter::kEventsLost), 1u);
  EXPECT_EQ(counter(Counter::kCommandsRejected), 1u);
}

TEST_F(CommandChannelTest, InspectionsGoToTheInspector) {
  connect(segment_);
  channel::StartInspection message{};
  message.header = {CommandType::kStartInspection, 0, 3, 1};
  message.key = 9;
  message.deadline_ms = clock_.now_ms() + 1000;
  message.flags = channel::kInspectForTrace;
  message.packets = 10;
  ASSERT_TRUE(send(segment_, channel::Command(message)));
  commands_.poll();
  EXPECT_TRUE(inspector_.any());
  EXPECT_EQ(stats_->inspections[3].key, 9u);
  ASSERT_TRUE(send(segment_, channel::Command(channel::CommandHeader{CommandType::kStopInspection, 0, 3, 2})));
  commands_.poll();
  EXPECT_FALSE(inspector_.any());
}

TEST_F(CommandChannelTest, MovesToANewConnectionAndLeavesTheOldOne) {
  connect(segment_);
  ASSERT_TRUE(send(segment_, drop_backend(1, 100)));
  commands_.poll();
  const ChannelSegment next{6};
  ASSERT_TRUE(send(segment_, drop_backend(2, 2)));
  ASSERT_TRUE(send(next, drop_backend(1, 1)));
  connect(next);
  commands_.poll();
  EXPECT_EQ(stats_->segment_epoch, 6u);
  EXPECT_EQ(stats_->applied_sequence, 1u);
  EXPECT_FALSE(state_.backend(1).in_use);
  EXPECT_TRUE(state_.backend(2).in_use) << "a command of a control that is gone";
}

}  // namespace
}  // namespace sluice::testing

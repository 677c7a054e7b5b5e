// SPDX-License-Identifier: Apache-2.0
//
// Traces and captures against a data plane of which only the channel is real.
#include "controlplane/inspect/inspection_sessions.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/controlplane/support/settled_channel.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using channel::CommandType;

class Sessions : public testing::Test, protected SettledChannel {
 protected:
  Sessions() { settle({}); }
  ~Sessions() override {
    sessions_.stop();
    close();
  }

  uint64_t start_trace(InspectionWish wish = {}) {
    const auto id = sessions_.start_trace(std::move(wish));
    EXPECT_TRUE(id) << id.error();
    run_until([&] { return client_.is_settled(); });
    return id.value_or(0);
  }
  uint64_t start_capture(InspectionWish wish = {}) {
    const auto id = sessions_.start_capture(std::move(wish));
    EXPECT_TRUE(id) << id.error();
    return id.value_or(0);
  }
  void say(channel::CaptureState state, uint64_t key, uint32_t error = 0) {
    dataplane_.capture().error = error;
    dataplane_.capture().key = key;
    dataplane_.capture().state = state;
  }
  void tell(uint32_t worker, uint8_t inspections, uint32_t packet) {
    channel::TraceRecord record;
    record.inspections = inspections;
    record.packet = packet;
    dataplane_.trace(worker, record);
  }

  InspectionSessions sessions_{io_, client_, "/run/here"};
};

TEST_F(Sessions, TraceIsAnInspectionOnEveryWorkerUntilItIsStopped) {
  InspectionWish wish;
  wish.client = *ClientFilter::parse("198.51.100.0/24");
  wish.service = 3;
  wish.packets = 77;
  wish.time = 10s;
  const uint64_t id = start_trace(wish);
  for (uint32_t w = 0; w < kWorkers; w++) {
    ASSERT_EQ(dataplane_.worker(w).inspections.size(), 1u);
    const channel::StartInspection& inspection = dataplane_.worker(w).inspections.begin()->second;
    EXPECT_EQ(inspection.key, id);
    EXPECT_EQ(inspection.flags, channel::kInspectForTrace);
    EXPECT_EQ(inspection.prefix_bits, 120);
    EXPECT_EQ(inspection.service, 3);
    EXPECT_EQ(inspection.backend, channel::kNoBackend);
    EXPECT_EQ(inspection.packets, 77u);
  }
  ASSERT_TRUE(sessions_.stop(id));
  run_until([&] { return dataplane_.worker(1).inspections.empty(); });
  EXPECT_EQ(sessions_.find(id)->state, InspectionState::kEnded);
  EXPECT_EQ(sessions_.find(id)->reason, "stopped");
  EXPECT_FALSE(sessions_.stop(12345));
}

TEST_F(Sessions, RecordsGoToWhomTheyAreForInOrder) {
  const uint64_t first = start_trace();
  const uint64_t second = start_trace();
  tell(0, 1, 10);
  tell(1, 2, 20);
  tell(0, 3, 30);
  const auto packets = [&](uint64_t id) {
    std::vector<uint32_t> out;
    for (const TracedBy& traced : sessions_.find(id)->records) out.push_back(traced.record.packet);
    return out;
  };
  EXPECT_EQ(packets(first), (std::vector<uint32_t>{10, 30}));
  EXPECT_EQ(packets(second), (std::vector<uint32_t>{30, 20}));
}

TEST_F(Sessions, RecordsThatNobodyFetchesAreBounded) {
  const uint64_t id = start_trace();
  for (size_t i = 0; i < InspectionSessions::kMostRecords + 500; i++) {
    tell(0, 1, static_cast<uint32_t>(i));
    if (i % 1000 == 999) sessions_.find(id);
  }
  const InspectionSession& session = *sessions_.find(id);
  EXPECT_EQ(session.records.size(), InspectionSessions::kMostRecords);
  EXPECT_EQ(session.lost, 500u);
  EXPECT_EQ(session.records.front().record.packet, 500u);
}

TEST_F(Sessions, TraceEndsWhenEveryWorkersInspectionHas) {
  const uint64_t id = start_trace();
  EXPECT_EQ(sessions_.find(id)->state, InspectionState::kRunning);
  dataplane_.stats_of(0).inspections[0] = {id, 0, 5, 1, 2, {}};
  EXPECT_EQ(sessions_.find(id)->state, InspectionState::kRunning);
  dataplane_.stats_of(1).inspections[0] = {id, 0, 7, 0, 0, {}};
  const InspectionSession& session = *sessions_.find(id);
  EXPECT_EQ(session.state, InspectionState::kEnded);
  EXPECT_EQ(session.packets, 12u);
  EXPECT_EQ(session.skipped, 1u);
  EXPECT_EQ(session.lost, 2u);
}

TEST_F(Sessions, OneThatNobodyAsksAfterEnds) {
  const uint64_t id = start_trace();
  run_until([&] { return sessions_.size() == 0; });
  EXPECT_EQ(sessions_.find(id), nullptr);
  run_until([&] { return dataplane_.worker(0).inspections.empty(); });
}

TEST_F(Sessions, EndWithTheDataPlanesConnection) {
  const uint64_t id = start_trace();
  dataplane_.hang_up();
  run_until([&] { return sessions_.find(id)->state == InspectionState::kEnded; });
  EXPECT_NE(sessions_.find(id)->reason.find("connection"), std::string::npos);
}

TEST_F(Sessions, AreRefusedWhereThereIsNoRoomAndWithoutDataPlane) {
  InspectionWish several;
  several.backends = {1, 2, 3, 4, 5, 6, 7};
  start_trace(several);
  start_trace();
  const auto refused = sessions_.start_trace({});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("8 inspections"), std::string::npos) << refused.error();
  dataplane_.stop_listening();
  dataplane_.hang_up();
  run_until([&] { return client_.mapping() == nullptr; });
  EXPECT_FALSE(sessions_.start_trace({}));
  EXPECT_FALSE(sessions_.start_capture({}));
}

TEST_F(Sessions, CaptureInspectsWhenTheFileIsOpen) {
  InspectionWish wish;
  wish.packets = 50;
  wish.file_bytes = 8192;
  const uint64_t id = start_capture(wish);
  const auto commands = dataplane_.main_commands();
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(commands[0].header.type, CommandType::kStartCapture);
  EXPECT_EQ(commands[0].start_capture.key, id);
  EXPECT_EQ(commands[0].start_capture.bytes, 8192u);
  EXPECT_EQ(sessions_.find(id)->path, "/run/here/" + channel::capture_file_name(id));
  EXPECT_TRUE(dataplane_.worker(0).inspections.empty());
  EXPECT_FALSE(sessions_.start_capture({})) << "one at a time";

  say(channel::CaptureState::kRunning, id);
  run_until([&] { return !dataplane_.worker(1).inspections.empty(); });
  EXPECT_EQ(dataplane_.worker(1).inspections.begin()->second.flags, channel::kInspectForCapture);
  dataplane_.capture().packets = 50;
  dataplane_.capture().bytes = 4000;
  say(channel::CaptureState::kEnded, id);
  run_until([&] { return dataplane_.worker(1).inspections.empty(); });
  const InspectionSession& session = *sessions_.find(id);
  EXPECT_EQ(session.state, InspectionState::kEnded);
  EXPECT_EQ(session.written_packets, 50u);
  EXPECT_EQ(session.reason, "it has as many packets as asked for");
  sessions_.stop(id);
  EXPECT_EQ(dataplane_.main_commands().at(0).header.type, CommandType::kStopCapture);
}

TEST_F(Sessions, CaptureThatCannotBeWrittenSaysWhy) {
  const uint64_t id = start_capture();
  say(channel::CaptureState::kFailed, id, ENOSPC);
  EXPECT_EQ(sessions_.find(id)->state, InspectionState::kEnded);
  EXPECT_NE(sessions_.find(id)->reason.find("No space"), std::string::npos);
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// Traces and captures against a data plane of which only the channel is real.
#include "controlplane/tap_sessions.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/controlplane/fake_dataplane.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using channel::CommandType;

constexpr uint32_t kWorkers = 2;

class Sessions : public testing::Test {
 protected:
  Sessions() {
    char name[] = "/tmp/sluice-taps-XXXXXX";
    directory_ = mkdtemp(name);
    dataplane_ = std::make_unique<FakeDataplane>(directory_ + "/channel.sock", kWorkers);
    client_ = std::make_unique<ChannelClient>(io_, directory_ + "/channel.sock", ChannelClient::Handlers{},
                                              ChannelClient::Retry{1ms, 4ms});
    sessions_ = std::make_unique<TapSessions>(io_, *client_, "/run/here");
    client_->publish({}, ChannelClient::Clock::now());
    client_->start();
    run_until([&] { return client_->is_settled(); });
  }
  ~Sessions() override {
    sessions_->stop();
    client_->stop();
    io_.poll();
    sessions_.reset();
    client_.reset();
    std::filesystem::remove_all(directory_);
  }

  template <typename Condition>
  void run_until(Condition done) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nothing came of it";
      io_.run_for(200us);
      io_.restart();
      dataplane_->accept_one();
      dataplane_->apply_all();
    }
  }
  uint64_t start_trace(TapWish wish = {}) {
    const auto id = sessions_->start_trace(std::move(wish));
    EXPECT_TRUE(id) << id.error();
    run_until([&] { return client_->is_settled(); });
    return id.value_or(0);
  }
  uint64_t start_capture(TapWish wish = {}) {
    const auto id = sessions_->start_capture(std::move(wish));
    EXPECT_TRUE(id) << id.error();
    return id.value_or(0);
  }
  void say(channel::CaptureState state, uint64_t key, uint32_t error = 0) {
    dataplane_->capture().error = error;
    dataplane_->capture().key = key;
    dataplane_->capture().state = state;
  }
  void tell(uint32_t worker, uint8_t taps, uint32_t packet) {
    channel::TraceRecord record;
    record.taps = taps;
    record.packet = packet;
    dataplane_->trace(worker, record);
  }

  boost::asio::io_context io_;
  std::string directory_;
  std::unique_ptr<FakeDataplane> dataplane_;
  std::unique_ptr<ChannelClient> client_;
  std::unique_ptr<TapSessions> sessions_;
};

TEST_F(Sessions, TraceIsATapOnEveryWorkerUntilItIsStopped) {
  TapWish wish;
  wish.client = *ClientFilter::parse("198.51.100.0/24");
  wish.service = 3;
  wish.packets = 77;
  wish.time = 10s;
  const uint64_t id = start_trace(wish);
  for (uint32_t w = 0; w < kWorkers; w++) {
    ASSERT_EQ(dataplane_->worker(w).taps.size(), 1u);
    const channel::PutTap& tap = dataplane_->worker(w).taps.begin()->second;
    EXPECT_EQ(tap.key, id);
    EXPECT_EQ(tap.flags, channel::kTapTrace);
    EXPECT_EQ(tap.prefix_bits, 120);
    EXPECT_EQ(tap.service, 3);
    EXPECT_EQ(tap.backend, channel::kNoBackend);
    EXPECT_EQ(tap.packets, 77u);
  }
  ASSERT_TRUE(sessions_->stop(id));
  run_until([&] { return dataplane_->worker(1).taps.empty(); });
  EXPECT_EQ(sessions_->find(id)->state, TapState::kEnded);
  EXPECT_EQ(sessions_->find(id)->reason, "stopped");
  EXPECT_FALSE(sessions_->stop(12345));
}

TEST_F(Sessions, RecordsGoToWhomTheyAreForInOrder) {
  const uint64_t first = start_trace();
  const uint64_t second = start_trace();
  tell(0, 1, 10);
  tell(1, 2, 20);
  tell(0, 3, 30);
  const auto packets = [&](uint64_t id) {
    std::vector<uint32_t> out;
    for (const TracedBy& traced : sessions_->find(id)->records) out.push_back(traced.record.packet);
    return out;
  };
  EXPECT_EQ(packets(first), (std::vector<uint32_t>{10, 30}));
  EXPECT_EQ(packets(second), (std::vector<uint32_t>{30, 20}));
}

TEST_F(Sessions, RecordsThatNobodyFetchesAreBounded) {
  const uint64_t id = start_trace();
  for (size_t i = 0; i < TapSessions::kMostRecords + 500; i++) {
    tell(0, 1, static_cast<uint32_t>(i));
    if (i % 1000 == 999) sessions_->find(id);
  }
  const TapSession& session = *sessions_->find(id);
  EXPECT_EQ(session.records.size(), TapSessions::kMostRecords);
  EXPECT_EQ(session.lost, 500u);
  EXPECT_EQ(session.records.front().record.packet, 500u);
}

TEST_F(Sessions, TraceEndsWhenEveryWorkersTapHas) {
  const uint64_t id = start_trace();
  EXPECT_EQ(sessions_->find(id)->state, TapState::kRunning);
  dataplane_->stats_of(0).taps[0] = {id, 0, 5, 1, 2, {}};
  EXPECT_EQ(sessions_->find(id)->state, TapState::kRunning);
  dataplane_->stats_of(1).taps[0] = {id, 0, 7, 0, 0, {}};
  const TapSession& session = *sessions_->find(id);
  EXPECT_EQ(session.state, TapState::kEnded);
  EXPECT_EQ(session.packets, 12u);
  EXPECT_EQ(session.skipped, 1u);
  EXPECT_EQ(session.lost, 2u);
}

TEST_F(Sessions, OneThatNobodyAsksAfterEnds) {
  const uint64_t id = start_trace();
  run_until([&] { return sessions_->size() == 0; });
  EXPECT_EQ(sessions_->find(id), nullptr);
  run_until([&] { return dataplane_->worker(0).taps.empty(); });
}

TEST_F(Sessions, EndWithTheDataPlanesConnection) {
  const uint64_t id = start_trace();
  dataplane_->hang_up();
  run_until([&] { return sessions_->find(id)->state == TapState::kEnded; });
  EXPECT_NE(sessions_->find(id)->reason.find("connection"), std::string::npos);
}

TEST_F(Sessions, AreRefusedWhereThereIsNoRoomAndWithoutDataPlane) {
  TapWish several;
  several.backends = {1, 2, 3, 4, 5, 6, 7};
  start_trace(several);
  start_trace();
  const auto refused = sessions_->start_trace({});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("8 taps"), std::string::npos) << refused.error();
  dataplane_->stop_listening();
  dataplane_->hang_up();
  run_until([&] { return client_->mapping() == nullptr; });
  EXPECT_FALSE(sessions_->start_trace({}));
  EXPECT_FALSE(sessions_->start_capture({}));
}

TEST_F(Sessions, CaptureTapsTheWorkersWhenTheFileIsOpen) {
  TapWish wish;
  wish.packets = 50;
  wish.file_bytes = 8192;
  const uint64_t id = start_capture(wish);
  const auto commands = dataplane_->main_commands();
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(commands[0].header.type, CommandType::kStartCapture);
  EXPECT_EQ(commands[0].start_capture.key, id);
  EXPECT_EQ(commands[0].start_capture.bytes, 8192u);
  EXPECT_EQ(sessions_->find(id)->path, "/run/here/" + channel::capture_file_name(id));
  EXPECT_TRUE(dataplane_->worker(0).taps.empty());
  EXPECT_FALSE(sessions_->start_capture({})) << "one at a time";

  say(channel::CaptureState::kRunning, id);
  run_until([&] { return !dataplane_->worker(1).taps.empty(); });
  EXPECT_EQ(dataplane_->worker(1).taps.begin()->second.flags, channel::kTapCapture);
  dataplane_->capture().packets = 50;
  dataplane_->capture().bytes = 4000;
  say(channel::CaptureState::kEnded, id);
  run_until([&] { return dataplane_->worker(1).taps.empty(); });
  const TapSession& session = *sessions_->find(id);
  EXPECT_EQ(session.state, TapState::kEnded);
  EXPECT_EQ(session.written_packets, 50u);
  EXPECT_EQ(session.reason, "it has as many packets as asked for");
  sessions_->stop(id);
  EXPECT_EQ(dataplane_->main_commands().at(0).header.type, CommandType::kStopCapture);
}

TEST_F(Sessions, CaptureThatCannotBeWrittenSaysWhy) {
  const uint64_t id = start_capture();
  say(channel::CaptureState::kFailed, id, ENOSPC);
  EXPECT_EQ(sessions_->find(id)->state, TapState::kEnded);
  EXPECT_NE(sessions_->find(id)->reason.find("No space"), std::string::npos);
}

}  // namespace
}  // namespace sluice::control

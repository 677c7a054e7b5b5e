// SPDX-License-Identifier: Apache-2.0
//
// The main lcore's side of a capture, with a test in control's and the workers' place: the file, its limits, its end.
#include "dataplane/process/capture.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "dataplane/contract/trace.h"
#include "tests/dataplane/support/bench_ports.h"

namespace sluice::testing {
namespace {

using channel::CaptureState;

constexpr uint64_t kNow = 1'000'000;
constexpr uint32_t kFrameBytes = 1518;

class CaptureFile : public ::testing::Test {
 protected:
  void SetUp() override {
    start_eal();
    static rte_mempool* const kPool = make_pool(255);
    static RingPort* const kPort = new RingPort(kPool);  // lives with the EAL
    pool_ = kPool;
    port_ = kPort->device();
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-capture-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    commands_ = rte_ring_create_elem("main", 64, 64, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    ASSERT_NE(commands_, nullptr);
    capture_ = std::make_unique<Capture>(directory_, 1, kFrameBytes, status_);
  }
  void TearDown() override {
    capture_.reset();
    rte_ring_free(commands_);
    rte_ring_free(rte_ring_lookup("capture-0"));
    rte_mempool_free(rte_mempool_lookup("capture"));
    std::filesystem::remove_all(directory_);
  }

  void command(const channel::Command& command) {
    ASSERT_EQ(rte_ring_sp_enqueue_bulk_elem(commands_, &command, sizeof command, 1, nullptr), 1u);
  }
  void start(uint64_t packets, uint64_t bytes, uint64_t deadline_ms = kNow + 1000, uint64_t key = 0xabc) {
    channel::StartCapture message{};
    message.header.type = channel::CommandType::kStartCapture;
    message.key = key;
    message.deadline_ms = deadline_ms;
    message.packets = packets;
    message.bytes = bytes;
    command(channel::Command(message));
    capture_->poll(commands_, kNow);
  }
  void stop() {
    command(channel::Command(channel::CommandHeader{channel::CommandType::kStopCapture}));
    capture_->poll(commands_, kNow);
  }
  /// A copy, as a worker makes it.
  void copy(size_t bytes) {
    const CaptureSink& sink = *capture_->sink(0);
    rte_mbuf* mbuf = make_mbuf(pool_, Bytes(bytes, 0x55));
    rte_mbuf* made = rte_pcapng_copy(port_, 0, mbuf, sink.pool.load(), UINT32_MAX, 0, RTE_PCAPNG_DIRECTION_IN);
    rte_pktmbuf_free(mbuf);
    ASSERT_NE(made, nullptr);
    ASSERT_EQ(rte_ring_sp_enqueue(sink.ring, made), 0);
  }
  std::string path(uint64_t key = 0xabc) const { return directory_ + "/" + channel::capture_file_name(key); }

  std::string directory_;
  rte_mempool* pool_ = nullptr;
  uint16_t port_ = 0;
  rte_ring* commands_ = nullptr;
  channel::CaptureStatus status_{};
  std::unique_ptr<Capture> capture_;
};

TEST_F(CaptureFile, IsPcapngForItsOwnerAloneAndGoesWhenToldTo) {
  start(10, 1 << 20);
  ASSERT_EQ(status_.state, CaptureState::kRunning);
  EXPECT_EQ(status_.key, 0xabcU);
  copy(60);
  copy(1500);
  EXPECT_TRUE(capture_->poll(commands_, kNow));
  EXPECT_EQ(status_.packets, 2u);
  struct stat info{};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_GT(static_cast<uint64_t>(info.st_size), status_.bytes);
  std::ifstream file(path(), std::ios::binary);
  uint32_t block = 0;
  file.read(reinterpret_cast<char*>(&block), sizeof block);
  EXPECT_EQ(block, 0x0a0d0d0au) << "a section header block";
  stop();
  EXPECT_EQ(status_.state, CaptureState::kEnded);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(CaptureFile, EndsAtItsPackets) {
  start(2, 1 << 20);
  for (int i = 0; i < 5; i++) copy(100);
  capture_->poll(commands_, kNow);
  EXPECT_EQ(status_.state, CaptureState::kEnded);
  EXPECT_EQ(status_.packets, 2u);
  EXPECT_TRUE(std::filesystem::exists(path())) << "until it was fetched";
}

TEST_F(CaptureFile, EndsBeforeItsBytesAreExceeded) {
  start(1000, 5000);
  for (int i = 0; i < 10; i++) copy(1000);
  capture_->poll(commands_, kNow);
  EXPECT_EQ(status_.state, CaptureState::kEnded);
  EXPECT_LE(status_.bytes, 5000u);
  EXPECT_GE(status_.packets, 3u);
}

TEST_F(CaptureFile, EndsInTimeAndWithControl) {
  start(10, 1 << 20, kNow + 1000);
  capture_->poll(commands_, kNow + 999);
  EXPECT_EQ(status_.state, CaptureState::kRunning);
  capture_->poll(commands_, kNow + 1000);
  EXPECT_EQ(status_.state, CaptureState::kEnded);

  start(10, 1 << 20, kNow + 1000, 0xdef);
  EXPECT_FALSE(std::filesystem::exists(path())) << "one at a time";
  EXPECT_TRUE(std::filesystem::exists(path(0xdef)));
  capture_->poll(nullptr, kNow);
  EXPECT_EQ(status_.state, CaptureState::kEnded);
  EXPECT_FALSE(std::filesystem::exists(path(0xdef))) << "nobody is left to fetch it";

  start(0, 1 << 20, kNow + 1000, 0xfed);  // ends at once, and waits to be fetched
  copy(60);
  capture_->poll(commands_, kNow);
  EXPECT_EQ(status_.state, CaptureState::kEnded);
  EXPECT_TRUE(std::filesystem::exists(path(0xfed)));
  capture_->poll(nullptr, kNow);
  EXPECT_FALSE(std::filesystem::exists(path(0xfed)));
}

TEST_F(CaptureFile, SaysWhyItCannotBeWritten) {
  std::filesystem::remove_all(directory_);
  start(10, 1 << 20);
  EXPECT_EQ(status_.state, CaptureState::kFailed);
  EXPECT_EQ(status_.error, static_cast<uint32_t>(ENOENT));
  start(10, 1 << 20, kNow);
  EXPECT_EQ(status_.error, static_cast<uint32_t>(EINVAL)) << "over before it began";
}

TEST_F(CaptureFile, LeftoversOfAKilledProcessAreRemoved) {
  std::ofstream(path(1)) << "x";
  std::ofstream(directory_ + "/capture-notes.txt") << "x";
  const Capture next(directory_, 1, kFrameBytes, status_);
  EXPECT_FALSE(std::filesystem::exists(path(1)));
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/capture-notes.txt"));
}

}  // namespace
}  // namespace sluice::testing

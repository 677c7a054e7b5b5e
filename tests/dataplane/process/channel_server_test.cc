// SPDX-License-Identifier: Apache-2.0
//
// The channel's server with a control in the same process: what goes over the socket, epochs, replacement, unmapping.
#include "dataplane/process/channel_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/setup_error.h"

namespace sluice {
namespace {

constexpr uint32_t kWorkers = 2;
constexpr int kDeadlineMs = 5000;

/// The control process as far as the channel goes.
struct FakeControl {
  Descriptor socket;
  channel::Hello hello;
  Descriptor segment;
  Descriptor statistics;
  std::array<Descriptor, kWorkers> flow_memories;
};

Descriptor connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::ranges::copy(path, address.sun_path);
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return socket;
  EXPECT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << strerror(errno);
  return socket;
}

/// Whether the descriptor becomes readable before the deadline.
bool readable(int descriptor) {
  pollfd waiting{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, kDeadlineMs) == 1;
}

/// Receives the greeting and its descriptors.
void receive_hello(FakeControl& control) {
  ASSERT_TRUE(readable(control.socket.get()));
  iovec words{.iov_base = &control.hello, .iov_len = sizeof control.hello};
  std::array<int, 2 + kWorkers> descriptors{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof descriptors)> space{};
  msghdr message{};
  message.msg_iov = &words;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = space.size();
  ASSERT_EQ(recvmsg(control.socket.get(), &message, MSG_CMSG_CLOEXEC), static_cast<ssize_t>(sizeof control.hello));
  const cmsghdr* rights = CMSG_FIRSTHDR(&message);
  ASSERT_NE(rights, nullptr);
  ASSERT_EQ(rights->cmsg_len, CMSG_LEN(sizeof descriptors));
  std::memcpy(descriptors.data(), CMSG_DATA(rights), sizeof descriptors);
  control.segment = Descriptor(descriptors[0]);
  control.statistics = Descriptor(descriptors[1]);
  for (uint32_t worker = 0; worker < kWorkers; worker++) {
    control.flow_memories[worker] = Descriptor(descriptors[2 + worker]);
  }
}

class Channel : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-channel-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    open_server();
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  void open_server() { server_ = std::make_unique<ChannelServer>(path(), statistics_, flow_memories()); }
  std::string path() const { return directory_ + "/channel.sock"; }

  /// One page per worker, with the worker's number in it.
  static std::vector<Descriptor> flow_memories() {
    std::vector<Descriptor> out;
    for (uint32_t worker = 0; worker < kWorkers; worker++) {
      const SharedMemory memory = make_shared_memory("flows", 4096);
      memory.mapping.data()[0] = std::byte(worker + 1);
      out.push_back(reopen_read_only(memory.descriptor));
    }
    return out;
  }

  FakeControl connect() {
    FakeControl control;
    control.socket = connect_to(path());
    EXPECT_TRUE(readable(server_->descriptor()));
    server_->poll();
    receive_hello(control);
    return control;
  }

  /// What a worker does with an attachment: moves to its rings, and leaves older arenas when `snapshot` is through.
  void worker_moves(uint32_t worker, bool snapshot) {
    const ChannelAttachment* attachment = server_->attachment()->load();
    statistics_.worker(worker).segment_epoch = attachment->epoch;
    auto* oldest = server_->oldest_epoch_in_use(worker);
    if (snapshot) {
      oldest->store(attachment->epoch);
    } else {
      oldest->store(std::max(oldest->load(), attachment->forget_before));
    }
  }

  std::string directory_;
  static std::array<channel::PortStatus, 2> two_ports() {
    std::array<channel::PortStatus, 2> out{};
    out[0] = {.name = "front", .twin = "slf0", .mac = {{2, 0, 0, 0, 0, 1}}};
    out[1] = {.name = "back", .twin = "slb0", .mac = {{2, 0, 0, 0, 0, 2}}, .vlan = 7};
    return out;
  }
  Statistics statistics_{kWorkers, 1'000'000'000, two_ports()};
  std::unique_ptr<ChannelServer> server_;
};

TEST_F(Channel, HandsOverALaidOutSegment) {
  const FakeControl control = connect();
  EXPECT_EQ(control.hello.magic, channel::kSegmentMagic);
  EXPECT_EQ(control.hello.abi_version, channel::kAbiVersion);

  const Mapping segment(channel::segment_bytes(kWorkers), PROT_READ | PROT_WRITE, MAP_SHARED, control.segment.get());
  ASSERT_TRUE(segment);
  const auto& header = *reinterpret_cast<const channel::SegmentHeader*>(segment.data());
  EXPECT_EQ(header.magic, channel::kSegmentMagic);
  EXPECT_EQ(header.workers, kWorkers);
  EXPECT_EQ(header.segment_bytes, channel::segment_bytes(kWorkers));
  EXPECT_EQ(header.rings_offset, channel::kRingsOffset);
  EXPECT_EQ(header.arena_offset, channel::arena_offset(kWorkers));
  EXPECT_EQ(header.arena_offset + header.arena_bytes, header.segment_bytes);

  // A command put in by control comes out on the worker's side, at another address of the same memory.
  std::array<channel::Command, 1> command;
  command[0].header = {channel::CommandType::kDropBackend, 0, 7, 1};
  ASSERT_TRUE(channel::put_all(channel::command_ring(segment.data(), 1), std::span<const channel::Command>(command)));
  const ChannelAttachment* attachment = server_->attachment()->load();
  ASSERT_NE(attachment, nullptr);
  EXPECT_EQ(attachment->epoch, 1u);
  EXPECT_EQ(attachment->arena_offset, channel::arena_offset(kWorkers));
  std::array<channel::Command, 4> taken;
  EXPECT_EQ(channel::take_some(channel::command_ring(attachment->base, 0), std::span<channel::Command>(taken)), 0u);
  ASSERT_EQ(channel::take_some(channel::command_ring(attachment->base, 1), std::span<channel::Command>(taken)), 1u);
  EXPECT_EQ(taken[0].header.id, 7);
}

TEST_F(Channel, SegmentCanNeitherShrinkNorGrow) {
  const FakeControl control = connect();
  EXPECT_NE(ftruncate(control.segment.get(), 4096), 0);
  EXPECT_NE(ftruncate(control.segment.get(), static_cast<off_t>(channel::segment_bytes(kWorkers) * 2)), 0);
}

TEST_F(Channel, StatisticsAreReadOnlyAndOneForAllConnections) {
  FakeControl control = connect();
  const size_t bytes = channel::stats_bytes(kWorkers);
  EXPECT_FALSE(Mapping(bytes, PROT_READ | PROT_WRITE, MAP_SHARED, control.statistics.get()));
  const Mapping first(bytes, PROT_READ, MAP_SHARED, control.statistics.get());
  ASSERT_TRUE(first);
  const auto& header = *reinterpret_cast<const channel::StatsHeader*>(first.data());
  EXPECT_EQ(header.magic, channel::kStatsMagic);
  EXPECT_EQ(header.workers, kWorkers);
  EXPECT_EQ(header.stats_bytes, bytes);
  EXPECT_EQ(header.segment_epoch, 1u);
  EXPECT_EQ(header.ports, 2u);
  EXPECT_STREQ(header.port[1].name, "back");
  EXPECT_STREQ(header.port[1].twin, "slb0");
  EXPECT_EQ(header.port[1].mac, two_ports()[1].mac);
  EXPECT_EQ(header.port[1].vlan, 7);
  EXPECT_EQ(header.pid, static_cast<uint32_t>(getpid()));

  statistics_.worker(1).counters[3] = 42;
  control = connect();
  EXPECT_EQ(header.segment_epoch, 2u);
  const Mapping second(bytes, PROT_READ, MAP_SHARED, control.statistics.get());
  ASSERT_TRUE(second);
  EXPECT_EQ(channel::worker_stats(second.data(), 1).counters[3], 42u);
}

TEST_F(Channel, FlowMemoryOfEachWorkerCanOnlyBeRead) {
  const FakeControl control = connect();
  ASSERT_EQ(control.hello.flow_memories, kWorkers);
  for (uint32_t worker = 0; worker < kWorkers; worker++) {
    const Descriptor& memory = control.flow_memories[worker];
    EXPECT_FALSE(Mapping(4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get()));
    const Mapping mapping(4096, PROT_READ, MAP_SHARED, memory.get());
    ASSERT_TRUE(mapping);
    EXPECT_EQ(std::to_integer<uint32_t>(mapping.data()[0]), worker + 1);
  }
}

TEST_F(Channel, MainCommandsAreTakenWhileControlIsConnected) {
  EXPECT_EQ(server_->main_commands(), nullptr);
  {
    const FakeControl control = connect();
    const Mapping segment(channel::segment_bytes(kWorkers), PROT_READ | PROT_WRITE, MAP_SHARED, control.segment.get());
    std::array<channel::Command, 1> command;
    command[0].header = {channel::CommandType::kStopCapture, 0, 0, 0};
    ASSERT_TRUE(
        channel::put_all(channel::main_ring(segment.data(), kWorkers), std::span<const channel::Command>(command)));
    std::array<channel::Command, 4> taken;
    ASSERT_EQ(channel::take_some(server_->main_commands(), std::span<channel::Command>(taken)), 1u);
    EXPECT_EQ(taken[0].header.type, channel::CommandType::kStopCapture);
  }
  ASSERT_TRUE(readable(server_->descriptor()));
  server_->poll();
  EXPECT_EQ(server_->main_commands(), nullptr);
  EXPECT_TRUE(server_->attachment()->load()->ended) << "by which the workers end their inspections";
}

TEST_F(Channel, NewConnectionReplacesTheOld) {
  const FakeControl first = connect();
  const FakeControl second = connect();
  char byte = 0;
  ASSERT_TRUE(readable(first.socket.get()));
  EXPECT_EQ(recv(first.socket.get(), &byte, 1, 0), 0) << "the old connection is closed";
  EXPECT_EQ(recv(second.socket.get(), &byte, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(server_->attachment()->load()->epoch, 2u);
}

TEST_F(Channel, EndOfConnectionIsNoticedAndTheSegmentStays) {
  FakeControl control = connect();
  const ChannelAttachment* before = server_->attachment()->load();
  control.socket = Descriptor();
  ASSERT_TRUE(readable(server_->descriptor()));
  server_->poll();
  server_->reap();
  EXPECT_FALSE(server_->connected());
  EXPECT_EQ(server_->attachment()->load(), before);
  EXPECT_EQ(server_->segments(), 1u);
}

TEST_F(Channel, ConnectionThatSpeaksIsClosed) {
  const FakeControl control = connect();
  ASSERT_EQ(send(control.socket.get(), "x", 1, 0), 1);
  ASSERT_TRUE(readable(server_->descriptor()));
  server_->poll();
  EXPECT_FALSE(server_->connected());
}

TEST_F(Channel, SegmentIsUnmappedOnlyWhenEveryWorkerHasLeftRingsAndArena) {
  const FakeControl first = connect();
  for (uint32_t worker = 0; worker < kWorkers; worker++) worker_moves(worker, true);
  const FakeControl second = connect();
  server_->reap();
  EXPECT_EQ(server_->segments(), 2u) << "no worker has moved";
  worker_moves(0, true);
  server_->reap();
  EXPECT_EQ(server_->segments(), 2u) << "worker 1 has not moved";
  worker_moves(1, false);
  server_->reap();
  EXPECT_EQ(server_->segments(), 2u) << "worker 1 still reads the old arena";
  worker_moves(1, true);
  server_->reap();
  EXPECT_EQ(server_->segments(), 1u);
}

TEST_F(Channel, ControlThatNeverEndsASnapshotCannotPileUpSegments) {
  std::vector<FakeControl> controls;
  for (size_t i = 0; i < 3 * ChannelServer::kSegmentsMax; i++) {
    controls.push_back(connect());
    for (uint32_t worker = 0; worker < kWorkers; worker++) worker_moves(worker, false);
    server_->reap();
    ASSERT_LE(server_->segments(), ChannelServer::kSegmentsMax);
  }
  EXPECT_GT(server_->attachment()->load()->forget_before, 0u);
}

TEST_F(Channel, SocketIsForItsGroupAndReplacesAStaleOne) {
  struct stat status{};
  ASSERT_EQ(stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  // As after kill -9: the file is there, and nobody listens.
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path()));
  {
    const Descriptor stale(open(path().c_str(), O_CREAT | O_WRONLY, 0600));
  }
  open_server();
  connect();
}

TEST(ChannelServer, RefusesAPathThatIsTooLong) {
  Statistics statistics(1, 1, {});
  EXPECT_THROW(ChannelServer("/tmp/" + std::string(200, 'x'), statistics, {}), SetupError);
  EXPECT_THROW(ChannelServer("/nonexistent/channel.sock", statistics, {}), SetupError);
}

}  // namespace
}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/channel_server.h"

#include <fmt/format.h>
#include <rte_ring.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "dataplane/base/setup_error.h"

namespace sluice {
namespace {

void watch(const Descriptor& events, const Descriptor& what, uint32_t mask) {
  epoll_event event{.events = mask, .data = {.fd = what.get()}};
  epoll_ctl(events.get(), EPOLL_CTL_ADD, what.get(), &event);
}

Descriptor listen_on(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    throw SetupError(
        fmt::format("channel socket {}: a socket's path has at most {} bytes", path, sizeof address.sun_path - 1));
  }
  std::ranges::copy(path, address.sun_path);
  unlink(path.c_str());  // of an earlier process: the instance's lock is ours
  Descriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener || bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      chmod(path.c_str(), 0660) != 0 || listen(listener.get(), 4) != 0) {
    throw SetupError(fmt::format("channel socket {}: {}", path, std::strerror(errno)));
  }
  return listener;
}

/// The process at the other end; 0 if the kernel does not say.
pid_t peer_pid(const Descriptor& connection) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  return getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 ? peer.pid : 0;
}

}  // namespace

void lay_out_segment(std::byte* base, uint32_t workers) {
  constexpr unsigned kFlags = RING_F_SP_ENQ | RING_F_SC_DEQ;
  for (uint32_t worker = 0; worker < workers; worker++) {
    rte_ring_init(channel::command_ring(base, worker), "commands", channel::kRingEntries, kFlags);
    rte_ring_init(channel::event_ring(base, worker), "events", channel::kRingEntries, kFlags);
    rte_ring_init(channel::trace_ring(base, worker), "trace", channel::kRingEntries, kFlags);
    rte_ring_init(channel::session_ring(base, workers, worker), "sessions", channel::kSessionRingEntries, kFlags);
    rte_ring_init(channel::hello_ring(base, workers, worker), "hellos", channel::kHelloRingEntries, kFlags);
  }
  rte_ring_init(channel::main_ring(base, workers), "main", channel::kRingEntries, kFlags);
  *reinterpret_cast<channel::SegmentHeader*>(base) = {.magic = channel::kSegmentMagic,
                                                      .abi_version = channel::kAbiVersion,
                                                      .workers = workers,
                                                      .segment_bytes = channel::segment_bytes(workers),
                                                      .rings_offset = channel::kRingsOffset,
                                                      .ring_stride = channel::kRingStride,
                                                      .arena_offset = channel::arena_offset(workers),
                                                      .arena_bytes = channel::kArenaBytes};
}

ChannelServer::ChannelServer(std::string socket_path, Statistics& statistics, std::vector<Descriptor> flow_memories)
    : socket_path_(std::move(socket_path)),
      workers_(static_cast<uint32_t>(flow_memories.size())),
      statistics_(statistics),
      flow_memories_(std::move(flow_memories)),
      events_(epoll_create1(EPOLL_CLOEXEC)),
      listener_(listen_on(socket_path_)),
      in_use_(workers_) {
  if (!events_) throw SetupError(fmt::format("channel: epoll: {}", std::strerror(errno)));
  watch(events_, listener_, EPOLLIN);
}

ChannelServer::~ChannelServer() {
  unlink(socket_path_.c_str());
}

void ChannelServer::poll() {
  std::array<epoll_event, 4> ready;
  const int n = epoll_wait(events_.get(), ready.data(), static_cast<int>(ready.size()), 0);
  const int connection = connection_.get();
  for (int i = 0; i < n; i++) {
    if (ready[static_cast<size_t>(i)].data.fd == connection) watch_connection();
  }
  for (int i = 0; i < n; i++) {
    if (ready[static_cast<size_t>(i)].data.fd == listener_.get()) accept_connection();
  }
}

void ChannelServer::watch_connection() {
  char byte = 0;
  const ssize_t n = recv(connection_.get(), &byte, 1, MSG_DONTWAIT);
  if (n == 0) return close_connection("control closed it");
  if (n > 0) return close_connection("control wrote to a channel that has no words that way");
  if (errno != EAGAIN && errno != EINTR) close_connection(std::strerror(errno));
}

void ChannelServer::close_connection(const char* reason) {
  spdlog::info("channel: connection {} ended: {}; packets go by the last state", epoch_, reason);
  connection_ = Descriptor();
  // Pairs with nothing: a worker whose inspections are to end may see it a moment later.
  __atomic_store_n(&segments_.back()->attachment.ended, true, __ATOMIC_RELAXED);
}

void ChannelServer::accept_connection() {
  Descriptor connection(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!connection) return;
  reap();
  std::unique_ptr<Segment> segment;
  try {
    segment = make_segment();
  } catch (const SetupError& error) {
    spdlog::error("channel: connection refused: {}", error.what());
    return;
  }
  if (!hand_over(connection, *segment)) {
    spdlog::warn("channel: connection {} lost while handing over: {}", epoch_, std::strerror(errno));
    return;
  }
  if (connection_) spdlog::warn("channel: another control took over; the old connection is closed");
  connection_ = std::move(connection);
  watch(events_, connection_, EPOLLIN | EPOLLRDHUP);
  spdlog::info("channel: connection {} of process {}", epoch_, peer_pid(connection_));
  attach(std::move(segment));
}

std::unique_ptr<ChannelServer::Segment> ChannelServer::make_segment() {
  const size_t bytes = channel::segment_bytes(workers_);
  auto segment = std::make_unique<Segment>();
  segment->memory = make_shared_memory("sluice-channel", bytes);
  std::byte* base = segment->memory.mapping.data();
  // The rings are taken now, so that no worker meets a page fault in them. The arena stays sparse.
  madvise(base, channel::arena_offset(workers_), MADV_POPULATE_WRITE);
  lay_out_segment(base, workers_);
  segment->attachment = {.epoch = ++epoch_,
                         .forget_before = 0,
                         .base = base,
                         .bytes = bytes,
                         .arena_offset = channel::arena_offset(workers_)};
  return segment;
}

bool ChannelServer::hand_over(const Descriptor& connection, const Segment& segment) {
  // Pairs with control's acquire load after it received the descriptors.
  __atomic_store_n(&statistics_.header().segment_epoch, segment.attachment.epoch, __ATOMIC_RELEASE);
  channel::Hello hello;
  hello.flow_memories = workers_;
  iovec words{.iov_base = &hello, .iov_len = sizeof hello};
  std::vector<int> descriptors{segment.memory.descriptor.get(), statistics_.read_only_descriptor().get()};
  for (const Descriptor& memory : flow_memories_) descriptors.push_back(memory.get());
  const size_t bytes = descriptors.size() * sizeof(int);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(channel::kMaxDescriptors * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &words;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(bytes);
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(bytes);
  std::memcpy(CMSG_DATA(rights), descriptors.data(), bytes);
  return sendmsg(connection.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof hello);
}

void ChannelServer::attach(std::unique_ptr<Segment> segment) {
  segments_.push_back(std::move(segment));
  ChannelAttachment& newest = segments_.back()->attachment;
  if (segments_.size() > kSegmentsMax) {
    newest.forget_before = segments_[segments_.size() - kSegmentsMax]->attachment.epoch;
    spdlog::warn("channel: {} connections without a complete snapshot; tables older than connection {} are dropped",
                 segments_.size(), newest.forget_before);
  }
  // Pairs with the workers' acquire load: the segment is laid out before it is seen.
  attachment_.store(&newest, std::memory_order_release);
}

void ChannelServer::reap() {
  if (segments_.size() < 2) return;
  uint64_t oldest = segments_.back()->attachment.epoch;
  for (uint32_t worker = 0; worker < workers_; worker++) {
    // Both pair with the worker's release stores, made when it had left what is older.
    oldest = std::min(oldest, in_use_[worker].oldest_epoch.load(std::memory_order_acquire));
    oldest = std::min(oldest, __atomic_load_n(&statistics_.worker(worker).segment_epoch, __ATOMIC_ACQUIRE));
  }
  while (segments_.front()->attachment.epoch < oldest) segments_.pop_front();
}

}  // namespace sluice

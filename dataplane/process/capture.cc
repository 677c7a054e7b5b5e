// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/capture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "dataplane/contract/trace.h"

namespace sluice {
namespace {

constexpr uint32_t kRingEntries = 2048;  // per worker
constexpr uint32_t kBurst = 64;
constexpr uint32_t kPoolCache = 64;
constexpr std::array<uint32_t, 3> kPoolSizes{8191, 4095, 1023};  // the first that memory_mb has room for

void remove_leftovers(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(channel::kCaptureFilePrefix) && name.ends_with(channel::kCaptureFileSuffix)) {
      unlink(entry.path().c_str());
    }
  }
}

}  // namespace

Capture::Capture(std::string directory, uint32_t workers, uint32_t frame_bytes, channel::CaptureStatus& status)
    : directory_(std::move(directory)), frame_bytes_(frame_bytes), status_(status), sinks_(workers) {
  remove_leftovers(directory_);
}

Capture::~Capture() {
  if (running()) finish(channel::CaptureState::kEnded);
  remove_file();
}

bool Capture::poll(rte_ring* commands, uint64_t now_ms) {
  if (commands != commands_) {  // who asked for it is gone, and nobody is left to fetch it
    if (running()) finish(channel::CaptureState::kEnded);
    remove_file();
    commands_ = commands;
  }
  std::array<channel::Command, 8> taken;
  const unsigned n = commands == nullptr ? 0 : channel::take_some(commands, std::span<channel::Command>(taken));
  for (unsigned i = 0; i < n; i++) {
    if (taken[i].header.type == channel::CommandType::kStartCapture) {
      start(taken[i].start_capture, now_ms);
    } else if (taken[i].header.type == channel::CommandType::kStopCapture) {
      for (CaptureSink& sink : sinks_) {  // what came before the word
        if (running()) write_some(sink.ring);
      }
      if (running()) finish(channel::CaptureState::kEnded);
      remove_file();
    }
  }
  if (!running()) return n != 0;
  const uint64_t packets_before = status_.packets;
  for (CaptureSink& sink : sinks_) {
    if (running()) write_some(sink.ring);
  }
  if (running() && wanted_.deadline_ms <= now_ms) finish(channel::CaptureState::kEnded);
  return n != 0 || status_.packets != packets_before;
}

void Capture::start(const channel::StartCapture& wanted, uint64_t now_ms) {
  if (running()) finish(channel::CaptureState::kEnded);
  remove_file();
  wanted_ = wanted;
  status_ = {};
  __atomic_store_n(&status_.key, wanted.key, __ATOMIC_RELEASE);
  if (wanted.deadline_ms <= now_ms || wanted.deadline_ms - now_ms > channel::kMaxInspectionMs) return fail(EINVAL);
  if (!make_sinks()) return fail(rte_errno == 0 ? ENOMEM : rte_errno);
  for (CaptureSink& sink : sinks_) {  // what came after the last one's end
    rte_mbuf* late = nullptr;
    while (rte_ring_sc_dequeue(sink.ring, reinterpret_cast<void**>(&late)) == 0) rte_pktmbuf_free(late);
  }
  if (!open_file(wanted.key)) return fail(errno);
  // Pairs with control's acquire load: it may put inspections now.
  __atomic_store_n(reinterpret_cast<uint32_t*>(&status_.state), static_cast<uint32_t>(channel::CaptureState::kRunning),
                   __ATOMIC_RELEASE);
  spdlog::info("capture: {} begun", path_);
}

bool Capture::make_sinks() {
  rte_errno = 0;
  const auto data_room = static_cast<uint16_t>(std::min<uint32_t>(rte_pcapng_mbuf_size(frame_bytes_), UINT16_MAX));
  for (const uint32_t size : kPoolSizes) {
    if (pool_ == nullptr) {
      pool_ = rte_pktmbuf_pool_create("capture", size, kPoolCache, 0, data_room, static_cast<int>(rte_socket_id()));
    }
  }
  if (pool_ == nullptr) return false;
  for (size_t worker = 0; worker < sinks_.size(); worker++) {
    CaptureSink& sink = sinks_[worker];
    if (sink.ring == nullptr) {
      sink.ring = rte_ring_create(fmt::format("capture-{}", worker).c_str(), kRingEntries,
                                  static_cast<int>(rte_socket_id()), RING_F_SP_ENQ | RING_F_SC_DEQ);
    }
    if (sink.ring == nullptr) return false;
    sink.pool.store(pool_, std::memory_order_release);  // pairs with the worker's acquire load: the ring is there
  }
  return true;
}

bool Capture::open_file(uint64_t key) {
  path_ = directory_ + "/" + channel::capture_file_name(key);
  file_ = Descriptor(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file_) {
    path_.clear();
    return false;
  }
  const int own = fcntl(file_.get(), F_DUPFD_CLOEXEC, 0);  // the writer closes its own
  writer_ = own < 0 ? nullptr : rte_pcapng_fdopen(own, nullptr, nullptr, "sluice-dataplane", nullptr);
  if (writer_ != nullptr) return true;
  const int error = rte_errno != 0 ? rte_errno : EIO;
  if (own >= 0) close(own);
  remove_file();
  errno = error;
  return false;
}

bool Capture::fits(const rte_mbuf& mbuf) const {
  return status_.packets < wanted_.packets && status_.bytes + rte_pktmbuf_pkt_len(&mbuf) <= wanted_.bytes;
}

void Capture::write_some(rte_ring* ring) {
  std::array<rte_mbuf*, kBurst> mbufs;
  const unsigned n = rte_ring_sc_dequeue_burst(ring, reinterpret_cast<void**>(mbufs.data()), kBurst, nullptr);
  for (unsigned i = 0; i < n; i++) {
    if (!running()) {
      rte_pktmbuf_free(mbufs[i]);
      continue;
    }
    if (!fits(*mbufs[i])) {
      rte_pktmbuf_free(mbufs[i]);
      finish(channel::CaptureState::kEnded);
      continue;
    }
    const ssize_t written = rte_pcapng_write_packets(writer_, &mbufs[i], 1);
    if (written < 0) {
      fail(errno);
      continue;
    }
    status_.packets++;
    __atomic_store_n(&status_.bytes, status_.bytes + static_cast<uint64_t>(written), __ATOMIC_RELAXED);
  }
}

void Capture::finish(channel::CaptureState state, uint32_t error) {
  if (writer_ != nullptr) rte_pcapng_close(writer_);
  writer_ = nullptr;
  file_ = Descriptor();
  status_.error = error;
  // Pairs with control's acquire load: the file is whole, and the figures are the last.
  __atomic_store_n(reinterpret_cast<uint32_t*>(&status_.state), static_cast<uint32_t>(state), __ATOMIC_RELEASE);
  spdlog::info("capture: ended with {} packets, {} bytes", status_.packets, status_.bytes);
}

void Capture::fail(int error) {
  spdlog::error("capture: {}", std::strerror(error));
  finish(channel::CaptureState::kFailed, static_cast<uint32_t>(error));
}

void Capture::remove_file() {
  if (!path_.empty()) unlink(path_.c_str());
  path_.clear();
}

}  // namespace sluice

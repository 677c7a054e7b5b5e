// SPDX-License-Identifier: Apache-2.0
//
// The data plane's end of the channel: listens on a Unix socket, gives each connection
// of control a fresh segment and the statistics, and attaches the segment to all workers. One connection at a
// time: a new one replaces the old. The end of a connection changes nothing for the workers.
//
// For the main lcore alone, except the two atomics, which workers read and write.
// Invariant: a segment is unmapped only when a newer one is attached and every worker has left it, both its
// rings (WorkerStats::segment_epoch) and its arena (oldest_epoch_in_use).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/shared_memory.h"
#include "dataplane/contract/segment.h"
#include "dataplane/process/statistics.h"
#include "dataplane/worker/setup.h"

namespace sluice {

class ChannelServer {
 public:
  /// Segments mapped at a time. Beyond, workers are told to drop tables that lie in older ones.
  static constexpr size_t kSegmentsMax = 8;

  /// Listens on `socket_path` (made with mode 0660; whatever lay there is removed). `statistics` has to outlive
  /// this. `flow_memories`: of each worker, to be read only. Throws SetupError.
  ChannelServer(std::string socket_path, Statistics& statistics, std::vector<Descriptor> flow_memories);
  ~ChannelServer();

  /// Readable (for poll or epoll) when poll() has something to do.
  int descriptor() const { return events_.get(); }
  /// Takes up a waiting connection, notices the end of the current one. Does not block.
  void poll();
  /// Unmaps the segments that no worker uses any more. Cheap when there are none.
  void reap();

  const std::atomic<const ChannelAttachment*>* attachment() const { return &attachment_; }
  std::atomic<uint64_t>* oldest_epoch_in_use(uint32_t worker) { return &in_use_[worker].oldest_epoch; }
  /// Control's commands to the main lcore; null while it is not connected.
  rte_ring* main_commands() const {
    return connection_ ? channel::main_ring(segments_.back()->memory.mapping.data(), workers_) : nullptr;
  }
  bool connected() const { return static_cast<bool>(connection_); }
  size_t segments() const { return segments_.size(); }

 private:
  struct Segment {
    SharedMemory memory;
    ChannelAttachment attachment;
  };
  /// A cache line per worker: each writes its own.
  struct alignas(64) InUse {
    std::atomic<uint64_t> oldest_epoch{0};
  };

  void accept_connection();
  void watch_connection();
  void close_connection(const char* reason);
  std::unique_ptr<Segment> make_segment();
  bool hand_over(const Descriptor& connection, const Segment& segment);
  void attach(std::unique_ptr<Segment> segment);

  std::string socket_path_;
  uint32_t workers_;
  Statistics& statistics_;
  std::vector<Descriptor> flow_memories_;
  Descriptor events_;
  Descriptor listener_;
  Descriptor connection_;
  uint64_t epoch_ = 0;
  std::deque<std::unique_ptr<Segment>> segments_;  // attached, oldest first
  std::atomic<const ChannelAttachment*> attachment_{nullptr};
  std::vector<InUse> in_use_;
};

/// Lays a channel segment for `workers` out in `base` (zeroed, channel::segment_bytes(workers) bytes).
void lay_out_segment(std::byte* base, uint32_t workers);

}  // namespace sluice

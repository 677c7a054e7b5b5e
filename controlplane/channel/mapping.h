// SPDX-License-Identifier: Apache-2.0
//
// The memory of one connection to the data plane, as control maps it: the channel segment, read and written, and,
// read only, the statistics and the workers' flow memory. Every size and offset is checked against the descriptors
// before anything is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

#include "controlplane/base/descriptor.h"
#include "dataplane/contract/segment.h"

namespace sluice::control {

/// A shared mapping of a whole descriptor; unmaps itself.
class Mapping {
 public:
  Mapping() = default;
  ~Mapping();
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  static std::expected<Mapping, std::string> map(const Descriptor& fd, bool writable);

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

class ChannelMapping {
 public:
  /// Maps and checks what came with the greeting: segment, statistics, the flow memory of each worker. The error says
  /// what is wrong, for the operator.
  static std::expected<ChannelMapping, std::string> map(std::span<const Descriptor> descriptors);

  uint32_t workers() const { return workers_; }
  /// Number of this connection: what workers publish once they have moved to its segment.
  uint64_t epoch() const { return epoch_; }
  rte_ring* command_ring(uint32_t worker) const { return channel::command_ring(segment_.data(), worker); }
  rte_ring* event_ring(uint32_t worker) const { return channel::event_ring(segment_.data(), worker); }
  rte_ring* trace_ring(uint32_t worker) const { return channel::trace_ring(segment_.data(), worker); }
  rte_ring* session_ring(uint32_t worker) const { return channel::session_ring(segment_.data(), workers_, worker); }
  rte_ring* hello_ring(uint32_t worker) const { return channel::hello_ring(segment_.data(), workers_, worker); }
  rte_ring* main_ring() const { return channel::main_ring(segment_.data(), workers_); }
  /// Flow memory of `worker`. Its header is to be checked before use: the worker writes it as it starts.
  std::span<const std::byte> flow_memory(uint32_t worker) const {
    return {flow_memories_[worker].data(), flow_memories_[worker].size()};
  }
  std::span<std::byte> arena() const { return {segment_.data() + channel::arena_offset(workers_), arena_bytes_}; }
  const channel::StatsHeader& stats_header() const;
  const channel::WorkerStats& worker_stats(uint32_t worker) const {
    return channel::worker_stats(stats_.data(), worker);
  }
  /// What all workers count the sessions of sources by.
  const channel::LimitTable& limit_table() const { return channel::limit_table(stats_.data(), workers_); }
  /// Whether `worker` reads this connection's rings.
  bool has_moved(uint32_t worker) const;
  /// The sequence (32 bits of it) that `worker` has applied on this connection; 0 before it has moved.
  uint32_t applied(uint32_t worker) const;

 private:
  ChannelMapping(Mapping segment, Mapping stats, std::vector<Mapping> flow_memories);

  Mapping segment_;
  Mapping stats_;
  std::vector<Mapping> flow_memories_;  // by worker
  uint32_t workers_ = 0;
  uint64_t epoch_ = 0;
  size_t arena_bytes_ = 0;
};

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/channel/mapping.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::control {

namespace {

std::unexpected<std::string> wrong(std::string text) {
  return std::unexpected("the data plane's " + std::move(text) +
                         "; run sluice-control and sluice-dataplane of one version");
}

std::expected<void, std::string> check_segment(const Mapping& mapping) {
  if (mapping.size() < sizeof(channel::SegmentHeader)) return wrong("channel segment is too short");
  const auto& header = *reinterpret_cast<const channel::SegmentHeader*>(mapping.data());
  if (header.magic != channel::kSegmentMagic) return wrong("channel segment has an unknown magic number");
  if (header.abi_version != channel::kAbiVersion) {
    return wrong(fmt::format("channel has ABI version {}, ours is {}", header.abi_version, channel::kAbiVersion));
  }
  if (header.workers == 0 || header.workers > channel::kMaxWorkers) {
    return wrong(fmt::format("channel names {} workers (1 to {})", header.workers, channel::kMaxWorkers));
  }
  if (header.rings_offset != channel::kRingsOffset || header.ring_stride != channel::kRingStride ||
      header.arena_offset != channel::arena_offset(header.workers) || header.arena_bytes == 0 ||
      header.arena_bytes > channel::kArenaBytes || header.arena_offset + header.arena_bytes > mapping.size() ||
      header.segment_bytes > mapping.size()) {
    return wrong("channel segment is laid out differently from ours");
  }
  // The inline functions index by these; the rest of a ring's header is masked before use.
  const auto has_size = [](const rte_ring& ring, uint32_t entries) {
    return ring.size == entries && ring.mask == entries - 1 && ring.capacity == entries - 1;
  };
  for (size_t i = 0; i < header.workers * channel::kRingsPerWorker + 1; i++) {
    if (!has_size(*channel::ring_at(mapping.data(), i), channel::kRingEntries)) {
      return wrong(fmt::format("channel ring {} has another size", i));
    }
  }
  for (uint32_t worker = 0; worker < header.workers; worker++) {
    if (!has_size(*channel::session_ring(mapping.data(), header.workers, worker), channel::kSessionRingEntries)) {
      return wrong(fmt::format("channel's session ring {} has another size", worker));
    }
    if (!has_size(*channel::hello_ring(mapping.data(), header.workers, worker), channel::kHelloRingEntries)) {
      return wrong(fmt::format("channel's ring of hellos {} has another size", worker));
    }
  }
  return {};
}

std::expected<void, std::string> check_stats(const Mapping& mapping, uint32_t workers) {
  if (mapping.size() < channel::stats_bytes(workers)) return wrong("statistics are too short");
  const auto& header = *reinterpret_cast<const channel::StatsHeader*>(mapping.data());
  if (header.magic != channel::kStatsMagic || header.abi_version != channel::kAbiVersion) {
    return wrong("statistics have an unknown form");
  }
  if (header.workers != workers || header.ports > channel::kMaxPorts) {
    return wrong("statistics contradict its channel segment");
  }
  return {};
}

}  // namespace

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, size_);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

std::expected<Mapping, std::string> Mapping::map(const Descriptor& fd, bool writable) {
  struct stat info{};
  if (fstat(fd.get(), &info) != 0 || info.st_size <= 0) return wrong("shared memory cannot be read");
  Mapping out;
  const auto bytes = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) {
    return std::unexpected(fmt::format("cannot map the data plane's memory: {}", std::strerror(errno)));
  }
  out.data_ = static_cast<std::byte*>(data);
  out.size_ = bytes;
  return out;
}

std::expected<ChannelMapping, std::string> ChannelMapping::map(std::span<const Descriptor> descriptors) {
  if (descriptors.size() < 2) return wrong("greeting came without memory");
  auto segment = Mapping::map(descriptors[0], true);
  if (!segment) return std::unexpected(segment.error());
  if (auto checked = check_segment(*segment); !checked) return std::unexpected(checked.error());
  auto stats = Mapping::map(descriptors[1], false);
  if (!stats) return std::unexpected(stats.error());
  const auto& header = *reinterpret_cast<const channel::SegmentHeader*>(segment->data());
  if (auto checked = check_stats(*stats, header.workers); !checked) return std::unexpected(checked.error());
  std::vector<Mapping> flow_memories;
  for (const Descriptor& descriptor : descriptors.subspan(2)) {
    auto memory = Mapping::map(descriptor, false);
    if (!memory) return std::unexpected(memory.error());
    flow_memories.push_back(std::move(*memory));
  }
  if (flow_memories.size() != header.workers) return wrong("greeting lacks a worker's flow memory");
  return ChannelMapping(std::move(*segment), std::move(*stats), std::move(flow_memories));
}

ChannelMapping::ChannelMapping(Mapping segment, Mapping stats, std::vector<Mapping> flow_memories)
    : segment_(std::move(segment)), stats_(std::move(stats)), flow_memories_(std::move(flow_memories)) {
  const auto& header = *reinterpret_cast<const channel::SegmentHeader*>(segment_.data());
  workers_ = header.workers;
  arena_bytes_ = header.arena_bytes;
  epoch_ = channel::read_counter(stats_header().segment_epoch);
}

const channel::StatsHeader& ChannelMapping::stats_header() const {
  return *reinterpret_cast<const channel::StatsHeader*>(stats_.data());
}

bool ChannelMapping::has_moved(uint32_t worker) const {
  // Pairs with the worker's release store: applied_sequence and the identities behind it are this connection's.
  return __atomic_load_n(&worker_stats(worker).segment_epoch, __ATOMIC_ACQUIRE) == epoch_;
}

uint32_t ChannelMapping::applied(uint32_t worker) const {
  if (!has_moved(worker)) return 0;
  // Pairs with the worker's release store: what earlier commands replaced is no longer read.
  return static_cast<uint32_t>(__atomic_load_n(&worker_stats(worker).applied_sequence, __ATOMIC_ACQUIRE));
}

}  // namespace sluice::control

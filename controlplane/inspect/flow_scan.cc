// SPDX-License-Identifier: Apache-2.0
#include "controlplane/inspect/flow_scan.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace sluice::control {

namespace {

constexpr unsigned kReadings = 4;

/// The entry's 64 bytes, word by word, as another process writes them.
Flow copy_of(const Flow& entry) {
  std::array<uint64_t, sizeof(Flow) / 8> words;
  const auto* from = reinterpret_cast<const uint64_t*>(&entry);
  for (size_t i = 0; i < words.size(); i++) words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
  Flow out;
  std::memcpy(static_cast<void*>(&out), words.data(), sizeof out);
  return out;
}

bool is_same_flow(const Flow& a, const Flow& b) {
  return a.is_of(b.client_endpoint()) && a.service == b.service && a.backend == b.backend &&
         a.backend_generation == b.backend_generation;
}

bool is_older(const SeenFlow& a, const SeenFlow& b) {
  return a.age_ms > b.age_ms;
}

/// `count` of them at an offset that is not trusted.
template <typename T>
std::optional<std::span<const T>> entries_at(std::span<const std::byte> memory, uint64_t offset, uint64_t count) {
  if (offset % alignof(T) != 0 || offset > memory.size() || count > (memory.size() - offset) / sizeof(T)) {
    return std::nullopt;
  }
  return std::span(reinterpret_cast<const T*>(memory.data() + offset), count);
}

}  // namespace

bool is_in_prefix(const Address& address, const Address& prefix, uint32_t bits) {
  const size_t whole = bits / 8;
  if (!std::equal(prefix.bytes.begin(), prefix.bytes.begin() + whole, address.bytes.begin())) return false;
  return bits % 8 == 0 || (address.bytes[whole] ^ prefix.bytes[whole]) >> (8 - bits % 8) == 0;
}

bool FlowFilter::matches(const Flow& flow) const {
  if (!is_in_prefix(flow.client, client, prefix_bits)) return false;
  if (client_port != 0 && flow.client_port.host() != client_port) return false;
  if (service != channel::kNoService && flow.service != service) return false;
  if (!backends) return true;
  const auto found = backends->find(flow.backend);
  return found != backends->end() && found->second == flow.backend_generation;
}

std::optional<FlowEntries> flows_in(std::span<const std::byte> memory) {
  if (memory.size() < sizeof(FlowMemoryHeader)) return std::nullopt;
  const auto& header = *reinterpret_cast<const FlowMemoryHeader*>(memory.data());
  // Pairs with the worker's release store when it has laid the memory out.
  if (__atomic_load_n(&header.magic, __ATOMIC_ACQUIRE) != kFlowMemoryMagic) return std::nullopt;
  const uint64_t used = __atomic_load_n(&header.flows_used, __ATOMIC_RELAXED);
  const auto flows = entries_at<Flow>(memory, header.flows_offset, used);
  const auto notes = entries_at<channel::SessionNotes>(memory, header.notes_offset, used);
  if (!flows || !notes) return std::nullopt;
  return FlowEntries{*flows, *notes};
}

std::optional<Flow> read_flow(const Flow& entry, bool& torn) {
  for (unsigned i = 0; i < kReadings; i++) {
    if (read_state(entry) == TcpState::kFree) return std::nullopt;
    const Flow first = copy_of(entry);
    // The state is read after what stands beside it: it was not free before, nor is it now.
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (read_state(entry) == TcpState::kFree) return std::nullopt;
    const Flow second = copy_of(entry);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (read_state(entry) == TcpState::kFree) return std::nullopt;
    if (is_same_flow(first, second) && second.state != TcpState::kFree && second.state <= TcpState::kReset) {
      return second;
    }
  }
  torn = true;
  return std::nullopt;
}

FlowScan::FlowScan(FlowFilter filter, size_t limit, uint32_t now_ms)
    : filter_(std::move(filter)), limit_(limit), now_ms_(now_ms) {}

void FlowScan::look_at(const FlowEntries& entries, uint32_t worker) {
  looked_at_ += entries.size();
  for (size_t i = 0; i < entries.size(); i++) {
    bool torn = false;
    const auto flow = read_flow(entries.flows[i], torn);
    torn_ += torn;
    if (!flow || !filter_.matches(*flow)) continue;
    matched_++;
    states_[flow->state]++;
    const auto age = static_cast<int32_t>(now_ms_ - __atomic_load_n(&entries.notes[i].begun_ms, __ATOMIC_RELAXED));
    const SeenFlow seen{*flow, worker, age < 0 ? 0 : static_cast<uint32_t>(age)};  // placed since the scan began
    if (oldest_.size() == limit_) {
      if (limit_ == 0 || !is_older(seen, oldest_.front())) continue;
      std::pop_heap(oldest_.begin(), oldest_.end(), is_older);
      oldest_.pop_back();
    }
    oldest_.push_back(seen);
    std::push_heap(oldest_.begin(), oldest_.end(), is_older);
  }
}

std::vector<SeenFlow> FlowScan::take_oldest() {
  std::sort_heap(oldest_.begin(), oldest_.end(), is_older);
  return std::move(oldest_);
}

uint32_t idle_ms(const Flow& flow, const FlowTimers& timers, uint32_t now_ms) {
  const auto idle = static_cast<int32_t>(timeout_ms(flow.state, timers) - (flow.deadline_ms - now_ms));
  return idle < 0 ? 0 : static_cast<uint32_t>(idle);
}

}  // namespace sluice::control

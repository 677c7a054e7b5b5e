// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/flow_names.h"

#include <array>
#include <cstring>

#include "dataplane/flow/tcp_track.h"

namespace sluice {
namespace {

constexpr unsigned kReadings = 4;

/// The bytes of an entry, word by word, as a worker writes them.
template <typename T>
T copy_of(const T& entry) {
  std::array<uint64_t, sizeof(T) / 8> words;
  const auto* from = reinterpret_cast<const uint64_t*>(&entry);
  for (size_t i = 0; i < words.size(); i++) words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
  T out;
  std::memcpy(static_cast<void*>(&out), words.data(), sizeof out);
  return out;
}

bool is_same(const Flow& a, const Flow& b) {
  return a.is_of(b.client_endpoint()) && a.service == b.service && a.backend == b.backend && a.mode == b.mode &&
         a.backend_generation == b.backend_generation && a.proxy_bytes == b.proxy_bytes && a.spliced == b.spliced &&
         a.local_port == b.local_port && a.state == b.state;
}
bool is_same(const Service& a, const Service& b) {
  return a.vip == b.vip && a.in_use == b.in_use;
}
bool is_same(const Backend& a, const Backend& b) {
  return a.endpoint == b.endpoint && a.in_use == b.in_use && a.generation == b.generation;
}

bool is_same(const Local& a, const Local& b) {
  return a.address == b.address && a.in_use == b.in_use;
}
bool is_same(const Splice& a, const Splice& b) {
  return a.sequence == b.sequence && a.timestamp == b.timestamp && a.client_scale == b.client_scale &&
         a.server_scale == b.server_scale && a.timestamps == b.timestamps;
}

/// An entry of which two readings agree.
template <typename T>
std::optional<T> read_steady(const T& entry) {
  T first = copy_of(entry);
  for (unsigned i = 0; i < kReadings; i++) {
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    const T second = copy_of(entry);
    if (is_same(first, second)) return second;
    first = second;
  }
  return std::nullopt;
}

template <typename T>
const T* array_at(const std::byte* memory, size_t offset) {
  return reinterpret_cast<const T*>(memory + offset);
}

FlowStage stage_of(TcpState state) {
  if (state == TcpState::kFree || is_over(state)) return FlowStage::kEnded;
  return state == TcpState::kSynSent || state == TcpState::kSynReceived ? FlowStage::kPlaced : FlowStage::kOpen;
}

}  // namespace

std::optional<ToldFlow> FlowNames::at(FlowIndex index) const noexcept {
  const auto flow = read(index);
  return flow ? name(index, *flow) : std::nullopt;
}

std::optional<ToldFlow> FlowNames::established_at(FlowIndex index) const noexcept {
  const auto flow = read(index);
  const bool established = flow && flow->state >= TcpState::kEstablished && !is_over(flow->state);
  return established ? name(index, *flow) : std::nullopt;
}

std::optional<Flow> FlowNames::read(FlowIndex index) const noexcept {
  if (index >= used()) return std::nullopt;
  auto flow = read_steady(array_at<Flow>(memory_, flows_offset(capacity_))[index]);
  if (!flow || flow->state > TcpState::kReset || flow->client_port.raw == 0) return std::nullopt;
  if (flow->service >= channel::kMaxServices || flow->backend >= channel::kMaxBackends) return std::nullopt;
  return flow;
}

/// What is to be said of a flow that is more than NAT. False if it cannot be said. `has_header`: a PROXY header belongs
/// to it.
bool FlowNames::name_special(FlowIndex index, const Flow& flow, bool has_header, ToldFlow& out) const noexcept {
  if (flow.forwarding() == channel::Forwarding::kFullnat) {
    const auto local = read_steady(array_at<Local>(memory_, kLocalsOffset)[flow.local_index()]);
    if (!local || !local->in_use || flow.local_port.raw == 0) return false;
    out.local = {local->address, flow.local_port};
  }
  const bool nat = flow.forwarding() == channel::Forwarding::kNat;
  if (out.stage == FlowStage::kPlaced && (flow.spliced || (has_header && nat))) {
    // Both handshakes are this node's alone, or the header that follows on them is. Of NAT the backend's answer may
    // come to another, which is to pass it on: by what it acknowledges it is known.
    out.splice = ToldSplice{.sequence = flow.client_next};
    return nat;
  }
  if (!flow.spliced) return true;
  const auto splice = read_steady(array_at<Splice>(memory_, splices_offset(capacity_))[index]);
  if (!splice) return false;
  out.splice = {.sequence = splice->sequence,
                .timestamp = splice->timestamp,
                .client_scale = static_cast<uint8_t>(splice->client_scale),
                .server_scale = static_cast<uint8_t>(splice->server_scale),
                .timestamps = splice->timestamps != 0};
  return true;
}

std::optional<ToldFlow> FlowNames::name(FlowIndex index, const Flow& flow) const noexcept {
  const auto service = read_steady(array_at<Service>(memory_, kServicesOffset)[flow.service]);
  if (!service || !service->in_use) return std::nullopt;
  ToldFlow out;
  out.client = flow.client_endpoint();
  out.vip = service->vip;
  out.forwarding = flow.forwarding();
  out.stage = stage_of(flow.state);
  if (out.stage == FlowStage::kEnded) return out;
  const auto backend = read_steady(array_at<Backend>(memory_, kBackendsOffset)[flow.backend]);
  if (!backend || !backend->in_use || backend->generation != flow.backend_generation) return std::nullopt;
  out.backend = backend->endpoint;
  out.proxy_bytes = flow.proxy_bytes;
  const bool has_header = service->proxy != channel::ProxyHeader::kNone;
  return name_special(index, flow, has_header, out) ? std::optional(out) : std::nullopt;
}

uint32_t FlowNames::used() const noexcept {
  const auto& header = *reinterpret_cast<const FlowMemoryHeader*>(memory_);
  // Pairs with the worker's release store when it has laid the memory out.
  if (__atomic_load_n(&header.magic, __ATOMIC_ACQUIRE) != kFlowMemoryMagic) return 0;
  const uint32_t used = __atomic_load_n(&header.flows_used, __ATOMIC_RELAXED);
  return used < capacity_ ? used : capacity_;
}

}  // namespace sluice

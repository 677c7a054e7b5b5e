// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/inheritance.h"

#include <algorithm>
#include <cstring>

#include "dataplane/flow/local_ports.h"
#include "dataplane/flow/owner_table.h"

namespace sluice {
namespace {

constexpr size_t kNobody = SIZE_MAX;

template <typename T>
std::vector<T> copy_of(const std::byte* from, size_t count) {
  std::vector<T> out(count);
  std::memcpy(static_cast<void*>(out.data()), from, count * sizeof(T));
  return out;
}

bool has_flow(const std::byte* flow) {
  return std::to_integer<uint8_t>(flow[offsetof(Flow, state)]) != static_cast<uint8_t>(TcpState::kFree);
}

/// Replies to an endpoint of ours go where its port says.
bool finds_replies(const Flow& flow, uint32_t worker, uint32_t workers) {
  return flow.forwarding() != channel::Forwarding::kFullnat || local_port_owner(flow.local_port, workers) == worker;
}

}  // namespace

bool Inheritance::means_the_same(const Flow& flow, const Service* services, const Backend* backends,
                                 const Local* locals) const {
  const Service& service = services_[flow.service];
  const Backend& backend = backends_[flow.backend];
  const bool same = services[flow.service].in_use == service.in_use && services[flow.service].vip == service.vip &&
                    backends[flow.backend].endpoint == backend.endpoint &&
                    backends[flow.backend].generation == backend.generation;
  if (!same || flow.forwarding() != channel::Forwarding::kFullnat) return same;
  return locals[flow.local_index()].address == locals_[flow.local_index()].address;
}

void Inheritance::take(const std::byte* memory, uint32_t worker) {
  FlowMemoryHeader header;
  std::memcpy(&header, memory, sizeof header);
  auto services = copy_of<Service>(memory + kServicesOffset, channel::kMaxServices);
  auto backends = copy_of<Backend>(memory + kBackendsOffset, channel::kMaxBackends);
  auto locals = copy_of<Local>(memory + kLocalsOffset, channel::kMaxLocals);
  const bool first = empty();
  const PortMap map =
      first ? PortMap(static_cast<uint32_t>(ports_of(header).size())) : PortMap(ports_of(header), ports_of(header_));
  tidy(services.data(), backends.data(), locals.data(), map);
  if (first) {
    header_ = header;
    services_ = services;
    backends_ = backends;
    locals_ = locals;
  }
  const std::byte* at = memory + flows_offset(header.flow_capacity);
  for (uint32_t i = 0; i < header.flow_capacity; i++, at += sizeof(Flow)) {
    if (!has_flow(at)) continue;
    Kept kept;
    kept.worker = worker;
    Flow& flow = kept.flow;
    std::memcpy(&flow, at, sizeof flow);
    std::memcpy(&kept.splice, memory + splices_offset(header.flow_capacity) + i * sizeof kept.splice,
                sizeof kept.splice);
    std::memcpy(&kept.notes, memory + notes_offset(header.flow_capacity) + i * sizeof kept.notes, sizeof kept.notes);
    if (tidy(flow, map) && means_the_same(flow, services.data(), backends.data(), locals.data())) {
      flows_.push_back(kept);
    } else {
      dropped_++;
    }
  }
}

Inheritance::Tables Inheritance::format(const Heirs& heirs) const {
  const Dealing dealing{static_cast<uint32_t>(heirs.memories.size()), heirs.classes};
  Tables tables;
  for (std::byte* memory : heirs.memories) {
    auto* header = reinterpret_cast<FlowMemoryHeader*>(memory);
    header->version = 0;  // whatever it holds, it is formatted
    tables.push_back(std::make_unique<FlowTable>(memory, heirs.flow_capacity, hash_seed(), heirs.boot_id, dealing));
    name_ports(*header, ports_of(header_));
    header->short_runs = header_.short_runs;
    header->started_ms = header_.started_ms;
    std::ranges::copy(services_, tables.back()->services());
    std::ranges::copy(backends_, tables.back()->backends());
    std::ranges::copy(locals_, tables.back()->locals());
  }
  return tables;
}

size_t Inheritance::fill(Tables& tables, const std::function<size_t(const Kept&)>& owner_of) const {
  size_t placed = 0;
  const auto place = [&](const Kept& kept) {
    const size_t owner = owner_of(kept);
    if (owner >= tables.size()) return;
    FlowTable& table = *tables[owner];
    const FlowIndex index = table.insert(table.place(table.hash(kept.flow.client_endpoint())));
    if (index == kNoFlow) return;
    table[index] = kept.flow;
    table.notes()[index] = kept.notes;
    table.splice(index) = kept.splice;
    placed++;
  };
  // Where the new tables are smaller, open sessions come before what has yet to begin, or is ending.
  for (const Kept& kept : flows_) {
    if (kept.flow.state == TcpState::kEstablished) place(kept);
  }
  for (const Kept& kept : flows_) {
    if (kept.flow.state != TcpState::kEstablished) place(kept);
  }
  return placed;
}

size_t Inheritance::hand_out(const Heirs& heirs) const {
  Tables tables = format(heirs);
  const OwnerTable owners({static_cast<uint32_t>(heirs.memories.size()), heirs.classes}, hash_seed());
  return fill(tables, [&](const Kept& kept) -> size_t {
    const uint32_t owner = owners.of(kept.flow.client_endpoint());
    return finds_replies(kept.flow, owner, owners.workers()) ? owner : kNobody;
  });
}

size_t Inheritance::put_back(std::span<std::byte* const> memories, uint64_t boot_id) const {
  Tables tables = format({.memories = memories, .flow_capacity = flow_capacity(), .boot_id = boot_id});
  for (std::byte* memory : memories) {
    auto* header = reinterpret_cast<FlowMemoryHeader*>(memory);
    header->version = header_.version;
    header->classes = header_.classes;
  }
  return fill(tables, [](const Kept& kept) -> size_t { return kept.worker; });
}

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/forwarding_state.h"

#include <algorithm>
#include <cstring>

#include "dataplane/contract/placement.h"
#include "dataplane/packet/checksum.h"

namespace sluice {

using channel::CommandType;
using channel::RejectReason;

namespace {

template <typename T>
constexpr bool in_range(T value, T last) {
  return static_cast<uint8_t>(value) <= static_cast<uint8_t>(last);
}

/// The counters of an id begin at zero for its new owner; the gauge stays, as flows of the one before still leave it.
template <typename Counters>
void begin_anew(Counters& counters, channel::SmtpCounters& smtp) {
  const uint64_t flows_now = counters.flows_now;
  counters = {};
  counters.flows_now = flows_now;
  smtp = {};
}

}  // namespace

void RefusalLine::set(std::string_view text) noexcept {
  constexpr std::string_view kCode = "421 ";
  constexpr std::string_view kEnd = "\r\n";
  auto* next = std::copy(kCode.begin(), kCode.end(), bytes.begin());
  next = std::copy(text.begin(), text.end(), next);
  next = std::copy(kEnd.begin(), kEnd.end(), next);
  size = static_cast<uint8_t>(next - bytes.begin());
}

ForwardingState::ForwardingState(Service* services, Backend* backends, Local* locals, uint32_t ports,
                                 uint32_t idle_timeout_ms, channel::WorkerStats& stats) noexcept
    : services_(services),
      backends_(backends),
      locals_(locals),
      ports_(ports),
      idle_timeout_ms_(idle_timeout_ms),
      stats_(stats),
      tables_{} {
  for (uint32_t id = 0; id < channel::kMaxServices; id++) {
    uint32_t& idle_ms = services_[id].idle_timeout_ms;
    if (idle_ms == 0 || idle_ms > channel::kMaxIdleTimeoutMs) idle_ms = idle_timeout_ms;
    if (services_[id].in_use) stats_.service_ids[id] = {services_[id].key, 0, {}};
    refusals_[id].set(channel::kDefaultRefusal);
  }
  for (uint32_t id = 0; id < channel::kMaxBackends; id++) {
    backends_[id].flows_now = 0;
    if (backends_[id].in_use) enter_backend(static_cast<uint16_t>(id));
    if (backends_[id].port_index >= ports_) backends_[id].flags &= static_cast<uint8_t>(~channel::kBackendReachable);
    // The generation of a freed id is published too: control must not use it again.
    stats_.backend_ids[id] = {backends_[id].in_use ? backends_[id].key : 0, backends_[id].generation, {}};
  }
  for (uint32_t id = 0; id < channel::kMaxLocals; id++) {
    if (locals_[id].port_index >= ports_) locals_[id].in_use = false;
    stats_.local_ids[id] = {locals_[id].in_use ? locals_[id].key : 0, locals_[id].generation, {}};
  }
  rebuild_slots();
  list_locals();
}

void ForwardingState::attach(const ChannelAttachment& attachment) noexcept {
  arena_.attach(attachment);
  in_snapshot_ = false;
  for (BackendTable& table : tables_) {
    if (table.entries != nullptr && table.epoch < attachment.forget_before) table = BackendTable{};
  }
  sources_.forget_before(attachment.forget_before);
  server_routes_.forget_before(attachment.forget_before);
}

uint64_t ForwardingState::oldest_epoch_in_use() const noexcept {
  uint64_t oldest = arena_.epoch();
  for (const BackendTable& table : tables_) {
    if (table.entries != nullptr && table.epoch < oldest) oldest = table.epoch;
  }
  return server_routes_.oldest_epoch(sources_.oldest_epoch(oldest));
}

uint32_t ForwardingState::slot_of(const Endpoint& vip) noexcept {
  return static_cast<uint32_t>(hash_endpoint(vip, 0)) & kSlotMask;
}

void ForwardingState::insert_slot(channel::ServiceId id) noexcept {
  uint32_t i = slot_of(services_[id].vip);
  while (slots_[i] != channel::kNoService) i = (i + 1) & kSlotMask;
  slots_[i] = id;
  const Address& address = services_[id].vip.address;
  if (is_vip(address)) return;
  i = slot_of({address, Be16{}});
  while (vip_slots_[i] != channel::kNoService) i = (i + 1) & kSlotMask;
  vip_slots_[i] = id;
}

void ForwardingState::enter_backend(uint16_t id) noexcept {
  by_endpoint_.insert(id, backends_[id].endpoint);
  by_address_.insert(id, {backends_[id].endpoint.address, Be16{}});
}

void ForwardingState::leave_backend(uint16_t id) noexcept {
  by_endpoint_.erase(id, backends_[id].endpoint);
  by_address_.erase(id, {backends_[id].endpoint.address, Be16{}});
}

void ForwardingState::rebuild_slots() noexcept {
  slots_.fill(channel::kNoService);
  vip_slots_.fill(channel::kNoService);
  for (uint16_t id = 0; id < channel::kMaxServices; id++) {
    if (services_[id].in_use) insert_slot(id);
  }
}

void ForwardingState::list_locals() noexcept {
  all_locals_ = LocalList{};
  for (auto& families : locals_at_) families.fill(LocalList{});
  for (uint8_t id = 0; id < channel::kMaxLocals; id++) {
    const Local& local = locals_[id];
    if (!local.in_use) continue;
    all_locals_.index[all_locals_.count++] = id;
    if (local.of_peer) continue;
    LocalList& list = locals_at_[local.port_index][local.address.is_v4() ? 0 : 1];
    list.index[list.count++] = id;
  }
}

bool ForwardingState::may_be_served(channel::ServiceId service) const noexcept {
  const uint8_t cutting = cutting_flags(services_[service]);
  bool is_any_known = false;
  for (const Backend& backend : std::span(backends_, channel::kMaxBackends)) {
    const bool may_serve = backend.sole_service == service || backend.sole_service == channel::kNoService;
    if (!backend.in_use || !may_serve) continue;
    if ((backend.flags & cutting) == 0) return true;
    is_any_known = true;
  }
  return !is_any_known;
}

std::optional<RejectReason> ForwardingState::apply(const channel::Command& command) noexcept {
  changes_++;
  switch (command.header.type) {
    case CommandType::kSnapshotBegin:
      begin_snapshot();
      return std::nullopt;
    case CommandType::kSnapshotEnd:
      end_snapshot();
      return std::nullopt;
    case CommandType::kPutService:
      return put_service(command.put_service);
    case CommandType::kDropService:
      return drop_service(command.header.id);
    case CommandType::kPutBackend:
      return put_backend(command.put_backend);
    case CommandType::kDropBackend:
      return drop_backend(command.header.id);
    case CommandType::kPutLocal:
      return put_local(command.put_local);
    case CommandType::kDropLocal:
      return drop_local(command.header.id);
    case CommandType::kPutSources:
      return sources_.put_sources(arena_, command.put_sources);
    case CommandType::kPutLimits:
      return sources_.put_limits(arena_, command.put_limits);
    case CommandType::kPutRoute:
      return sources_.put_route(arena_, command.put_route);
    case CommandType::kPutServerRoutes:
      return server_routes_.put(arena_, command.put_server_routes);
    case CommandType::kPutRefusal:
      return put_refusal(command.put_refusal);
    case CommandType::kPutSecret:
      placement_secret_ = command.put_secret.secret;
      return std::nullopt;
    case CommandType::kStartInspection:  // the worker's own
    case CommandType::kStopInspection:
    case CommandType::kMoveRouter:
    case CommandType::kStartCapture:  // the main lcore's
    case CommandType::kStopCapture:
      break;
  }
  return RejectReason::kUnknownType;
}

std::optional<RejectReason> ForwardingState::put_service(const channel::PutService& message) noexcept {
  const uint16_t id = message.header.id;
  if (id >= channel::kMaxServices) return RejectReason::kIdOutOfRange;
  if (!in_range(message.forwarding, channel::Forwarding::kGue) ||
      !in_range(message.scheduler, channel::Scheduler::kSource) ||
      !in_range(message.hash_on, channel::HashOn::kClientPrefix) ||
      !in_range(message.proxy, channel::ProxyHeader::kV2) ||
      !in_range(message.on_backend_down, channel::OnBackendDown::kKeep) ||
      !in_range(message.on_no_backend, channel::OnNoBackend::k421) ||
      !in_range(message.syn_proxy, channel::SynProxy::kAlways)) {
    return RejectReason::kBadEnum;
  }
  const auto table = arena_.table(message.table_offset, message.table_entries, message.table_generation);
  if (!table) return table.error();
  if (message.idle_timeout_ms > channel::kMaxIdleTimeoutMs) return RejectReason::kBadTimeout;
  const channel::ServiceId other = find_service({message.vip, message.port});
  if (other != channel::kNoService && other != id) return RejectReason::kServiceEndpointTaken;

  Service& service = services_[id];
  const bool moved = !service.in_use || service.vip != Endpoint{message.vip, message.port};
  service.in_use = false;
  if (service.key != message.key) begin_anew(stats_.services[id], stats_.service_smtp[id]);
  service.vip = {message.vip, message.port};
  service.forwarding = message.forwarding;
  service.flags = message.flags;
  service.scheduler = message.scheduler;
  service.hash_on = message.hash_on;
  service.proxy = message.proxy;
  if (service.on_backend_down != message.on_backend_down) backends_lost_ = true;
  service.on_backend_down = message.on_backend_down;
  service.on_no_backend = message.on_no_backend;
  service.syn_proxy = message.syn_proxy;
  refusals_[id].set(channel::kDefaultRefusal);
  service.mss = message.mss;
  service.total_weight = message.total_weight;
  service.idle_timeout_ms = message.idle_timeout_ms != 0 ? message.idle_timeout_ms : idle_timeout_ms_;
  service.key = message.key;
  service.sums = endpoint_sums(service.vip);
  service.in_use = true;
  if (moved) rebuild_slots();
  tables_[id] = *table;
  service_named_[id] = true;
  stats_.service_ids[id] = {message.key, 0, {}};
  return std::nullopt;
}

std::optional<RejectReason> ForwardingState::put_backend(const channel::PutBackend& message) noexcept {
  const uint16_t id = message.header.id;
  if (id >= channel::kMaxBackends) return RejectReason::kIdOutOfRange;
  if ((message.flags & channel::kBackendReachable) != 0 && message.port_index >= ports_) {
    return RejectReason::kBadPortIndex;
  }
  Backend& backend = backends_[id];
  const bool went_down = (message.flags & ~backend.flags & (channel::kBackendDown | channel::kBackendCut)) != 0;
  const bool another = backend.generation != message.generation;
  if (backend.in_use && (went_down || another)) backends_lost_ = true;
  if (another) {
    backend.flows_now = 0;
    begin_anew(stats_.backends[id], stats_.backend_smtp[id]);
  }
  const bool stays = backend.in_use && backend.endpoint == Endpoint{message.address, message.port};
  if (backend.in_use && !stays) leave_backend(id);
  backend.in_use = false;
  backend.endpoint = {message.address, message.port};
  backend.generation = message.generation;
  backend.next_hop = message.next_hop;
  backend.vlan = message.vlan & 0x0fff;
  backend.port_index = message.port_index;
  backend.flags = message.flags;
  backend.weight = message.weight;
  backend.max_connections = message.max_connections;
  backend.sole_service = message.sole_service < channel::kMaxServices ? message.sole_service : channel::kNoService;
  backend.key = message.key;
  backend.sums = endpoint_sums(backend.endpoint);
  backend.in_use = true;
  if (!stays) enter_backend(id);
  backend_named_[id] = true;
  stats_.backend_ids[id] = {message.key, message.generation, {}};
  return std::nullopt;
}

std::optional<RejectReason> ForwardingState::drop_service(uint16_t id) noexcept {
  if (id >= channel::kMaxServices) return RejectReason::kIdOutOfRange;
  if (!services_[id].in_use) return std::nullopt;
  services_[id].in_use = false;  // the rest stays, for the resets of its flows
  tables_[id] = BackendTable{};
  stats_.service_ids[id] = {};
  rebuild_slots();
  backends_lost_ = true;
  return std::nullopt;
}

std::optional<RejectReason> ForwardingState::drop_backend(uint16_t id) noexcept {
  if (id >= channel::kMaxBackends) return RejectReason::kIdOutOfRange;
  if (!backends_[id].in_use) return std::nullopt;
  leave_backend(id);
  backends_[id].in_use = false;
  stats_.backend_ids[id].key = 0;
  backends_lost_ = true;
  return std::nullopt;
}

std::optional<RejectReason> ForwardingState::put_local(const channel::PutLocal& message) noexcept {
  const uint16_t id = message.header.id;
  if (id >= channel::kMaxLocals) return RejectReason::kIdOutOfRange;
  if (message.port_index >= ports_) return RejectReason::kBadPortIndex;
  Local& local = locals_[id];
  if (local.in_use && (local.address != message.address || local.port_index != message.port_index)) {
    return RejectReason::kLocalIndexTaken;
  }
  local = {.address = message.address,
           .address_sum = address_sum(message.address),
           .generation = message.generation,
           .port_index = message.port_index,
           .in_use = true,
           .of_peer = (message.flags & channel::kLocalOfPeer) != 0,
           .key = message.key};
  stats_.local_ids[id] = {message.key, message.generation, {}};
  local_named_[id] = true;
  list_locals();
  return std::nullopt;
}

std::optional<RejectReason> ForwardingState::drop_local(uint16_t id) noexcept {
  if (id >= channel::kMaxLocals) return RejectReason::kIdOutOfRange;
  if (!locals_[id].in_use) return std::nullopt;
  locals_[id].in_use = false;
  stats_.local_ids[id].key = 0;
  list_locals();
  backends_lost_ = true;
  return std::nullopt;
}

std::optional<RejectReason> ForwardingState::put_refusal(const channel::PutRefusal& message) noexcept {
  const uint16_t id = message.header.id;
  if (id >= channel::kMaxServices || !services_[id].in_use) return RejectReason::kIdOutOfRange;
  if (message.bytes == 0 || message.bytes > channel::PutRefusal::kMaxBytes) return RejectReason::kBadRefusal;
  const std::string_view text(message.text, message.bytes);
  if (!std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; })) return RejectReason::kBadRefusal;
  refusals_[id].set(text);
  return std::nullopt;
}

void ForwardingState::begin_snapshot() noexcept {
  service_named_.fill(false);
  backend_named_.fill(false);
  local_named_.fill(false);
  sources_.begin_snapshot();
  server_routes_.begin_snapshot();
  placement_secret_ = 0;
  in_snapshot_ = true;
}

void ForwardingState::end_snapshot() noexcept {
  if (!in_snapshot_) return;
  in_snapshot_ = false;
  has_snapshot_ = true;
  for (uint16_t id = 0; id < channel::kMaxServices; id++) {
    if (!service_named_[id]) drop_service(id);
  }
  for (uint16_t id = 0; id < channel::kMaxBackends; id++) {
    if (!backend_named_[id]) drop_backend(id);
  }
  for (uint16_t id = 0; id < channel::kMaxLocals; id++) {
    if (!local_named_[id]) drop_local(id);
  }
  sources_.end_snapshot();
  server_routes_.end_snapshot();
}

}  // namespace sluice

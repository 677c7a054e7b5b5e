// SPDX-License-Identifier: Apache-2.0
//
// What control has told a worker: services, backends, tables, and of sources (source_rules.h). Commands are checked,
// index by index, before they take effect; a refused command changes nothing. Services and backends live in flow
// memory, so that a process that adopts its flows knows at once what they refer to; tables live in the channel's arena.
//
// Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "dataplane/contract/segment.h"
#include "dataplane/flow/backend_index.h"
#include "dataplane/flow/flow_memory.h"
#include "dataplane/worker/server_routes.h"
#include "dataplane/worker/setup.h"
#include "dataplane/worker/source_rules.h"

namespace sluice {

/// Of tables: that of a service has the service's id, those of routes (source_rules.h) follow.
using TableId = uint16_t;
inline constexpr TableId kTables = channel::kMaxServices + channel::kMaxRoutes;

/// The line by which a service refuses: 421, its text, CRLF.
struct RefusalLine {
  static constexpr size_t kAround = 6;  // "421 " and CRLF

  uint8_t size = 0;
  std::array<uint8_t, channel::PutRefusal::kMaxBytes + kAround> bytes;

  void set(std::string_view text) noexcept;
};

/// The flags of a backend that end the sessions which a service has with it.
inline uint8_t cutting_flags(const Service& service) noexcept {
  const bool resets = service.on_backend_down == channel::OnBackendDown::kReset;
  return static_cast<uint8_t>(channel::kBackendCut | (resets ? channel::kBackendDown : 0));
}

class ForwardingState {
 public:
  /// Over the services, backends and own addresses of flow memory, which may hold those of an earlier run. `ports`: how
  /// many there are. `idle_timeout_ms`: of services that have none of their own. `stats`: where identities are
  /// published.
  ForwardingState(Service* services, Backend* backends, Local* locals, uint32_t ports, uint32_t idle_timeout_ms,
                  channel::WorkerStats& stats) noexcept;

  /// Moves to a new connection's segment; tables older than its `forget_before` are dropped.
  void attach(const ChannelAttachment& attachment) noexcept;

  /// Applies a command, or says why not.
  std::optional<channel::RejectReason> apply(const channel::Command& command) noexcept;

  /// Counts commands: what was found out from services and backends holds until it differs. Never 0 at first.
  uint32_t changes() const noexcept { return changes_; }

  /// The service at `vip`, or kNoService.
  channel::ServiceId find_service(const Endpoint& vip) const noexcept {
    for (uint32_t i = slot_of(vip);; i = (i + 1) & kSlotMask) {
      const channel::ServiceId id = slots_[i];
      if (id == channel::kNoService || services_[id].vip == vip) return id;
    }
  }

  /// A backend at `endpoint`, or kNoBackend.
  channel::BackendId find_backend(const Endpoint& endpoint) const noexcept {
    for (uint32_t id = by_endpoint_.first(endpoint); id != BackendIndex::kEnd; id = by_endpoint_.next(id)) {
      if (backends_[id].endpoint == endpoint) return static_cast<channel::BackendId>(id);
    }
    return channel::kNoBackend;
  }

  /// Likewise one that serves `service` and perhaps others, but not others alone.
  channel::BackendId find_backend_of(channel::ServiceId service, const Endpoint& endpoint) const noexcept {
    for (uint32_t id = by_endpoint_.first(endpoint); id != BackendIndex::kEnd; id = by_endpoint_.next(id)) {
      const Backend& backend = backends_[id];
      const bool serves = backend.sole_service == service || backend.sole_service == channel::kNoService;
      if (serves && backend.endpoint == endpoint) return static_cast<channel::BackendId>(id);
    }
    return channel::kNoBackend;
  }

  /// Whether some backend that may be of `service` is not known to cut its sessions, be it in its table or not: one
  /// that drains is in none. So it is while none is known at all: that is no evidence against any.
  bool may_be_served(channel::ServiceId service) const noexcept;

  /// Whether control has told all it knows since this process started. Before that, what is missing may yet come.
  bool has_snapshot() const noexcept { return has_snapshot_; }

  const SourceRules& sources() const noexcept { return sources_; }
  const ServerRoutes& server_routes() const noexcept { return server_routes_; }
  /// By which clients are placed (contract/placement.h); 0 = none.
  uint64_t placement_secret() const noexcept { return placement_secret_; }

  /// Whether some service is at this address, on whatever port.
  bool is_vip(const Address& address) const noexcept {
    for (uint32_t i = slot_of({address, Be16{}});; i = (i + 1) & kSlotMask) {
      const channel::ServiceId id = vip_slots_[i];
      if (id == channel::kNoService) return false;
      if (services_[id].vip.address == address) return true;
    }
  }

  /// Whether some backend is at this address, on whatever port.
  bool is_backend(const Address& address) const noexcept { return find_backend_at(address) != channel::kNoBackend; }

  /// One of them, or kNoBackend.
  channel::BackendId find_backend_at(const Address& address) const noexcept {
    for (uint32_t id = by_address_.first({address, Be16{}}); id != BackendIndex::kEnd; id = by_address_.next(id)) {
      if (backends_[id].endpoint.address == address) return static_cast<channel::BackendId>(id);
    }
    return channel::kNoBackend;
  }

  const Service& service(channel::ServiceId id) const noexcept { return services_[id]; }
  /// The line by which a service refuses.
  std::span<const uint8_t> refusal(channel::ServiceId id) const noexcept {
    return {refusals_[id].bytes.data(), refusals_[id].size};
  }
  const BackendTable& table(TableId id) const noexcept {
    return id < channel::kMaxServices ? tables_[id] : sources_.table(id - channel::kMaxServices);
  }
  /// The table by which a client's new flows are placed in a service.
  TableId table_of(channel::ServiceId service, const Address& client) const noexcept {
    const uint16_t route = sources_.route_of(service, client);
    return route == channel::kMaxRoutes ? service : channel::kMaxServices + route;
  }
  /// Whether some backend may take them.
  bool has_backends(channel::ServiceId service, const Address& client) const noexcept {
    return table(table_of(service, client)).count != 0;
  }
  Backend& backend(channel::BackendId id) noexcept { return backends_[id]; }
  const Backend& backend(channel::BackendId id) const noexcept { return backends_[id]; }

  const Local& local(uint32_t index) const noexcept { return locals_[index]; }

  /// Indices of our own addresses of one family behind a port, ascending.
  std::span<const uint8_t> locals_at(uint32_t port, bool v4) const noexcept {
    const LocalList& list = locals_at_[port][v4 ? 0 : 1];
    return {list.index.data(), list.count};
  }

  /// Our address towards a backend, the source of a tunnel to it; null if we have none.
  const Local* local_towards(const Backend& backend) const noexcept {
    const auto indices = locals_at(backend.port_index, backend.endpoint.address.is_v4());
    return indices.empty() ? nullptr : &locals_[indices.front()];
  }

  /// Whether there are addresses of ours, or of peers, towards backends.
  bool has_locals() const noexcept { return all_locals_.count != 0; }

  /// Which of our addresses, or of peers', this is; kMaxLocals if none.
  uint32_t find_local(const Address& address) const noexcept {
    for (uint32_t i = 0; i < all_locals_.count; i++) {
      if (locals_[all_locals_.index[i]].address == address) return all_locals_.index[i];
    }
    return channel::kMaxLocals;
  }

  /// Whether the backend that a flow was placed on is still that backend.
  bool is_current(const Flow& flow) const noexcept {
    const Backend& backend = backends_[flow.backend];
    return backend.in_use && backend.generation == flow.backend_generation;
  }

  /// Whether a flow has lost its backend: it is gone, to be cut, or down with a service that resets; or
  /// our address that it was reached from is gone.
  bool is_lost(const Flow& flow) const noexcept {
    if (!is_current(flow) || !services_[flow.service].in_use) return true;
    if ((backends_[flow.backend].flags & cutting_flags(services_[flow.service])) != 0) return true;
    return flow.forwarding() == channel::Forwarding::kFullnat && !locals_[flow.local_index()].in_use;
  }

  /// The oldest segment whose arena is in use; the newest if none is.
  uint64_t oldest_epoch_in_use() const noexcept;

  /// Whether flows may have lost their backend since the last call.
  bool take_backends_lost() noexcept {
    const bool lost = backends_lost_;
    backends_lost_ = false;
    return lost;
  }

 private:
  static constexpr uint32_t kSlots = 4 * channel::kMaxServices;  // load at most 1/4
  static constexpr uint32_t kSlotMask = kSlots - 1;

  struct LocalList {
    uint32_t count = 0;
    std::array<uint8_t, channel::kMaxLocals> index;
  };

  static uint32_t slot_of(const Endpoint& vip) noexcept;
  void insert_slot(channel::ServiceId id) noexcept;
  void enter_backend(uint16_t id) noexcept;
  void leave_backend(uint16_t id) noexcept;
  void rebuild_slots() noexcept;
  void list_locals() noexcept;
  std::optional<channel::RejectReason> put_service(const channel::PutService& message) noexcept;
  std::optional<channel::RejectReason> put_backend(const channel::PutBackend& message) noexcept;
  std::optional<channel::RejectReason> drop_service(uint16_t id) noexcept;
  std::optional<channel::RejectReason> drop_backend(uint16_t id) noexcept;
  std::optional<channel::RejectReason> put_local(const channel::PutLocal& message) noexcept;
  std::optional<channel::RejectReason> drop_local(uint16_t id) noexcept;
  std::optional<channel::RejectReason> put_refusal(const channel::PutRefusal& message) noexcept;
  void begin_snapshot() noexcept;
  void end_snapshot() noexcept;

  Service* services_;
  Backend* backends_;
  Local* locals_;
  uint32_t ports_;
  uint32_t idle_timeout_ms_;
  channel::WorkerStats& stats_;
  ChannelArena arena_;
  SourceRules sources_;
  ServerRoutes server_routes_;
  uint64_t placement_secret_ = 0;
  uint32_t changes_ = 1;
  bool backends_lost_ = false;
  bool in_snapshot_ = false;
  bool has_snapshot_ = false;
  BackendIndex by_endpoint_;
  BackendIndex by_address_;  // with port 0
  std::array<channel::ServiceId, kSlots> slots_;
  std::array<channel::ServiceId, kSlots> vip_slots_;  // by address: one of the services there
  std::array<BackendTable, channel::kMaxServices> tables_;
  std::array<RefusalLine, channel::kMaxServices> refusals_;
  std::array<bool, channel::kMaxServices> service_named_;  // in the snapshot under way
  std::array<bool, channel::kMaxBackends> backend_named_;
  std::array<bool, channel::kMaxLocals> local_named_;
  LocalList all_locals_;
  std::array<std::array<LocalList, 2>, channel::kMaxPorts> locals_at_;  // by port and family
};

}  // namespace sluice

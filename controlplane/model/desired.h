// SPDX-License-Identifier: Apache-2.0
//
// What the data plane is meant to know: the interface between the model, which computes it, and the publisher,
// which turns it into commands. Things are named by key: a hash that stays the same when control
// restarts (see `backend_key` and `service_key`), and over a change of names.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "controlplane/tables/server_route_table.h"
#include "controlplane/tables/source_list.h"
#include "dataplane/contract/limits.h"
#include "dataplane/contract/messages.h"

namespace sluice::control {

/// A placement table before ids are known. Immutable once shared; services with the same table share the object, and
/// whether a table changed is whether the object did.
struct Table {
  std::vector<uint64_t> members;  // keys of backends
  std::vector<uint16_t> entries;  // index into members, or kNobody (maglev.h). Empty: refuses every new flow
  uint64_t digest = 0;            // table_digest(): nodes whose tables have the same place alike
};

/// XXH64 of what each entry leads to: `endpoints` are the members'. It depends neither on names nor on the order of
/// members, nor on the node; but on the site's `secret`, as where a client is placed does. 0 of no entries.
uint64_t table_digest(std::span<const Endpoint> endpoints, std::span<const uint16_t> entries, uint64_t secret);

struct DesiredBackend {
  uint64_t key = 0;
  Address address;
  Be16 port;
  MacAddress next_hop;
  uint16_t vlan = 0;
  uint8_t port_index = 0;
  uint8_t flags = 0;  // channel::BackendFlags
  uint16_t weight = 0;
  uint32_t max_connections = 0;  // over all workers; 0 = no limit
  uint64_t sole_service = 0;     // key of the only service that forwards to this endpoint; 0 = none or several

  friend bool operator==(const DesiredBackend&, const DesiredBackend&) = default;
};

struct DesiredService {
  uint64_t key = 0;
  Endpoint vip;
  channel::Forwarding forwarding = channel::Forwarding::kNat;
  channel::Scheduler scheduler = channel::Scheduler::kMaglev;
  channel::HashOn hash_on = channel::HashOn::kConnection;
  channel::ProxyHeader proxy = channel::ProxyHeader::kNone;
  channel::OnBackendDown on_backend_down = channel::OnBackendDown::kReset;
  channel::OnNoBackend on_no_backend = channel::OnNoBackend::kReset;
  channel::SynProxy syn_proxy = channel::SynProxy::kOff;
  std::string refusal = channel::kDefaultRefusal;  // what stands behind 421
  uint8_t flags = 0;                               // channel::ServiceFlags
  uint16_t mss = 0;
  uint32_t idle_timeout_ms = 0;        // 0 = as the data plane's timers say
  uint32_t total_weight = 0;           // of the backends in the table
  std::shared_ptr<const Table> table;  // never null

  friend bool operator==(const DesiredService&, const DesiredService&) = default;
};

/// An address of ours towards backends: the source of fullnat and of tunnels.
struct DesiredLocal {
  uint64_t key = 0;
  Address address;
  uint8_t port_index = 0;
  bool of_peer = false;

  friend bool operator==(const DesiredLocal&, const DesiredLocal&) = default;
};

/// Clients that have a table of their own in a service.
struct DesiredRoute {
  uint64_t service = 0;  // its key; 0: none
  std::shared_ptr<const SourceList> sources;
  std::shared_ptr<const Table> table;

  friend bool operator==(const DesiredRoute&, const DesiredRoute&) = default;
};

/// A rule about the sessions of a source.
struct DesiredLimit {
  channel::LimitRule rule{};
  std::vector<uint64_t> services;  // keys of those that it holds for
};

struct DesiredLimits {
  std::vector<DesiredLimit> rules;
  std::vector<uint64_t> clients_first;       // keys of services whose clients wait for TLS
  std::shared_ptr<const SourceList> exempt;  // sources for which no rule holds; null: there are none
};

struct Desired {
  std::vector<DesiredBackend> backends;
  std::vector<DesiredService> services;
  std::vector<DesiredLocal> locals;
  std::shared_ptr<const SourceList> sources;  // that may not begin sessions; null: every one may
  std::shared_ptr<const SourceList> refused;  // likewise, and that hear so; null: nobody
  DesiredLimits limits;
  uint64_t placement_secret = 0;                          // the site's, by which clients are placed; 0 = none
  std::vector<DesiredRoute> routes;                       // of those that name a client, the first holds
  std::shared_ptr<const ServerRouteTable> server_routes;  // null: mail servers' own traffic is the kernel's
};

/// What the data plane knows.
struct KnownKeys {
  std::unordered_set<uint64_t> services;
  std::unordered_set<uint64_t> backends;
};

/// Key of a service: its endpoint, so that a renamed service keeps its flows, and no snapshot ever asks for
/// an endpoint that another id still holds. Never 0.
uint64_t service_key(const Endpoint& vip);

/// Key of a backend that is new: one that goes on with the flows of an earlier one has that one's (Model::take_over).
/// `variant` tells apart the same member under several checks. Never 0.
uint64_t backend_key(std::string_view pool, std::string_view name, const Endpoint& endpoint, std::string_view variant);

/// Key of an address of ours behind the port with that twin. Never 0.
uint64_t local_key(const Address& address, std::string_view twin);

}  // namespace sluice::control

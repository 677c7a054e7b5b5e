// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/placement.h"

#include "dataplane/contract/placement.h"
#include "dataplane/worker/burst.h"

namespace sluice {

bool Placement::is_alive(channel::BackendId id, const Service& service) const noexcept {
  if (id >= channel::kMaxBackends) return false;
  const Backend& backend = state_.backend(id);
  return backend.in_use && (backend.flags & cutting_flags(service)) == 0;
}

bool Placement::is_usable(channel::BackendId id) const noexcept {
  if (id >= channel::kMaxBackends) return false;
  const Backend& backend = state_.backend(id);
  constexpr uint8_t kOutOfUse = channel::kBackendDown | channel::kBackendCut;
  return backend.in_use && (backend.flags & (kOutOfUse | channel::kBackendReachable)) == channel::kBackendReachable;
}

uint32_t Placement::less_loaded_of_two(const BackendTable& table) noexcept {
  // Power of two choices (Mitzenmacher 2001); the table's shares are the weights of the draw.
  const uint32_t first = random_.draw(table.count);
  const uint32_t second = random_.draw(table.count);
  const channel::BackendId a = table.entries[first];
  const channel::BackendId b = table.entries[second];
  if (!is_usable(a)) return second;
  if (!is_usable(b)) return first;
  const uint64_t load_of_a = uint64_t{state_.backend(a).flows_now} * state_.backend(b).weight;
  const uint64_t load_of_b = uint64_t{state_.backend(b).flows_now} * state_.backend(a).weight;
  return load_of_a <= load_of_b ? first : second;
}

uint32_t Placement::first_entry(channel::ServiceId service_id, TableId table_id, const Packet& packet,
                                bool opening) noexcept {
  const Service& service = state_.service(service_id);
  const BackendTable& table = state_.table(table_id);
  // Where there is no telling what an earlier choice was, all nodes agree on the hash.
  if (opening && service.scheduler == channel::Scheduler::kWrr) {
    uint32_t& turn = turn_of_[table_id];
    turn = turn + 1 < table.count ? turn + 1 : 0;
    return turn;
  }
  if (opening && service.scheduler == channel::Scheduler::kLeastConn) return less_loaded_of_two(table);
  const channel::HashOn hash_on = effective_hash_on(service.scheduler, service.hash_on);
  return table_index(placement_hash(packet.source, service.vip, hash_on, state_.placement_secret()), table.count);
}

/// `bounded`: the service within whose load the backend is to have no more than its share; null: none.
bool Placement::admits(const Backend& backend, const Service* bounded, uint64_t service_flows) noexcept {
  if (backend.max_connections != 0 && backend.flows_now >= backend.max_connections) return false;
  if (bounded == nullptr || bounded->total_weight == 0) return true;
  // Bounded load (Mirrokni, Thorup, Zadimoghaddam 2018), epsilon 1/4: at most 5/4 of its share, rounded up.
  const uint64_t share = 5 * (service_flows + 1) * backend.weight;
  return 4 * uint64_t{backend.flows_now} * bounded->total_weight < share + 4 * uint64_t{bounded->total_weight} - 1;
}

channel::BackendId Placement::choose(channel::ServiceId service_id, const Packet& packet, FlowPlace place, bool opening,
                                     Counter& refusal, channel::BackendId avoid) noexcept {
  const TableId table_id = state_.table_of(service_id, packet.source.address);
  const BackendTable& table = state_.table(table_id);
  if (table.count == 0) {
    if (!opening && !may_be_served(service_id)) refusal = Counter::kDropBackendDown;
    return channel::kNoBackend;
  }
  const Service& service = state_.service(service_id);
  // How many flows came by a route's table is not counted, so its backends' shares of them are not known.
  const bool is_bounded = service.scheduler == channel::Scheduler::kSource && table_id == service_id;
  const uint64_t service_flows = counters_.service(service_id).flows_now;
  uint32_t entry = first_entry(service_id, table_id, packet, opening);
  bool all_down = !opening;
  for (uint32_t probe = 0; probe < kPlacementProbes; probe++) {
    const channel::BackendId id = table.entries[entry];
    if (++entry == table.count) entry = 0;
    all_down = all_down && !is_alive(id, service);
    // A session that has no flow here waits for the one that it was led to: any other would reset it.
    if (id == avoid || !(opening ? is_usable(id) : is_alive(id, service))) continue;
    const Backend& backend = state_.backend(id);
    if (opening && !admits(backend, is_bounded ? &service : nullptr, service_flows)) {
      refusal = Counter::kDropBackendLimit;
      continue;
    }
    if (service.forwarding == channel::Forwarding::kNat && collides(place, packet, backend)) {
      refusal = Counter::kDropBackendCollision;
      continue;
    }
    rule_ = rule_of(service, opening, probe);
    return id;
  }
  if (all_down && !may_be_served(service_id)) refusal = Counter::kDropBackendDown;
  return channel::kNoBackend;
}

/// All backends are looked at only once after each change: any packet in mid-session may ask.
bool Placement::may_be_served(channel::ServiceId service) noexcept {
  Served& served = served_[service];
  if (served.changes != state_.changes()) served = {state_.changes(), state_.may_be_served(service)};
  return served.maybe;
}

channel::PlacedBy Placement::rule_of(const Service& service, bool opening, uint32_t probe) noexcept {
  using channel::PlacedBy;
  if (!opening) return PlacedBy::kAdopted;
  if (service.scheduler == channel::Scheduler::kWrr) return PlacedBy::kTurn;
  if (service.scheduler == channel::Scheduler::kLeastConn) return PlacedBy::kLoad;
  return probe == 0 ? PlacedBy::kTable : PlacedBy::kTableFurther;
}

bool Placement::collides(FlowPlace place, const Packet& packet, const Backend& candidate) noexcept {
  const FlowIndex other = flows_.find(place, [&](const Flow& flow) {
    return flow.forwarding() == channel::Forwarding::kNat && flow.client_port == packet.source.port &&
           flow.client == packet.source.address && state_.backend(flow.backend).endpoint == candidate.endpoint;
  });
  if (other == kNoFlow) return false;
  if (!is_over(flows_[other].state)) return true;
  lifecycle_.forget(other);  // the backend's endpoint is free for this client again
  return false;
}

bool Placement::is_where_hash_leads(const Flow& flow) const noexcept {
  const Service& service = state_.service(flow.service);
  const BackendTable& table = state_.table(state_.table_of(flow.service, flow.client));
  if (table.count == 0 || !state_.is_current(flow)) return false;
  const channel::HashOn hash_on = effective_hash_on(service.scheduler, service.hash_on);
  const uint64_t hash = placement_hash(flow.client_endpoint(), service.vip, hash_on, state_.placement_secret());
  return table.entries[table_index(hash, table.count)] == flow.backend;
}

channel::PlacedBy Placement::explain(const Flow& flow, const Packet& packet) const noexcept {
  using channel::PlacedBy;
  const Service& service = state_.service(flow.service);
  const BackendTable& table = state_.table(state_.table_of(flow.service, flow.client));
  if (!is_opening(packet)) {
    const auto noted = static_cast<PlacedBy>(flows_.notes()[flows_.index_of(flow)].placed_by());
    return noted == PlacedBy::kPeer ? noted : PlacedBy::kAdopted;
  }
  if (service.scheduler == channel::Scheduler::kWrr) return PlacedBy::kTurn;
  if (service.scheduler == channel::Scheduler::kLeastConn) return PlacedBy::kLoad;
  const bool by_source =
      service.scheduler == channel::Scheduler::kSource && service.hash_on == channel::HashOn::kConnection;
  const uint64_t hash = placement_hash(
      packet.source, service.vip, by_source ? channel::HashOn::kClient : service.hash_on, state_.placement_secret());
  const bool is_first = table.count != 0 && table.entries[table_index(hash, table.count)] == flow.backend;
  return is_first ? PlacedBy::kTable : PlacedBy::kTableFurther;
}

}  // namespace sluice

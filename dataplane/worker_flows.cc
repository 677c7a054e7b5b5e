// SPDX-License-Identifier: Apache-2.0
//
// The life of flows in a worker: placing, adopting, ending, expiring.
#include <algorithm>
#include <cstring>

#include "dataplane/contract/placement.h"
#include "dataplane/sequence.h"
#include "dataplane/tcp_track.h"
#include "dataplane/worker.h"

namespace sluice {
namespace {

constexpr uint64_t kSweepMs = 2000;      // every flow is visited this often
constexpr uint64_t kSweepPerTurn = 256;  // at most, unless backends were lost
constexpr uint64_t kUrgentSweepPerTurn = 4096;
constexpr uint32_t kSweepPrefetch = 8;
constexpr uint32_t kRecycleProbes = 64;  // flows looked at for a closed one when the table is full
constexpr uint64_t kAdoptPerSecond = 20'000;
constexpr uint64_t kAdoptBurst = 20'000;
constexpr uint32_t kIcmpPerSecond = 1000;
constexpr uint32_t kIcmpBurst = 50;

channel::Counter gauge_of(TcpState state) {
  if (is_embryonic(state)) return channel::Counter::kFlowsEmbryonicNow;
  return is_closing(state) ? channel::Counter::kFlowsClosingNow : channel::Counter::kFlowsEstablishedNow;
}

uint32_t embryonic_limit(uint32_t flow_capacity, uint32_t ring) {
  uint32_t limit = 64;
  while (limit * 2 <= flow_capacity / 4 && limit * 2 <= ring) limit *= 2;
  return limit;
}

}  // namespace

Worker::Worker(const WorkerSetup& setup, uint64_t hash_seed, uint64_t boot_id, uint64_t now_ms) noexcept
    : setup_(setup),
      flows_(setup.flow_memory, setup.flow_capacity, hash_seed, boot_id, setup.workers),
      state_(flows_.services(), flows_.backends(), flows_.locals(), setup.ports, *setup.stats),
      observer_(*setup.stats),
      taps_(setup.stats->taps),
      now_ms_(now_ms),
      embryonic_limit_(embryonic_limit(setup.flow_capacity, kEmbryonicRing)),
      swept_ms_(now_ms),
      random_(hash_seed | 1),
      fragments_(hash_seed),
      return_paths_(hash_seed),
      icmp_tokens_(kIcmpPerSecond, kIcmpBurst, now_ms),
      adopt_tokens_(kAdoptBurst),
      adopt_credited_ms_(now_ms) {
  for (size_t i = 0; i < timeout_ms_.size(); i++) timeout_ms_[i] = timeout_ms(static_cast<TcpState>(i), setup.timers);
  mac_word_.fill(0);
  for (uint32_t i = 0; i < setup.ports; i++) std::memcpy(&mac_word_[i], setup.port[i].mac.bytes.data(), 6);
  embryonic_ring_.fill(kNoFlow);
  count(Counter::kFlowsAdopted, flows_.adopted());
  set_gauge(Counter::kFlowCapacity, setup.flow_capacity);
  for (FlowIndex i = 0; i < flows_.used(); i++) {
    Flow& flow = flows_[i];
    if (flow.state == TcpState::kFree) continue;
    setup_.stats->counters[static_cast<size_t>(gauge_of(flow.state))]++;
    if (is_embryonic(flow.state)) join_embryonic_ring(i);
    has_fullnat_ |= flow.forwarding() == channel::Forwarding::kFullnat;
    if ((flow.flags & kFlowCounted) == 0) continue;
    setup_.stats->services[flow.service].flows_now++;
    setup_.stats->backends[flow.backend].flows_now++;
    if (state_.is_current(flow)) state_.backend(flow.backend).flows_now++;
  }
}

void Worker::place_new(uint32_t i) noexcept {
  const Packet& packet = burst_.packet[i];
  FlowIndex& index = burst_.flow[i];
  if (index != kNoFlow) {
    // A client may use a port again once its last connection is over (RFC 9293 section 3.6.1).
    const Flow& flow = flows_[index];
    const bool over = flow.state == TcpState::kClosed || flow.state == TcpState::kReset ||
                      (flow.state == TcpState::kSynSent && state_.is_lost(flow));
    if (!over) return;
    forget(index);
    index = kNoFlow;
  }
  const channel::ServiceId service = state_.find_service(packet.destination);
  if (service == channel::kNoService) return pass_stranger(i);
  // Which backends there are, and which are well, has yet to come.
  if (!state_.has_snapshot()) return drop(burst_.mbuf[i], Counter::kDropNotReady);
  if (!burst_.from_client[i]) {
    burst_.from_client[i] = true;
    burst_.place[i] = flows_.place(flows_.hash(packet.source));
  }
  index = find_from_client(burst_.place[i], packet);  // an earlier packet of this burst may have placed it
  if (index == kNoFlow) place_one(i, service);
}

void Worker::pass_stranger(uint32_t i) noexcept {
  const Endpoint& to = burst_.packet[i].destination;
  if (!burst_.from_client[i] && pass_stateless_to_client(i)) return;
  // The kernel, which owns the VIPs' addresses, would refuse a connection that has only to wait a moment.
  const bool awaited =
      !state_.has_snapshot() && std::ranges::find(setup_.expected_vips, to) != setup_.expected_vips.end();
  if (awaited) return drop(burst_.mbuf[i], Counter::kDropNotReady);
  punt(burst_.port[i], burst_.mbuf[i]);
}

void Worker::place_one(uint32_t i, channel::ServiceId service_id) noexcept {
  const Packet& packet = burst_.packet[i];
  const bool opening = is_opening(packet);
  if (flows_.available() == 0) {
    if (opening) recycle_closing();  // for those that come after this burst
    return meet_full_table(i, service_id);
  }
  if (!opening) {
    if ((packet.tcp_flags & (kTcpSyn | kTcpRst)) != 0) return drop(burst_.mbuf[i], Counter::kDropNoFlow);
    // A fullnat flow had an endpoint at the backend that nobody knows any more.
    if (state_.service(service_id).forwarding == channel::Forwarding::kFullnat) {
      return answer_with_reset(i, Counter::kDropNoFlow);
    }
    if (!may_adopt()) return drop(burst_.mbuf[i], Counter::kDropAdoptQuota);
  }
  Counter refusal = Counter::kDropNoBackend;
  const channel::BackendId backend_id = choose_backend(service_id, packet, burst_.place[i], opening, refusal);
  if (backend_id == channel::kNoBackend) {
    setup_.stats->services[service_id].flows_refused++;
    return answer_with_reset(i, refusal);
  }
  Backend& backend = state_.backend(backend_id);
  const channel::Forwarding forwarding = state_.service(service_id).forwarding;
  LocalPort local;
  if (forwarding == channel::Forwarding::kFullnat) [[unlikely]] {
    local = take_local_port(backend);
    if (local.port.raw == 0) {
      setup_.stats->services[service_id].flows_refused++;
      return answer_with_reset(i, Counter::kDropNoLocalPort);
    }
  }
  const FlowIndex index = take_flow(burst_.place[i]);
  if (index == kNoFlow) return meet_full_table(i, service_id);

  Flow& flow = flows_[index];
  flow = Flow{};
  flow.client = packet.source.address;
  flow.client_port = packet.source.port;
  flow.service = service_id;
  flow.backend = backend_id;
  flow.backend_generation = backend.generation;
  flow.first_seen_ms = static_cast<uint32_t>(now_ms_);
  flow.deadline_ms = flow.first_seen_ms + setup_.timers.handshake_ms;
  flow.client_next = packet.sequence + (opening ? 1 : packet.sequence_length());
  flow.server_next = packet.ack;
  flow.flags = kFlowCounted;
  prepare_proxy(flow, opening);
  if (forwarding != channel::Forwarding::kNat && !prepare_mode(index, forwarding, local)) {
    return meet_full_table(i, service_id);
  }
  join_embryonic_ring(index);
  // The entry is whole from here on: a successor of this process may adopt it.
  __atomic_store_n(reinterpret_cast<uint8_t*>(&flow.state),
                   static_cast<uint8_t>(opening ? TcpState::kSynSent : TcpState::kAdopted), __ATOMIC_RELEASE);
  burst_.flow[i] = index;

  backend.flows_now++;
  channel::ServiceCounters& service_counters = setup_.stats->services[service_id];
  channel::BackendCounters& backend_counters = setup_.stats->backends[backend_id];
  service_counters.flows_created++;
  service_counters.flows_now++;
  backend_counters.flows_created++;
  backend_counters.flows_now++;
  backend_counters.last_new_flow_ms = now_ms_;
  count(opening ? Counter::kFlowsCreated : Counter::kFlowsAdopted);
  count(Counter::kFlowsEmbryonicNow);
  if (refusal == Counter::kDropBackendCollision) count(Counter::kFlowsMovedByCollision);
}

bool Worker::may_adopt() noexcept {
  const uint64_t earned = (now_ms_ - adopt_credited_ms_) * kAdoptPerSecond / 1000;
  if (earned != 0) {
    adopt_tokens_ = std::min(kAdoptBurst, adopt_tokens_ + earned);
    adopt_credited_ms_ = now_ms_;
  }
  if (adopt_tokens_ == 0) return false;
  adopt_tokens_--;
  return true;
}

uint32_t Worker::draw(uint32_t below) noexcept {
  random_ ^= random_ << 13;  // xorshift64 (Marsaglia 2003)
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return static_cast<uint32_t>(((random_ >> 32) * below) >> 32);
}

bool Worker::is_usable(channel::BackendId id) const noexcept {
  if (id >= channel::kMaxBackends) return false;
  const Backend& backend = state_.backend(id);
  const uint8_t flags = backend.flags & (channel::kBackendReachable | channel::kBackendDown | channel::kBackendCut);
  return backend.in_use && flags == channel::kBackendReachable;
}

uint32_t Worker::first_entry(channel::ServiceId service_id, const Packet& packet, bool opening) noexcept {
  const Service& service = state_.service(service_id);
  const BackendTable& table = state_.table(service_id);
  // Where there is no telling what an earlier choice was, all nodes agree on the hash.
  if (opening && service.scheduler == channel::Scheduler::kWrr) {
    uint32_t& turn = turn_of_[service_id];
    turn = turn + 1 < table.count ? turn + 1 : 0;
    return turn;
  }
  if (opening && service.scheduler == channel::Scheduler::kLeastConn) {
    // Power of two choices (Mitzenmacher 2001); the table's shares are the weights of the draw.
    const uint32_t first = draw(table.count);
    const uint32_t second = draw(table.count);
    const channel::BackendId a = table.entries[first];
    const channel::BackendId b = table.entries[second];
    if (!is_usable(a)) return second;
    if (!is_usable(b)) return first;
    const uint64_t load_of_a = uint64_t{state_.backend(a).flows_now} * state_.backend(b).weight;
    const uint64_t load_of_b = uint64_t{state_.backend(b).flows_now} * state_.backend(a).weight;
    return load_of_a <= load_of_b ? first : second;
  }
  const channel::HashOn hash_on = effective_hash_on(service.scheduler, service.hash_on);
  return table_index(placement_hash(packet.source, service.vip, hash_on), table.count);
}

bool Worker::admits(const Service& service, const Backend& backend, uint64_t service_flows) const noexcept {
  if (backend.max_connections != 0 && backend.flows_now >= backend.max_connections) return false;
  if (service.scheduler != channel::Scheduler::kSource || service.total_weight == 0) return true;
  // Bounded load (Mirrokni, Thorup, Zadimoghaddam 2018), epsilon 1/4: at most 5/4 of its share, rounded up.
  const uint64_t share = 5 * (service_flows + 1) * backend.weight;
  return 4 * uint64_t{backend.flows_now} * service.total_weight < share + 4 * uint64_t{service.total_weight} - 1;
}

channel::BackendId Worker::choose_backend(channel::ServiceId service_id, const Packet& packet, FlowPlace place,
                                          bool opening, Counter& refusal) noexcept {
  const BackendTable& table = state_.table(service_id);
  if (table.count == 0) return channel::kNoBackend;
  const Service& service = state_.service(service_id);
  const uint64_t service_flows = setup_.stats->services[service_id].flows_now;
  uint32_t entry = first_entry(service_id, packet, opening);
  for (uint32_t probe = 0; probe < kPlacementProbes; probe++) {
    const channel::BackendId id = table.entries[entry];
    if (++entry == table.count) entry = 0;
    if (!is_usable(id)) continue;
    const Backend& backend = state_.backend(id);
    if (opening && !admits(service, backend, service_flows)) {
      refusal = Counter::kDropBackendLimit;
      continue;
    }
    if (service.forwarding == channel::Forwarding::kNat && collides(place, packet, backend)) {
      refusal = Counter::kDropBackendCollision;
      continue;
    }
    return id;
  }
  return channel::kNoBackend;
}

bool Worker::collides(FlowPlace place, const Packet& packet, const Backend& candidate) noexcept {
  const FlowIndex other = flows_.find(place, [&](const Flow& flow) {
    return flow.forwarding() == channel::Forwarding::kNat && flow.client_port == packet.source.port &&
           flow.client == packet.source.address && state_.backend(flow.backend).endpoint == candidate.endpoint;
  });
  if (other == kNoFlow) return false;
  const TcpState state = flows_[other].state;
  if (state != TcpState::kClosed && state != TcpState::kReset) return true;
  forget(other);  // it is over: the backend's endpoint is free for this client again
  return false;
}

FlowIndex Worker::take_flow(FlowPlace place) noexcept {
  // What is recycled now can be taken after this burst: keep a burst's worth ahead.
  if (flows_.available() < kMaxBurst) recycle_closing();
  return flows_.insert(place);
}

bool Worker::recycle_closing() noexcept {
  for (uint32_t probe = 0; probe < kRecycleProbes; probe++) {
    const FlowIndex index = recycle_hand_;
    if (++recycle_hand_ >= flows_.used()) recycle_hand_ = 0;
    const TcpState state = flows_[index].state;
    if (state != TcpState::kClosed && state != TcpState::kReset) continue;
    forget(index);
    count(Counter::kFlowsRecycledClosing);
    return true;
  }
  return false;
}

void Worker::join_embryonic_ring(FlowIndex index) noexcept {
  const uint32_t position = embryonic_next_++ & (embryonic_limit_ - 1);
  const FlowIndex oldest = embryonic_ring_[position];
  embryonic_ring_[position] = index;
  flows_[index].bytes_up = position;
  if (oldest == kNoFlow || oldest == index) return;
  const Flow& flow = flows_[oldest];
  if (!is_embryonic(flow.state) || flow.bytes_up != position) return;
  forget(oldest);
  count(Counter::kFlowsRecycledEmbryonic);
}

void Worker::set_state(Flow& flow, TcpState state) noexcept {
  const channel::Counter before = gauge_of(flow.state);
  const channel::Counter after = gauge_of(state);
  if (before != after) {
    setup_.stats->counters[static_cast<size_t>(before)]--;
    setup_.stats->counters[static_cast<size_t>(after)]++;
  }
  if (is_embryonic(flow.state) && !is_embryonic(state)) flow.bytes_up = 0;  // was its place in the ring
  flow.state = state;
  if (state == TcpState::kEstablished) {
    count(Counter::kFlowsEstablished);
    setup_.stats->services[flow.service].flows_established++;
    setup_.stats->backends[flow.backend].flows_established++;
  } else if (state == TcpState::kClosed || state == TcpState::kReset) {
    count(state == TcpState::kClosed ? Counter::kFlowsClosed : Counter::kFlowsReset);
    uncount(flow);
    abandon_proxy(flow);
  }
}

void Worker::uncount(Flow& flow) noexcept {
  if ((flow.flags & kFlowCounted) == 0) return;
  flow.flags &= static_cast<uint8_t>(~kFlowCounted);
  setup_.stats->services[flow.service].flows_now--;
  setup_.stats->backends[flow.backend].flows_now--;
  Backend& backend = state_.backend(flow.backend);
  if (backend.generation == flow.backend_generation && backend.flows_now != 0) backend.flows_now--;
}

void Worker::forget(FlowIndex index) noexcept {
  Flow& flow = flows_[index];
  abandon_proxy(flow);
  uncount(flow);
  observer_.forget(index, flow);
  setup_.stats->counters[static_cast<size_t>(gauge_of(flow.state))]--;
  flows_.erase(index);
}

void Worker::cut(FlowIndex index, Counter cause) noexcept {
  Flow& flow = flows_[index];
  count(cause);
  reset_to_client(flow);
  if (state_.is_current(flow)) reset_to_backend(flow);
  observer_.is_cut(index, flow, now_ms_);
  set_state(flow, TcpState::kReset);
  flow.flags |= kFlowCut;
  flow.deadline_ms = static_cast<uint32_t>(now_ms_) + setup_.timers.after_reset_ms;
}

void Worker::send_reset(uint32_t port, const MadeSegment& reset, Counter counter) noexcept {
  rte_mbuf* mbuf = rte_pktmbuf_alloc(setup_.pool);
  if (mbuf == nullptr) return count(Counter::kDropMade);
  write_segment(*mbuf, reset);
  send_made(port, mbuf);
  count(counter);
  if (resets_left_ != 0) resets_left_--;
}

void Worker::reset_to_client(const Flow& flow) noexcept {
  const uint32_t port = flow.vlan_and_port >> 12;
  if (port >= setup_.ports) return;
  MadeSegment reset;
  reset.source = state_.service(flow.service).vip;
  reset.destination = flow.client_endpoint();
  reset.source_mac = setup_.port[port].mac;
  reset.destination_mac = flow.client_mac;
  reset.vlan = flow.vlan_and_port & 0x0fff;
  // A client that has not seen a SYN-ACK takes only a reset that acknowledges its SYN (RFC 9293 section 3.5.3).
  reset.flags = kTcpRst | kTcpAck;
  reset.sequence = flow.server_next;
  reset.ack = flow.client_next;
  send_reset(port, reset, Counter::kResetsToClient);
}

void Worker::reset_to_backend(const Flow& flow) noexcept {
  const Backend& backend = state_.backend(flow.backend);
  if ((backend.flags & channel::kBackendReachable) == 0) return;
  MadeSegment reset;
  reset.source = client_at_backend(flow);
  reset.destination = service_at_backend(flow);
  reset.source_mac = setup_.port[backend.port_index].mac;
  reset.destination_mac = backend.next_hop;
  reset.vlan = backend.vlan;
  reset.flags = kTcpRst | kTcpAck;
  reset.sequence = flow.client_next + flow.proxy_bytes;
  reset.ack = flow.server_next;
  if (is_tunnelled(flow)) return send_reset_through_tunnel(flow, reset);
  send_reset(backend.port_index, reset, Counter::kResetsToBackend);
}

bool Worker::expire_some() noexcept {
  const uint64_t used = flows_.used();
  if (used == 0) return false;
  sweep_credit_ = std::min(sweep_credit_ + (now_ms_ - swept_ms_) * used, kSweepMs * used);
  swept_ms_ = now_ms_;
  uint64_t visits = std::min(sweep_credit_ / kSweepMs, kSweepPerTurn);
  sweep_credit_ -= visits * kSweepMs;
  if (urgent_ != 0) {
    visits = std::max(visits, std::min(urgent_, kUrgentSweepPerTurn));
  }
  for (uint64_t i = 0; i < visits; i++) {
    if (resets_left_ == 0) break;
    const FlowIndex index = sweep_hand_;
    if (++sweep_hand_ >= used) sweep_hand_ = 0;
    flows_.prefetch_flow(index + kSweepPrefetch < used ? index + kSweepPrefetch : 0);
    sweep_one(index);
    if (urgent_ != 0) urgent_--;
  }
  return visits != 0;
}

void Worker::sweep_one(FlowIndex index) noexcept {
  Flow& flow = flows_[index];
  if (flow.state == TcpState::kFree) return;
  if (is_due(flow.deadline_ms, static_cast<uint32_t>(now_ms_))) {
    observer_.expires(index, flow, now_ms_);
    const bool over = flow.state == TcpState::kClosed || flow.state == TcpState::kReset;
    // Whoever never finished a handshake may not exist: no answer goes there.
    const bool heard = setup_.on_idle_expiry == OnIdleExpiry::kReset && !over && !is_embryonic(flow.state);
    if (heard) return cut(index, Counter::kFlowsCutIdle);
    if (!over) count(Counter::kFlowsExpired);
    return forget(index);
  }
  if ((flow.flags & kFlowCut) == 0 && flow.state != TcpState::kClosed && flow.state != TcpState::kReset &&
      state_.is_lost(flow)) {
    cut(index, Counter::kFlowsCutDown);
  }
}

}  // namespace sluice

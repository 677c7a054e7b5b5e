// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/flow_lifecycle.h"

#include "dataplane/packet/sequence.h"
#include "dataplane/worker/modes.h"

namespace sluice {
namespace {

Counter gauge_of(TcpState state) {
  if (is_embryonic(state)) return Counter::kFlowsEmbryonicNow;
  return is_closing(state) ? Counter::kFlowsClosingNow : Counter::kFlowsEstablishedNow;
}

}  // namespace

FlowLifecycle::FlowLifecycle(const Context& context, SmtpObserver& observer, ProxyInjector& proxy, Resets& resets,
                             SessionRecorder& records, SourceLimits& limits, KnownClients& known) noexcept
    : clock_(context.clock),
      counters_(context.counters),
      flows_(context.flows),
      state_(context.state),
      observer_(observer),
      proxy_(proxy),
      resets_(resets),
      records_(records),
      teller_(context.clock, context.counters, context.setup.tells),
      limits_(limits),
      known_(known),
      ring_(context.flows) {}

void FlowLifecycle::count_adopted() noexcept {
  counters_.count(Counter::kFlowsAdopted, flows_.adopted());
  for (FlowIndex i = 0; i < flows_.used(); i++) {
    if (flows_[i].state == TcpState::kFree) continue;
    take_up(i);
    const Flow& flow = flows_[i];
    counters_.count(gauge_of(flow.state));
    if (is_embryonic(flow.state)) {
      join_ring(i);
    } else {
      known_.note(flow.client);
    }
    if ((flow.flags & kFlowCounted) == 0) continue;
    counters_.service(flow.service).flows_now++;
    counters_.backend(flow.backend).flows_now++;
    if (state_.is_current(flow)) state_.backend(flow.backend).flows_now++;
  }
}

/// Brings an adopted flow under this process' timers, and its PROXY header under way.
void FlowLifecycle::take_up(FlowIndex index) noexcept {
  Flow& flow = flows_[index];
  // Timers may be shorter than they were, and what was damaged is not to stay for weeks.
  const uint32_t latest = deadline_ms_of(flow);
  if (!is_due(flow.deadline_ms, clock_.now32_ms()) && is_due(latest, flow.deadline_ms)) flow.deadline_ms = latest;
  if ((flow.flags & kFlowProxyPending) == 0 || proxy_.take_up(index)) return;
  // The backend waits for bytes that nobody has: what comes is answered with a reset.
  flow.flags = static_cast<uint8_t>((flow.flags | kFlowCut) & ~(kFlowProxyPending | kFlowCounted));
  flow.state = TcpState::kReset;
  flow.bytes_up = 0;
  flow.deadline_ms = clock_.deadline_ms(TcpState::kReset);
}

void FlowLifecycle::begin(FlowIndex index, bool opening, channel::PlacedBy rule) noexcept {
  join_ring(index);
  records_.begin(index, rule, !opening);
  Flow& flow = flows_[index];
  flow.flags |= kFlowCounted;
  // Pairs with read_state()'s acquire load in other processes.
  __atomic_store_n(reinterpret_cast<uint8_t*>(&flow.state),
                   static_cast<uint8_t>(opening ? TcpState::kSynSent : TcpState::kAdopted), __ATOMIC_RELEASE);
  state_.backend(flow.backend).flows_now++;
  channel::ServiceCounters& service = counters_.service(flow.service);
  channel::BackendCounters& backend = counters_.backend(flow.backend);
  service.flows_created++;
  service.flows_now++;
  backend.flows_created++;
  backend.flows_now++;
  backend.last_new_flow_ms = clock_.now_ms();
  counters_.count(opening ? Counter::kFlowsCreated : Counter::kFlowsAdopted);
  counters_.count(Counter::kFlowsEmbryonicNow);
  if (opening) teller_.begins(index);
}

void FlowLifecycle::join_ring(FlowIndex index) noexcept {
  const FlowIndex displaced = ring_.join(index);
  if (displaced != kNoFlow) displace(displaced);
}

bool FlowLifecycle::displace_handshake(uint32_t min_age_ms) noexcept {
  const FlowIndex oldest = ring_.oldest();
  if (oldest == kNoFlow || clock_.now32_ms() - flows_.notes()[oldest].begun_ms < min_age_ms) return false;
  displace(oldest);
  return true;
}

void FlowLifecycle::remember_handshake(const Flow& flow) noexcept {
  const bool both = sees_both_ways(flow);
  // Unanswered, its SYN comes again; of fullnat our own endpoint would have to be kept too.
  if (flow.state == TcpState::kAdopted || (both && flow.state != TcpState::kSynReceived)) return;
  if (flow.forwarding() == channel::Forwarding::kFullnat) return;
  const uint32_t server_next = both ? flow.server_next - flow.bytes_down : 0;
  displaced_.remember({flows_.hash(flow.client_endpoint()), flow.service, flow.client_next, server_next}, flow.backend,
                      flow.backend_generation);
}

channel::BackendId FlowLifecycle::recall_handshake(channel::ServiceId service, const Packet& ack) noexcept {
  if ((ack.tcp_flags & (kTcpSyn | kTcpAck | kTcpRst)) != kTcpAck) return channel::kNoBackend;
  const uint32_t server_next = sees_both_ways(state_.service(service).forwarding) ? ack.ack : 0;
  const auto found = displaced_.take({flows_.hash(ack.source), service, ack.sequence, server_next});
  if (found.backend == channel::kNoBackend) return channel::kNoBackend;
  const uint16_t generation = state_.backend(found.backend).generation;
  return found.generation == DisplacedHandshakes::generation_bits(generation) ? found.backend : channel::kNoBackend;
}

void FlowLifecycle::displace(FlowIndex index) noexcept {
  remember_handshake(flows_[index]);
  forget(index);
  counters_.count(Counter::kFlowsRecycledEmbryonic);
}

void FlowLifecycle::set_state(Flow& flow, TcpState state) noexcept {
  const Counter before = gauge_of(flow.state);
  const Counter after = gauge_of(state);
  if (before != after) {
    counters_.lower_gauge(before);
    counters_.count(after);
  }
  if (is_embryonic(flow.state) && !is_embryonic(state)) flow.bytes_up = 0;  // was its place in the ring
  records_.note_state(flow, state);
  if (is_open(flow.state) != is_open(state)) {
    if (is_open(flow.state)) {
      limits_.close(flow);
    } else if (!limits_.open(flow, flow.state != TcpState::kAdopted)) {
      over_limit_ = flows_.index_of(flow);
      over_limit_by_ = limits_.refused_by();
    }
  }
  flow.state = state;
  if (state == TcpState::kEstablished) {
    counters_.count(Counter::kFlowsEstablished);
    counters_.service(flow.service).flows_established++;
    counters_.backend(flow.backend).flows_established++;
    known_.note(flow.client);
    teller_.changed(flows_.index_of(flow));
  } else if (is_over(state)) {
    counters_.count(state == TcpState::kClosed ? Counter::kFlowsClosed : Counter::kFlowsReset);
    uncount(flow);
    proxy_.abandon(flow);
    teller_.changed(flows_.index_of(flow));
  }
}

void FlowLifecycle::uncount(Flow& flow) noexcept {
  if ((flow.flags & kFlowCounted) == 0) return;
  flow.flags &= static_cast<uint8_t>(~kFlowCounted);
  counters_.service(flow.service).flows_now--;
  counters_.backend(flow.backend).flows_now--;
  Backend& backend = state_.backend(flow.backend);
  if (backend.generation == flow.backend_generation && backend.flows_now != 0) backend.flows_now--;
}

void FlowLifecycle::forget(FlowIndex index) noexcept {
  Flow& flow = flows_[index];
  if (!is_over(flow.state)) {
    const bool unfinished = is_embryonic(flow.state);
    records_.end(index, unfinished ? channel::SessionEnd::kUnfinished : channel::SessionEnd::kIdle,
                 channel::SessionParty::kNobody);
  }
  proxy_.abandon(flow);
  if (is_open(flow.state)) limits_.close(flow);
  uncount(flow);
  observer_.forget(index, flow);
  counters_.lower_gauge(gauge_of(flow.state));
  // Of an embryonic one other nodes may know more.
  if (!is_embryonic(flow.state) && !is_over(flow.state)) teller_.changed(index);
  flows_.erase(index);
}

void FlowLifecycle::give_way(FlowIndex index) noexcept {
  observer_.expires(index, flows_[index], clock_.now_ms());
  records_.end(index, channel::SessionEnd::kSuperseded, channel::SessionParty::kClient);
  forget(index);
}

void FlowLifecycle::cut(FlowIndex index, Counter cause) noexcept {
  Flow& flow = flows_[index];
  resets_.to_client(flow);
  observer_.is_cut(index, flow, clock_.now_ms());
  end_by_us(index, channel::SessionEnd::kCut, cause, clock_.deadline_ms(TcpState::kReset));
}

void FlowLifecycle::end_told(FlowIndex index) noexcept {
  observer_.is_told(index, flows_[index], clock_.now_ms());
  end_by_us(index, channel::SessionEnd::kTold, Counter::kFlowsTold, clock_.deadline_ms(TcpState::kClosed));
}

void FlowLifecycle::end_by_us(FlowIndex index, channel::SessionEnd how, Counter cause, uint32_t deadline_ms) noexcept {
  Flow& flow = flows_[index];
  counters_.count(cause);
  if (state_.is_current(flow)) resets_.to_backend(flow);
  const uint8_t limit = cause == Counter::kFlowsCutLimit ? over_limit_by_ : uint8_t{0};
  records_.end(index, how, channel::SessionParty::kBalancer, cause, limit);
  set_state(flow, TcpState::kReset);
  flow.flags |= kFlowCut;
  flow.deadline_ms = deadline_ms;
}

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker.h"

#include <rte_cycles.h>

#include <algorithm>
#include <cstddef>

#include "dataplane/count_packet.h"
#include "dataplane/mss.h"
#include "dataplane/tcp_track.h"
#include "dataplane/translate.h"
#include "dataplane/worker_enter.h"

namespace sluice {
namespace {

constexpr uint32_t kPrefetchAhead = 4;
constexpr uint32_t kLookUpFrom = 24;  // so many packets in a burst, the flows of the first are looked up
constexpr uint8_t kUnusual = kFlowCut | kFlowSpecial;
constexpr uint32_t kCommandsPerTurn = 32;
constexpr uint32_t kResetsPerTurn = 32;

}  // namespace

bool Worker::turn(uint64_t now_ms) noexcept {
  now_ms_ = now_ms;
  established_deadline_ms_ = static_cast<uint32_t>(now_ms) + timeout_ms_[static_cast<size_t>(TcpState::kEstablished)];
  resets_left_ = kResetsPerTurn;
  sampled_ = ++turns_ % channel::kStageSampling == 0;
  if (sampled_) stage_begin_ = rte_rdtsc();
  bool busy = poll_control();
  end_stage(Counter::kStagePollControl);
  for (uint32_t port = 0; port < setup_.ports; port++) {
    busy |= receive(port);
    if (burst_.count + aside_count_ > Burst::kSize - kMaxBurst) process();
  }
  if (setup_.spread != Spread::kAlone) busy |= take_handed();
  process();
  busy |= send_for_main();
  resend_proxy_headers();
  busy |= expire_some();
  end_stage(Counter::kStageExpireSome);
  for (uint32_t port = 0; port < setup_.ports; port++) transmit(port);
  if (setup_.spread != Spread::kAlone) flush_handovers();
  flows_.end_burst();
  end_stage(Counter::kStageTransmit);
  if (sampled_) count_stages(busy);
  return busy;
}

void Worker::end_stage(Counter stage) noexcept {
  if (!sampled_) return;
  const uint64_t now = rte_rdtsc();
  stage_cycles_[stage_index(stage)] += now - stage_begin_;
  stage_begin_ = now;
}

void Worker::count_stages(bool busy) noexcept {
  for (uint32_t i = 0; i < kStages; i++) {
    if (busy) count(static_cast<Counter>(static_cast<uint32_t>(Counter::kStagePollControl) + i), stage_cycles_[i]);
    stage_cycles_[i] = 0;
  }
}

void Worker::process() noexcept {
  if (taps_.any()) [[unlikely]]
    return process_tapped();
  look_up_and_translate();
  burst_.count = 0;
  burst_.looked_up = 0;
  if (aside_count_ != 0) [[unlikely]]
    deal_with_asides();
}

bool Worker::poll_control() noexcept {
  // Pairs with main's release store: the segment is laid out before its attachment is seen.
  const ChannelAttachment* attachment = setup_.attachment->load(std::memory_order_acquire);
  if (attachment == nullptr) return false;
  if (attachment->epoch != epoch_) {
    epoch_ = attachment->epoch;
    commands_ = channel::command_ring(attachment->base, setup_.index);
    events_ = channel::event_ring(attachment->base, setup_.index);
    trace_ = channel::trace_ring(attachment->base, setup_.index);
    taps_.drop_all();
    state_.attach(*attachment);
    __atomic_store_n(&setup_.stats->applied_sequence, 0, __ATOMIC_RELAXED);
    // Pairs with control's acquire load of segment_epoch: the sequence above counts this connection's commands.
    __atomic_store_n(&setup_.stats->segment_epoch, epoch_, __ATOMIC_RELEASE);
    setup_.oldest_epoch_in_use->store(state_.oldest_epoch_in_use(), std::memory_order_release);
  }
  std::array<channel::Command, kCommandsPerTurn> commands;
  const uint32_t n = channel::take_some(commands_, std::span<channel::Command>(commands));
  if (n == 0) return false;
  for (uint32_t i = 0; i < n; i++) {
    const auto refused = apply(commands[i]);
    count(refused ? Counter::kCommandsRejected : Counter::kCommandsApplied);
    if (refused) reject(commands[i], *refused);
  }
  if (state_.take_backends_lost()) urgent_ = flows_.used();
  // Pairs with control's acquire load: what these commands replaced is no longer read.
  setup_.oldest_epoch_in_use->store(state_.oldest_epoch_in_use(), std::memory_order_release);
  __atomic_store_n(&setup_.stats->applied_sequence, commands[n - 1].header.sequence, __ATOMIC_RELEASE);
  return true;
}

void Worker::reject(const channel::Command& command, channel::RejectReason reason) noexcept {
  channel::Event event{};
  event.type = channel::EventType::kCommandRejected;
  event.command = command.header.type;
  event.id = command.header.id;
  event.sequence = command.header.sequence;
  event.time_ms = now_ms_;
  event.detail = static_cast<uint32_t>(reason);
  if (!channel::put_all(events_, std::span<const channel::Event>(&event, 1))) count(Counter::kEventsLost);
}

bool Worker::receive(uint32_t port) noexcept {
  const WorkerPort& attached = setup_.port[port];
  if (attached.receive_queue == WorkerPort::kNoQueue) return false;
  const uint16_t received = rte_eth_rx_burst(attached.device, attached.receive_queue, burst_.mbuf.data() + burst_.count,
                                             static_cast<uint16_t>(setup_.burst));
  end_stage(Counter::kStageReceive);
  if (received == 0) return false;
  count(Counter::kReceived, received);
  if (sampled_) count(Counter::kSampledPackets, received);
  parse(port, received);
  end_stage(Counter::kStageParse);
  return true;
}

void Worker::parse(uint32_t port, uint32_t received) noexcept {
  rte_mbuf** const mbufs = burst_.mbuf.data() + burst_.count;
  for (uint32_t i = 0; i < std::min(received, kPrefetchAhead); i++) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void*));
  const Arrival how = arrival(port, setup_.spread == Spread::kAlone, setup_.index);
  // Which side a port faces is known beforehand, but for one-armed set-ups; under RSS all that comes is ours, but for
  // what may be to an address of ours.
  const bool rss = setup_.spread == Spread::kRss;
  if (how.faces == Faces::kClients && (how.mine || rss)) {
    burst_.count = enter_all<true>(burst_.count, how, mbufs, received);
  } else if (how.faces == Faces::kBackends && !has_fullnat_ && (how.mine || (rss && !state_.has_locals()))) {
    burst_.count = enter_all<false>(burst_.count, how, mbufs, received);
  } else {
    uint32_t kept = burst_.count;
    for (uint32_t i = 0; i < received; i++) {
      if (i + kPrefetchAhead < received) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + kPrefetchAhead], void*));
      kept = enter(kept, how, mbufs[i]);
    }
    burst_.count = kept;
  }
}

template <bool kFromClient>
uint32_t Worker::enter_all(uint32_t kept, Arrival how, rte_mbuf* const* mbufs, uint32_t received) noexcept {
  Burst& burst = burst_;
  const __m256i usual = usual_frame(how.mac_word);
  const uint32_t before = kept;
  for (uint32_t i = 0; i < received; i++) {
    if (i + kPrefetchAhead < received) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + kPrefetchAhead], void*));
    rte_mbuf* mbuf = mbufs[i];
    if (!parse_usual(*mbuf, usual, burst.packet[kept])) [[unlikely]] {
      kept = enter_unusual(kept, how, mbuf);
      continue;
    }
    const FlowPlace place = flows_.place(flows_.hash(end_of_usual(*mbuf, kFromClient)));
    flows_.prefetch_bucket(place);
    burst.mbuf[kept] = mbuf;
    burst.place[kept] = place;
    kept++;
    if ((kept & 1) != 0 && kept > kLookUpFrom && burst.looked_up < kLookAhead) look_up_flow(burst.looked_up++);
  }
  std::fill_n(burst.port.begin() + before, kept - before, static_cast<uint8_t>(how.port));
  std::fill_n(burst.from_client.begin() + before, kept - before, kFromClient);
  return kept;
}

[[gnu::noinline]] uint32_t Worker::enter_unusual(uint32_t kept, Arrival how, rte_mbuf* mbuf) noexcept {
  return enter(kept, how, mbuf);
}

FlowIndex Worker::find_from_client(FlowPlace place, const Packet& packet) const noexcept {
  return flows_.find(place, [&](const Flow& flow) { return is_from_client(flow, packet); });
}

FlowIndex Worker::find_from_backend(FlowPlace place, const Packet& packet) const noexcept {
  return flows_.find(
      place, [&](const Flow& flow) { return is_from_backend(flow, packet) || is_from_backend_to_local(flow, packet); });
}

void Worker::confirm_flow(uint32_t i) noexcept {
  const Packet& packet = burst_.packet[i];
  FlowIndex& flow = burst_.flow[i];
  // An earlier packet of this burst may have ended it, and begun another in its stead.
  const bool is_there = flow != kNoFlow && flows_[flow].state != TcpState::kFree;
  if (burst_.from_client[i]) {
    if (!is_there || !is_from_client(flows_[flow], packet)) flow = find_from_client(burst_.place[i], packet);
  } else if (!is_there || !is_from_backend(flows_[flow], packet)) {
    flow = find_from_backend(burst_.place[i], packet);
  }
}

bool Worker::may_go_to_backend(uint32_t i) noexcept {
  const FlowIndex index = burst_.flow[i];
  const Flow& flow = flows_[index];
  rte_mbuf* mbuf = burst_.mbuf[i];
  if (flow.state == TcpState::kFree) return drop(mbuf, Counter::kDropNoFlow), false;
  if ((flow.flags & kFlowCut) != 0) return answer_with_reset(i, Counter::kDropReset), false;
  if (state_.is_lost(flow)) {
    cut(index, Counter::kFlowsCutDown);
    return answer_with_reset(i, Counter::kDropBackendDown), false;
  }
  if ((state_.backend(flow.backend).flags & channel::kBackendReachable) != 0) return true;
  return drop(mbuf, Counter::kDropBackendUnreachable), false;
}

void Worker::track_client(Flow& flow, const Packet& packet) noexcept {
  const bool plain = (packet.tcp_flags & (kTcpSyn | kTcpFin | kTcpRst)) == 0 && flow.state == TcpState::kEstablished;
  if (!plain) [[unlikely]] {
    const TcpState next = after_client_segment(flow, packet);
    if (next != flow.state) set_state(flow, next);
    if (flow.state == TcpState::kSynSent) flow.client_next = packet.sequence + 1;
  }
  if ((packet.tcp_flags & kTcpSyn) == 0) flow.client_next = advance(flow.client_next, packet);
  if (!is_embryonic(flow.state)) add_saturating(flow.bytes_up, packet.payload_bytes);
  flow.deadline_ms = static_cast<uint32_t>(now_ms_) + timeout_ms_[static_cast<size_t>(flow.state)];
}

void Worker::learn_return_path(Flow& flow, uint32_t i) noexcept {
  // Six bytes of MAC and, in place of the type that follows them, VLAN and port.
  const auto from = load<uint64_t>(rte_pktmbuf_mtod(burst_.mbuf[i], const uint8_t*) + 6) & 0x0000ffffffffffff;
  const auto vlan_and_port = static_cast<uint64_t>(burst_.packet[i].vlan | burst_.port[i] << 12);
  store(flow.client_mac.bytes.data(), from | vlan_and_port << 48);
}

void Worker::translate_from_client(uint32_t i) noexcept {
  Flow& flow = flows_[burst_.flow[i]];
  Packet& packet = burst_.packet[i];
  rte_mbuf* mbuf = burst_.mbuf[i];
  const Backend& backend = state_.backend(flow.backend);
  const bool ordinary =
      backend.is_serving(flow.backend_generation) && flow.state != TcpState::kFree && (flow.flags & kUnusual) == 0;
  if (!ordinary && !may_go_to_backend(i)) return;
  if (hop_limit(*mbuf, packet) <= 1) return drop(mbuf, Counter::kDropTtlExpired);
  const uint16_t mtu = setup_.port[backend.port_index].mtu;
  if (packet.ip_bytes > mtu) [[unlikely]]
    return answer_too_big(i, mtu);
  if ((packet.tcp_flags & kTcpSyn) != 0) [[unlikely]]
    clamp_mss(*mbuf, packet, state_.service(flow.service).mss);
  if ((flow.flags & kFlowSpecial) != 0) [[unlikely]]
    return translate_special_from_client(i);

  const uint32_t expected = flow.client_next;
  track_client(flow, packet);
  if (SmtpObserver::client_matters(flow, packet)) watch_client(i, expected);
  learn_return_path(flow, i);

  count_towards_backend(*setup_.stats, flow, packet.ip_bytes);
  to_backend(*mbuf, packet, state_.service(flow.service), backend);
  write_ethernet(*mbuf, packet, backend.next_hop, mac_word_[backend.port_index], backend.vlan);
  send(backend.port_index, mbuf);
}

void Worker::track_backend(Flow& flow, const Packet& packet) noexcept {
  const bool plain = (packet.tcp_flags & (kTcpSyn | kTcpFin | kTcpRst)) == 0 && flow.state == TcpState::kEstablished;
  if (!plain) [[unlikely]] {
    const TcpState next = after_server_segment(flow, packet);
    if (next != flow.state) set_state(flow, next);
    if (flow.state == TcpState::kSynReceived) flow.server_next = packet.sequence + 1;
  }
  if ((packet.tcp_flags & kTcpSyn) == 0) flow.server_next = advance(flow.server_next, packet);
  if (!is_embryonic(flow.state)) add_saturating(flow.bytes_down, packet.payload_bytes);
  flow.deadline_ms = static_cast<uint32_t>(now_ms_) + timeout_ms_[static_cast<size_t>(flow.state)];
}

void Worker::translate_from_backend(uint32_t i) noexcept {
  Flow& flow = flows_[burst_.flow[i]];
  Packet& packet = burst_.packet[i];
  rte_mbuf* mbuf = burst_.mbuf[i];
  const Backend& backend = state_.backend(flow.backend);
  if (!backend.is_serving(flow.backend_generation) && !state_.is_current(flow)) {
    return drop(mbuf, Counter::kDropNoFlow);
  }
  if (flow.state == TcpState::kFree) return drop(mbuf, Counter::kDropNoFlow);
  if ((flow.flags & kFlowCut) != 0) return answer_with_reset(i, Counter::kDropReset);
  if (hop_limit(*mbuf, packet) <= 1) return drop(mbuf, Counter::kDropTtlExpired);
  const uint32_t out_port = flow.vlan_and_port >> 12;
  const uint16_t mtu = setup_.port[out_port].mtu;
  if (packet.ip_bytes > mtu) [[unlikely]]
    return answer_too_big(i, mtu);
  if ((packet.tcp_flags & kTcpSyn) != 0) [[unlikely]]
    clamp_mss(*mbuf, packet, state_.service(flow.service).mss);
  if ((flow.flags & kFlowSpecial) != 0) [[unlikely]]
    return translate_special_from_backend(i);

  const uint32_t expected = flow.server_next;
  track_backend(flow, packet);
  if (SmtpObserver::backend_matters(flow, packet)) watch_backend(i, expected);
  count_towards_client(*setup_.stats, flow, packet.ip_bytes);
  to_client(*mbuf, packet, state_.service(flow.service), backend);
  write_ethernet(*mbuf, packet, flow.client_mac, mac_word_[out_port], flow.vlan_and_port & 0x0fff);
  send(out_port, mbuf);
}

void Worker::answer_with_reset(uint32_t i, Counter reason) noexcept {
  const Packet& packet = burst_.packet[i];
  if ((packet.tcp_flags & kTcpRst) != 0) return drop(burst_.mbuf[i], reason);
  count(reason);
  count(burst_.from_client[i] ? Counter::kResetsToClient : Counter::kResetsToBackend);
  const MadeSegment reset = reset_answering(*burst_.mbuf[i], packet);
  write_segment(*burst_.mbuf[i], reset);
  send_made(burst_.port[i], burst_.mbuf[i]);
}

void Worker::drop(rte_mbuf* mbuf, Counter reason) noexcept {
  count(reason);
  rte_pktmbuf_free(mbuf);
}

void Worker::punt(uint32_t port, rte_mbuf* mbuf) noexcept {
  mbuf->port = static_cast<uint16_t>(port);
  if (setup_.to_main == nullptr || rte_ring_sp_enqueue(setup_.to_main, mbuf) != 0) {
    return drop(mbuf, Counter::kDropPuntFull);
  }
  count(Counter::kPunted);
}

bool Worker::send_for_main() noexcept {
  if (setup_.from_main == nullptr) return false;
  std::array<void*, kMaxBurst> mbufs;
  const uint32_t n = rte_ring_sc_dequeue_burst(setup_.from_main, mbufs.data(), kMaxBurst, nullptr);
  for (uint32_t i = 0; i < n; i++) {
    auto* mbuf = static_cast<rte_mbuf*>(mbufs[i]);
    const WorkerPort& port = setup_.port[mbuf->port];
    const bool sent = rte_eth_tx_burst(port.device, port.transmit_queue, &mbuf, 1) == 1;
    count(sent ? Counter::kFromTwin : Counter::kDropFromTwin);
    if (!sent) rte_pktmbuf_free(mbuf);
  }
  return n != 0;
}

void Worker::send_made(uint32_t port, rte_mbuf* mbuf) noexcept {
  OutQueue& queue = out_[port];
  queue.made[queue.count / 64] |= 1ULL << (queue.count % 64);
  send(port, mbuf);
}

void Worker::transmit(uint32_t port) noexcept {
  OutQueue& queue = out_[port];
  if (queue.count == 0) return;
  const WorkerPort& attached = setup_.port[port];
  if (attached.transmit_queue == WorkerPort::kNoQueue) return hand_to_sender(port);
  const uint16_t sent = rte_eth_tx_burst(attached.device, attached.transmit_queue, queue.mbufs.data(),
                                         static_cast<uint16_t>(queue.count));
  uint64_t made_sent = 0;
  uint64_t made_lost = 0;
  for (uint32_t i = 0; i < queue.made.size(); i++) {
    const uint32_t below = i * 64;
    const uint64_t in_sent = sent >= below + 64 ? ~0ULL : (sent <= below ? 0 : (1ULL << (sent - below)) - 1);
    made_sent += static_cast<uint64_t>(__builtin_popcountll(queue.made[i] & in_sent));
    made_lost += static_cast<uint64_t>(__builtin_popcountll(queue.made[i] & ~in_sent));
    queue.made[i] = 0;
  }
  count(Counter::kForwarded, sent - made_sent);
  if (sent < queue.count) {
    count(Counter::kDropTransmitFull, queue.count - sent - made_lost);
    count(Counter::kDropMade, made_lost);
    rte_pktmbuf_free_bulk(&queue.mbufs[sent], queue.count - sent);
  }
  queue.count = 0;
}

}  // namespace sluice

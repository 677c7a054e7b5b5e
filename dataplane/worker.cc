// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker.h"

#include <algorithm>

#include "dataplane/tcp_track.h"
#include "dataplane/translate.h"

namespace sluice {
namespace {

constexpr uint32_t kPrefetchAhead = 4;
constexpr uint32_t kCommandsPerTurn = 32;
constexpr uint32_t kResetsPerTurn = 32;

bool same_endpoint(const Address& address, Be16 port, const Endpoint& other) {
  return port == other.port && address == other.address;
}

void add_saturating(uint32_t& sum, uint32_t n) {
  sum = sum + n < sum ? UINT32_MAX : sum + n;
}

}  // namespace

bool Worker::turn(uint64_t now_ms) noexcept {
  now_ms_ = now_ms;
  resets_left_ = kResetsPerTurn;
  bool busy = poll_control();
  for (uint32_t port = 0; port < setup_.ports; port++) busy |= receive(port);
  busy |= send_for_main();
  busy |= expire_some();
  for (uint32_t port = 0; port < setup_.ports; port++) transmit(port);
  flows_.end_burst();
  return busy;
}

bool Worker::poll_control() noexcept {
  // Pairs with main's release store: the segment is laid out before its attachment is seen.
  const ChannelAttachment* attachment = setup_.attachment->load(std::memory_order_acquire);
  if (attachment == nullptr) return false;
  if (attachment->epoch != epoch_) {
    epoch_ = attachment->epoch;
    commands_ = channel::command_ring(attachment->base, setup_.index);
    events_ = channel::event_ring(attachment->base, setup_.index);
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
    const auto refused = state_.apply(commands[i]);
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
  const uint16_t received = rte_eth_rx_burst(attached.device, attached.receive_queue, burst_.mbuf.data(),
                                             static_cast<uint16_t>(setup_.burst));
  if (received == 0) return false;
  count(Counter::kReceived, received);
  parse_burst(port, received);
  look_up_flows(port);
  place_new_flows(port);
  translate(port);
  return true;
}

void Worker::parse_burst(uint32_t port, uint32_t received) noexcept {
  Burst& burst = burst_;
  for (uint32_t i = 0; i < std::min(received, kPrefetchAhead); i++) {
    rte_prefetch0(rte_pktmbuf_mtod(burst.mbuf[i], void*));
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i < received; i++) {
    if (i + kPrefetchAhead < received) rte_prefetch0(rte_pktmbuf_mtod(burst.mbuf[i + kPrefetchAhead], void*));
    rte_mbuf* mbuf = burst.mbuf[i];
    Packet& packet = burst.packet[kept];
    switch (parse(*mbuf, setup_.port[port].mac, packet)) {
      case ParseVerdict::kTcp:
        burst.mbuf[kept++] = mbuf;
        break;
      case ParseVerdict::kOther:
        punt(port, mbuf);
        break;
      case ParseVerdict::kFragment:
        if (state_.is_vip(packet.destination.address)) {
          drop(mbuf, Counter::kDropFragment);
        } else {
          punt(port, mbuf);
        }
        break;
      case ParseVerdict::kOtherHost:
        drop(mbuf, Counter::kDropOtherHost);
        break;
      case ParseVerdict::kTruncated:
        drop(mbuf, Counter::kDropTruncated);
        break;
      case ParseVerdict::kMalformed:
        drop(mbuf, Counter::kDropMalformed);
        break;
    }
  }
  burst.count = kept;
}

bool Worker::is_from_client(const Flow& flow, const Packet& packet) const noexcept {
  return same_endpoint(flow.client, flow.client_port, packet.source) &&
         state_.service(flow.service).vip == packet.destination;
}

bool Worker::is_from_backend(const Flow& flow, const Packet& packet) const noexcept {
  return same_endpoint(flow.client, flow.client_port, packet.destination) &&
         state_.backend(flow.backend).endpoint == packet.source;
}

FlowIndex Worker::find_from_client(FlowPlace place, const Packet& packet) const noexcept {
  return flows_.find(place, [&](const Flow& flow) { return is_from_client(flow, packet); });
}

FlowIndex Worker::find_from_backend(FlowPlace place, const Packet& packet) const noexcept {
  return flows_.find(place, [&](const Flow& flow) { return is_from_backend(flow, packet); });
}

void Worker::look_up_flows(uint32_t port) noexcept {
  Burst& burst = burst_;
  const Faces faces = setup_.port[port].faces;
  for (uint32_t i = 0; i < burst.count; i++) {
    const Packet& packet = burst.packet[i];
    const bool from_client = faces == Faces::kClients ||
                             (faces == Faces::kBoth && state_.find_service(packet.destination) != channel::kNoService);
    burst.from_client[i] = from_client;
    burst.place[i] = flows_.place(flows_.hash(from_client ? packet.source : packet.destination));
    flows_.prefetch_bucket(burst.place[i]);
  }
  for (uint32_t i = 0; i < burst.count; i++) {
    burst.flow[i] = flows_.first_candidate(burst.place[i]);
    if (burst.flow[i] != kNoFlow) flows_.prefetch_flow(burst.flow[i]);
  }
  for (uint32_t i = 0; i < burst.count; i++) {
    const Packet& packet = burst.packet[i];
    const FlowIndex first = burst.flow[i];
    if (burst.from_client[i]) {
      if (first == kNoFlow || !is_from_client(flows_[first], packet)) {
        burst.flow[i] = find_from_client(burst.place[i], packet);
      }
    } else if (first == kNoFlow || !is_from_backend(flows_[first], packet)) {
      burst.flow[i] = find_from_backend(burst.place[i], packet);
    }
  }
}

void Worker::translate(uint32_t port) noexcept {
  for (uint32_t i = 0; i < burst_.count; i++) {
    if (burst_.flow[i] == kNoFlow) continue;  // dealt with when it was not placed
    if (burst_.from_client[i]) {
      translate_from_client(port, i);
    } else {
      translate_from_backend(port, i);
    }
  }
}

void Worker::translate_from_client(uint32_t port, uint32_t i) noexcept {
  const FlowIndex index = burst_.flow[i];
  Flow& flow = flows_[index];
  Packet& packet = burst_.packet[i];
  rte_mbuf* mbuf = burst_.mbuf[i];
  if (flow.state == TcpState::kFree) return drop(mbuf, Counter::kDropNoFlow);
  if ((flow.flags & kFlowCut) != 0) return answer_with_reset(port, i, Counter::kDropReset);
  if (state_.is_lost(flow)) {
    cut(index);
    return answer_with_reset(port, i, Counter::kDropBackendDown);
  }
  const Backend& backend = state_.backend(flow.backend);
  if ((backend.flags & channel::kBackendReachable) == 0) return drop(mbuf, Counter::kDropBackendUnreachable);
  if (hop_limit(*mbuf, packet) <= 1) return drop(mbuf, Counter::kDropTtlExpired);

  const TcpState next = after_client_segment(flow, packet);
  if (next != flow.state) set_state(flow, next);
  if ((packet.tcp_flags & kTcpSyn) != 0) {
    if (flow.state == TcpState::kSynSent) flow.client_next = packet.sequence + 1;
  } else {
    flow.client_next = advance(flow.client_next, packet);
  }
  flow.deadline_ms = static_cast<uint32_t>(now_ms_) + timeout_ms(flow.state, setup_.timers);
  if (!is_embryonic(flow.state)) add_saturating(flow.bytes_up, packet.payload_bytes);
  const auto* source_mac = rte_pktmbuf_mtod(mbuf, const uint8_t*) + 6;
  __builtin_memcpy(flow.client_mac.bytes.data(), source_mac, 6);
  flow.vlan_and_port = static_cast<uint16_t>(packet.vlan | (port << 12));

  const Service& service = state_.service(flow.service);
  channel::ServiceCounters& service_counters = setup_.stats->services[flow.service];
  channel::BackendCounters& backend_counters = setup_.stats->backends[flow.backend];
  service_counters.packets_in++;
  service_counters.bytes_in += packet.ip_bytes;
  backend_counters.packets_in++;
  backend_counters.bytes_in += packet.ip_bytes;
  to_backend(*mbuf, packet, service, backend);
  write_ethernet(*mbuf, packet, backend.next_hop, setup_.port[backend.port_index].mac, backend.vlan);
  send(backend.port_index, mbuf);
}

void Worker::translate_from_backend(uint32_t port, uint32_t i) noexcept {
  Flow& flow = flows_[burst_.flow[i]];
  Packet& packet = burst_.packet[i];
  rte_mbuf* mbuf = burst_.mbuf[i];
  if (flow.state == TcpState::kFree || !state_.is_current(flow)) return drop(mbuf, Counter::kDropNoFlow);
  if ((flow.flags & kFlowCut) != 0) return answer_with_reset(port, i, Counter::kDropReset);
  if (hop_limit(*mbuf, packet) <= 1) return drop(mbuf, Counter::kDropTtlExpired);

  const TcpState next = after_server_segment(flow, packet);
  if (next != flow.state) set_state(flow, next);
  if ((packet.tcp_flags & kTcpSyn) != 0) {
    if (flow.state == TcpState::kSynReceived) flow.server_next = packet.sequence + 1;
  } else {
    flow.server_next = advance(flow.server_next, packet);
  }
  flow.deadline_ms = static_cast<uint32_t>(now_ms_) + timeout_ms(flow.state, setup_.timers);
  if (!is_embryonic(flow.state)) add_saturating(flow.bytes_down, packet.payload_bytes);

  const Service& service = state_.service(flow.service);
  channel::ServiceCounters& service_counters = setup_.stats->services[flow.service];
  channel::BackendCounters& backend_counters = setup_.stats->backends[flow.backend];
  service_counters.packets_out++;
  service_counters.bytes_out += packet.ip_bytes;
  backend_counters.packets_out++;
  backend_counters.bytes_out += packet.ip_bytes;
  to_client(*mbuf, packet, service, state_.backend(flow.backend));
  const uint32_t out_port = flow.vlan_and_port >> 12;
  write_ethernet(*mbuf, packet, flow.client_mac, setup_.port[out_port].mac, flow.vlan_and_port & 0x0fff);
  send(out_port, mbuf);
}

void Worker::answer_with_reset(uint32_t port, uint32_t i, Counter reason) noexcept {
  const Packet& packet = burst_.packet[i];
  if ((packet.tcp_flags & kTcpRst) != 0) return drop(burst_.mbuf[i], reason);
  count(reason);
  count(burst_.from_client[i] ? Counter::kResetsToClient : Counter::kResetsToBackend);
  const BareSegment reset = reset_answering(*burst_.mbuf[i], packet);
  write_segment(*burst_.mbuf[i], reset);
  send_made(port, burst_.mbuf[i]);
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

void Worker::send(uint32_t port, rte_mbuf* mbuf) noexcept {
  OutQueue& queue = out_[port];
  queue.mbufs[queue.count++] = mbuf;
  if (queue.count == OutQueue::kSize) transmit(port);
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
  const uint16_t sent = attached.transmit_queue == WorkerPort::kNoQueue
                            ? uint16_t{0}
                            : rte_eth_tx_burst(attached.device, attached.transmit_queue, queue.mbufs.data(),
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

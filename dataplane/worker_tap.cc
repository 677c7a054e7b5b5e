// SPDX-License-Identifier: Apache-2.0
//
// What a worker does while there are taps. Packets that none wants take the usual way, one by one. A packet that one
// wants is noted as it came, goes through the same functions, and what they did with it is read off afterwards: the
// counters that moved, the flow it has, the frames that wait to be sent. So nothing on the usual way knows of taps,
// and no decision can be left out.
#include <rte_cycles.h>
#include <rte_pcapng.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "dataplane/frame_summary.h"
#include "dataplane/icmp.h"
#include "dataplane/worker.h"

namespace sluice {

using channel::TraceRecord;
using channel::TraceStage;

namespace {

/// Counters that tell what became of a packet: all before the gauges, but for those that nearly every packet moves.
constexpr uint32_t kToldCounters = static_cast<uint32_t>(channel::Counter::kFlowsEmbryonicNow);

constexpr bool is_told(uint32_t counter) {
  const auto which = static_cast<channel::Counter>(counter);
  return which != channel::Counter::kReceived && which != channel::Counter::kHandedIn &&
         which != channel::Counter::kForwarded;
}

constexpr uint32_t kFramesOfAPacket = 8;  // that it may cause; more are sent and not told of

uint64_t clock_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);  // answered by the vDSO: no system call
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

FrameSummary summary_of(const rte_mbuf& mbuf) {
  return summarize(rte_pktmbuf_mtod(&mbuf, const uint8_t*), rte_pktmbuf_data_len(&mbuf));
}

}  // namespace

/// What is noted of one packet. Handed on only when it is certain whose it is.
struct Worker::TapNotes {
  static constexpr uint32_t kRecords = 24;

  uint8_t taps;
  uint32_t port;
  uint32_t records = 0;
  std::array<TraceRecord, kRecords> record;
  uint32_t copies = 0;
  std::array<rte_mbuf*, kFramesOfAPacket + 1> copy;
  bool lost = false;  // a record or copy found no room
  std::array<uint64_t, kToldCounters> counters;
  std::array<uint32_t, channel::kMaxPorts> queued;
  uint64_t time_ns;

  TraceRecord* add(TraceStage stage, uint8_t detail = 0) {
    if (records == kRecords) {
      lost = true;
      return nullptr;
    }
    TraceRecord& out = record[records++];
    out.time_ns = time_ns;
    out.stage = stage;
    out.detail = detail;
    out.port = static_cast<uint8_t>(port);
    return &out;
  }
};

std::optional<channel::RejectReason> Worker::apply(const channel::Command& command) noexcept {
  switch (command.header.type) {
    case channel::CommandType::kPutTap:
      if ((command.put_tap.flags & channel::kTapCapture) != 0 && setup_.capture == nullptr) {
        return channel::RejectReason::kBadTap;
      }
      return taps_.put(command.put_tap, now_ms_);
    case channel::CommandType::kDropTap:
      return taps_.drop(command.header.id);
    default:
      return state_.apply(command);
  }
}

void Worker::process_tapped() noexcept {
  taps_.expire(now_ms_);
  const ChannelAttachment* attachment = setup_.attachment->load(std::memory_order_acquire);  // as in poll_control
  if (__atomic_load_n(&attachment->ended, __ATOMIC_RELAXED)) taps_.drop_all();
  for (uint32_t i = 0; i < burst_.count; i++) look_up_flow(i);
  for (uint32_t i = 0; i < burst_.count; i++) {
    confirm_flow(i);
    const uint8_t taps = taps_for(i);
    if (taps != 0) {
      step(i, taps);
      continue;
    }
    place_if_new(i);
    translate_one(i);
  }
  burst_.count = 0;
  burst_.looked_up = 0;
  for (uint32_t i = 0; i < aside_count_; i++) {
    TapNotes notes;
    const uint8_t taps = taps_for_aside(aside_[i]);
    if (taps != 0) begin_notes(notes, taps, aside_[i].port, *aside_[i].mbuf);
    deal_with_aside(aside_[i]);
    if (taps != 0) end_notes(notes, taps);
  }
  aside_count_ = 0;
}

uint8_t Worker::taps_for(uint32_t i) noexcept {
  const Packet& packet = burst_.packet[i];
  uint8_t taps = 0;
  if (burst_.flow[i] != kNoFlow) {
    const Flow& flow = flows_[burst_.flow[i]];
    taps = taps_.match(flow.client_endpoint(), flow.service, flow.backend, false);
  } else {
    const channel::ServiceId service = state_.find_service(packet.destination);
    const bool from_client = burst_.from_client[i] || service != channel::kNoService;
    // Its backend is not known yet.
    taps = taps_.match(from_client ? packet.source : packet.destination, service, channel::kNoBackend,
                       service != channel::kNoService);
  }
  return taps == 0 ? taps : taps_.admit(taps, now_ms_);
}

uint8_t Worker::taps_for_aside(const Aside& aside) noexcept {
  IcmpError error;
  Endpoint client{aside.packet.source.address, {}};
  Endpoint other{aside.packet.destination.address, {}};
  if (aside.verdict == ParseVerdict::kIcmp && read_icmp_error(*aside.mbuf, aside.packet, error)) {
    client = error.source;
    other = error.destination;
  }
  return taps_between(client, other);
}

uint8_t Worker::taps_between(const Endpoint& one, const Endpoint& other) noexcept {
  const uint8_t taps = static_cast<uint8_t>(taps_.match(one, channel::kNoService, channel::kNoBackend, false) |
                                            taps_.match(other, channel::kNoService, channel::kNoBackend, false));
  return taps == 0 ? taps : taps_.admit(taps, now_ms_);
}

void Worker::dispose_tapped(uint32_t port, rte_mbuf* mbuf, ParseVerdict verdict) noexcept {
  const FrameSummary summary = summary_of(*mbuf);
  const uint8_t taps = summary.is_ip ? taps_between(summary.frame.source, summary.frame.destination) : uint8_t{0};
  TapNotes notes;
  if (taps != 0) begin_notes(notes, taps, port, *mbuf);
  dispose(port, mbuf, verdict);
  if (taps != 0) end_notes(notes, taps);
}

void Worker::step(uint32_t i, uint8_t taps) noexcept {
  TapNotes notes;
  begin_notes(notes, taps, burst_.port[i], *burst_.mbuf[i]);
  const bool was_known = burst_.flow[i] != kNoFlow;
  const channel::ServiceId service = state_.find_service(burst_.packet[i].destination);
  const Endpoint client =
      burst_.from_client[i] || service != channel::kNoService ? burst_.packet[i].source : burst_.packet[i].destination;
  const uint64_t created = setup_.stats->counters[static_cast<size_t>(Counter::kFlowsCreated)] +
                           setup_.stats->counters[static_cast<size_t>(Counter::kFlowsAdopted)];
  place_if_new(i);
  note_flow(notes, i, was_known, created);
  uint8_t theirs = taps;
  if (burst_.flow[i] != kNoFlow) {
    const Flow& flow = flows_[burst_.flow[i]];
    theirs &= taps_.match(flow.client_endpoint(), flow.service, flow.backend, false);
  } else if (!was_known) {
    theirs &= taps_.match(client, service, channel::kNoBackend, false);
  }
  translate_one(i);
  end_notes(notes, theirs);
}

void Worker::begin_notes(TapNotes& notes, uint8_t taps, uint32_t port, const rte_mbuf& mbuf) noexcept {
  notes.taps = taps;
  notes.port = port;
  notes.time_ns = clock_ns();
  for (uint32_t p = 0; p < setup_.ports; p++) {
    // The frames that it causes are to be found in the queue: it must not run full meanwhile.
    if (out_[p].count + kFramesOfAPacket >= OutQueue::kSize) transmit(p);
    notes.queued[p] = out_[p].count;
  }
  std::copy_n(setup_.stats->counters, kToldCounters, notes.counters.begin());
  note_frame(notes, TraceStage::kReceived, port, mbuf);
}

void Worker::note_frame(TapNotes& notes, TraceStage stage, uint32_t port, const rte_mbuf& mbuf) noexcept {
  const FrameSummary summary = summary_of(mbuf);
  if (taps_.tracing(notes.taps) != 0) {
    if (TraceRecord* record = notes.add(stage, summary.tcp_flags)) {
      record->port = static_cast<uint8_t>(port);
      record->frame = summary.frame;
    }
  }
  if (taps_.capturing(notes.taps) == 0) return;
  rte_mbuf* copy = notes.copies == notes.copy.size()
                       ? nullptr
                       : copy_for_capture(notes, port, mbuf, summary.header_bytes, stage == TraceStage::kReceived);
  if (copy == nullptr) {
    notes.lost = true;
  } else {
    notes.copy[notes.copies++] = copy;
  }
}

rte_mbuf* Worker::copy_for_capture(const TapNotes& notes, uint32_t port, const rte_mbuf& mbuf, uint32_t header_bytes,
                                   bool in) noexcept {
  // Pairs with main's release store: the ring is there too.
  rte_mempool* pool = setup_.capture->pool.load(std::memory_order_acquire);
  if (pool == nullptr) return nullptr;
  const uint32_t snap = std::max(taps_.snap_bytes(taps_.capturing(notes.taps)), header_bytes);
  return rte_pcapng_copy(setup_.port[port].device, 0, &mbuf, pool, snap, rte_rdtsc(),
                         in ? RTE_PCAPNG_DIRECTION_IN : RTE_PCAPNG_DIRECTION_OUT);
}

channel::PlacedBy Worker::placed_by(uint32_t i) const noexcept {
  using channel::PlacedBy;
  const Flow& flow = flows_[burst_.flow[i]];
  const Service& service = state_.service(flow.service);
  const BackendTable& table = state_.table(flow.service);
  const Packet& packet = burst_.packet[i];
  if (!is_opening(packet)) return PlacedBy::kAdopted;
  if (service.scheduler == channel::Scheduler::kWrr) return PlacedBy::kTurn;
  if (service.scheduler == channel::Scheduler::kLeastConn) return PlacedBy::kLoad;
  const bool by_source =
      service.scheduler == channel::Scheduler::kSource && service.hash_on == channel::HashOn::kConnection;
  const uint64_t hash =
      placement_hash(packet.source, service.vip, by_source ? channel::HashOn::kClient : service.hash_on);
  const bool is_first = table.count != 0 && table.entries[table_index(hash, table.count)] == flow.backend;
  return is_first ? PlacedBy::kTable : PlacedBy::kTableFurther;
}

void Worker::note_flow(TapNotes& notes, uint32_t i, bool was_known, uint64_t created_before) noexcept {
  if (taps_.tracing(notes.taps) == 0) return;
  const FlowIndex index = burst_.flow[i];
  if (index == kNoFlow) {
    notes.add(TraceStage::kNoFlow);
    return;
  }
  const uint64_t created = setup_.stats->counters[static_cast<size_t>(Counter::kFlowsCreated)] +
                           setup_.stats->counters[static_cast<size_t>(Counter::kFlowsAdopted)];
  const bool placed = created != created_before;
  TraceRecord* record = notes.add(placed ? TraceStage::kPlaced : TraceStage::kFound,
                                  placed ? static_cast<uint8_t>(placed_by(i)) : static_cast<uint8_t>(was_known));
  if (record == nullptr) return;
  const Flow& flow = flows_[index];
  record->flow = {.service = flow.service,
                  .backend = flow.backend,
                  .index = index,
                  .age_ms = static_cast<uint32_t>(now_ms_) - flow.first_seen_ms,
                  .state = flow.state,
                  .smtp_phase = static_cast<SmtpPhase>(flow.smtp_phase),
                  .flow_flags = flow.flags,
                  .reserved = 0};
}

void Worker::note_sent(TapNotes& notes) noexcept {
  for (uint32_t port = 0; port < setup_.ports; port++) {
    const OutQueue& queue = out_[port];
    if (queue.count <= notes.queued[port]) continue;
    for (uint32_t k = notes.queued[port]; k < queue.count; k++) {
      const bool made = (queue.made[k / 64] >> (k % 64) & 1) != 0;
      note_frame(notes, made ? TraceStage::kMade : TraceStage::kSent, port, *queue.mbufs[k]);
    }
    transmit(port);  // at once, so that what the device does not take is this packet's loss
  }
}

void Worker::end_notes(TapNotes& notes, uint8_t taps) noexcept {
  taps_.give_back(notes.taps & static_cast<uint8_t>(~taps));
  if (taps == 0) {
    rte_pktmbuf_free_bulk(notes.copy.data(), notes.copies);
    return;
  }
  notes.taps = taps;
  note_sent(notes);
  const uint8_t tracing = taps_.tracing(taps);
  const uint8_t capturing = taps_.capturing(taps);
  if (tracing != 0) {
    for (uint32_t counter = 0; counter < kToldCounters; counter++) {
      if (!is_told(counter) || setup_.stats->counters[counter] == notes.counters[counter]) continue;
      if (TraceRecord* record = notes.add(TraceStage::kCounted)) record->counter = static_cast<uint16_t>(counter);
    }
    tapped_packets_++;
    for (uint32_t i = 0; i < notes.records; i++) {
      notes.record[i].packet = tapped_packets_;
      notes.record[i].taps = tracing;
    }
    notes.lost |= !channel::put_all(trace_, std::span<const TraceRecord>(notes.record.data(), notes.records));
  }
  std::array<void*, kFramesOfAPacket + 1> copies;
  std::copy_n(notes.copy.begin(), notes.copies, copies.begin());
  uint32_t put = 0;
  if (capturing != 0 && notes.copies != 0) {
    put = rte_ring_sp_enqueue_burst(setup_.capture->ring, copies.data(), notes.copies, nullptr);
  }
  notes.lost |= capturing != 0 && put < notes.copies;
  rte_pktmbuf_free_bulk(&notes.copy[put], notes.copies - put);
  if (notes.lost) taps_.count_lost(taps);
}

}  // namespace sluice

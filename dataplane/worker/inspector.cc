// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/inspector.h"

#include <rte_cycles.h>
#include <rte_pcapng.h>

#include <algorithm>

#include "dataplane/base/clock.h"
#include "dataplane/packet/frame_summary.h"
#include "dataplane/packet/icmp.h"

namespace sluice {

using channel::TraceRecord;
using channel::TraceStage;

namespace {

/// Not told: what nearly every packet moves.
constexpr bool is_told(Counter counter) {
  return counter != Counter::kReceived && counter != Counter::kHandedIn && counter != Counter::kForwarded;
}

FrameSummary summary_of(const rte_mbuf& mbuf) {
  return summarize(rte_pktmbuf_mtod(&mbuf, const uint8_t*), rte_pktmbuf_data_len(&mbuf));
}

}  // namespace

TraceRecord* Inspector::Notes::add(TraceStage stage, uint8_t detail) noexcept {
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

void Inspector::attach(rte_ring* trace) noexcept {
  trace_ = trace;
  inspections_.drop_all();
}

std::optional<channel::RejectReason> Inspector::start(const channel::StartInspection& message) noexcept {
  if ((message.flags & channel::kInspectForCapture) != 0 && setup_.capture == nullptr) {
    return channel::RejectReason::kBadInspection;
  }
  return inspections_.put(message, clock_.now_ms());
}

void Inspector::expire() noexcept {
  inspections_.expire(clock_.now_ms());
  // Pairs with main's release store, as in CommandChannel::poll().
  const ChannelAttachment* attachment = setup_.attachment->load(std::memory_order_acquire);
  if (__atomic_load_n(&attachment->ended, __ATOMIC_RELAXED)) inspections_.drop_all();
}

uint8_t Inspector::wanting(const Burst& burst, uint32_t i) noexcept {
  if (burst.flow[i] != kNoFlow) {
    const Flow& flow = flows_[burst.flow[i]];
    return admit(inspections_.match(flow.client_endpoint(), flow.service, flow.backend, false));
  }
  const Packet& packet = burst.packet[i];
  const channel::ServiceId service = state_.find_service(packet.destination);
  const bool from_client = burst.from_client[i] || service != channel::kNoService;
  // Its backend is not known yet.
  return admit(inspections_.match(from_client ? packet.source : packet.destination, service, channel::kNoBackend,
                                  service != channel::kNoService));
}

uint8_t Inspector::wanting(const ExceptionFrame& frame) noexcept {
  IcmpError error;
  if (frame.verdict == ParseVerdict::kIcmp && read_icmp_error(*frame.mbuf, frame.packet, error)) {
    return wanting(error.source, error.destination);
  }
  return wanting(Endpoint{frame.packet.source.address, {}}, Endpoint{frame.packet.destination.address, {}});
}

uint8_t Inspector::wanting(const rte_mbuf& mbuf) noexcept {
  const FrameSummary summary = summary_of(mbuf);
  return summary.is_ip ? wanting(summary.frame.source, summary.frame.destination) : uint8_t{0};
}

uint8_t Inspector::wanting(const Endpoint& one, const Endpoint& other) noexcept {
  return admit(static_cast<uint8_t>(inspections_.match(one, channel::kNoService, channel::kNoBackend, false) |
                                    inspections_.match(other, channel::kNoService, channel::kNoBackend, false)));
}

void Inspector::begin(Notes& notes, uint8_t inspections, uint32_t port, const rte_mbuf& mbuf) noexcept {
  notes.inspections = inspections;
  notes.port = port;
  notes.time_ns = monotonic_ns();
  for (uint32_t p = 0; p < setup_.ports; p++) {
    // The frames that it causes are to be found in the queue: it must not run full meanwhile.
    if (egress_.queue(p).count + Notes::kFrames >= OutQueue::kSize) egress_.transmit(p);
    notes.queued[p] = egress_.queue(p).count;
  }
  std::copy_n(counters_.all(), Notes::kCounters, notes.counters.begin());
  note_frame(notes, TraceStage::kReceived, port, mbuf);
}

void Inspector::begin(Notes& notes, uint8_t inspections, const Burst& burst, uint32_t i) noexcept {
  begin(notes, inspections, burst.port[i], *burst.mbuf[i]);
  const Packet& packet = burst.packet[i];
  notes.was_known = burst.flow[i] != kNoFlow;
  notes.service = state_.find_service(packet.destination);
  const bool from_client = burst.from_client[i] || notes.service != channel::kNoService;
  notes.client = from_client ? packet.source : packet.destination;
}

uint8_t Inspector::note_flow(Notes& notes, const Burst& burst, uint32_t i) noexcept {
  if (inspections_.tracing(notes.inspections) != 0) trace_flow(notes, burst, i);
  if (burst.flow[i] != kNoFlow) {
    const Flow& flow = flows_[burst.flow[i]];
    return notes.inspections & inspections_.match(flow.client_endpoint(), flow.service, flow.backend, false);
  }
  if (notes.was_known) return notes.inspections;
  return notes.inspections & inspections_.match(notes.client, notes.service, channel::kNoBackend, false);
}

void Inspector::trace_flow(Notes& notes, const Burst& burst, uint32_t i) noexcept {
  const FlowIndex index = burst.flow[i];
  if (index == kNoFlow) {
    notes.add(TraceStage::kNoFlow);
    return;
  }
  const Flow& flow = flows_[index];
  const auto moved = [&](Counter counter) {
    return counters_[counter] != notes.counters[static_cast<size_t>(counter)];
  };
  const bool placed = moved(Counter::kFlowsCreated) || moved(Counter::kFlowsAdopted);
  TraceRecord* record = notes.add(
      placed ? TraceStage::kPlaced : TraceStage::kFound,
      placed ? static_cast<uint8_t>(placement_.explain(flow, burst.packet[i])) : static_cast<uint8_t>(notes.was_known));
  if (record == nullptr) return;
  record->flow = {.service = flow.service,
                  .backend = flow.backend,
                  .index = index,
                  .age_ms = clock_.now32_ms() - flows_.notes()[index].begun_ms,
                  .state = flow.state,
                  .smtp_phase = static_cast<SmtpPhase>(flow.smtp_phase),
                  .flow_flags = static_cast<uint8_t>(flow.flags & ~kFlowWindow),
                  .reserved = 0};
}

void Inspector::note_frame(Notes& notes, TraceStage stage, uint32_t port, const rte_mbuf& mbuf) noexcept {
  const FrameSummary summary = summary_of(mbuf);
  if (inspections_.tracing(notes.inspections) != 0) {
    if (TraceRecord* record = notes.add(stage, summary.tcp_flags)) {
      record->port = static_cast<uint8_t>(port);
      record->frame = summary.frame;
    }
  }
  if (inspections_.capturing(notes.inspections) == 0) return;
  rte_mbuf* copy = notes.copies == notes.copy.size()
                       ? nullptr
                       : copy_for_capture(notes, port, mbuf, summary.header_bytes, stage == TraceStage::kReceived);
  if (copy == nullptr) {
    notes.lost = true;
  } else {
    notes.copy[notes.copies++] = copy;
  }
}

rte_mbuf* Inspector::copy_for_capture(const Notes& notes, uint32_t port, const rte_mbuf& mbuf, uint32_t header_bytes,
                                      bool in) noexcept {
  // Pairs with main's release store: the ring is there too.
  rte_mempool* pool = setup_.capture->pool.load(std::memory_order_acquire);
  if (pool == nullptr) return nullptr;
  const uint32_t snap = std::max(inspections_.snap_bytes(inspections_.capturing(notes.inspections)), header_bytes);
  return rte_pcapng_copy(setup_.port[port].device, 0, &mbuf, pool, snap, rte_rdtsc(),
                         in ? RTE_PCAPNG_DIRECTION_IN : RTE_PCAPNG_DIRECTION_OUT);
}

void Inspector::note_sent(Notes& notes) noexcept {
  for (uint32_t port = 0; port < setup_.ports; port++) {
    const OutQueue& queue = egress_.queue(port);
    if (queue.count <= notes.queued[port]) continue;
    for (uint32_t k = notes.queued[port]; k < queue.count; k++) {
      note_frame(notes, queue.is_made(k) ? TraceStage::kMade : TraceStage::kSent, port, *queue.mbufs[k]);
    }
    egress_.transmit(port);  // at once, so that what the device does not take is this packet's loss
  }
}

void Inspector::end(Notes& notes, uint8_t inspections) noexcept {
  inspections_.give_back(notes.inspections & static_cast<uint8_t>(~inspections));
  if (inspections == 0) {
    rte_pktmbuf_free_bulk(notes.copy.data(), notes.copies);
    return;
  }
  notes.inspections = inspections;
  note_sent(notes);
  const uint8_t tracing = inspections_.tracing(inspections);
  if (tracing != 0) put_records(notes, tracing);
  put_copies(notes, inspections_.capturing(inspections));
  if (notes.lost) inspections_.count_lost(inspections);
}

void Inspector::put_records(Notes& notes, uint8_t tracing) noexcept {
  for (uint32_t counter = 0; counter < Notes::kCounters; counter++) {
    if (!is_told(static_cast<Counter>(counter)) || counters_.all()[counter] == notes.counters[counter]) continue;
    if (TraceRecord* record = notes.add(TraceStage::kCounted)) record->counter = static_cast<uint16_t>(counter);
  }
  packets_++;
  for (uint32_t i = 0; i < notes.records; i++) {
    notes.record[i].packet = packets_;
    notes.record[i].inspections = tracing;
  }
  notes.lost |= !channel::put_all(trace_, std::span<const TraceRecord>(notes.record.data(), notes.records));
}

void Inspector::put_copies(Notes& notes, uint8_t capturing) noexcept {
  std::array<void*, Notes::kFrames + 1> copies;
  std::copy_n(notes.copy.begin(), notes.copies, copies.begin());
  uint32_t put = 0;
  if (capturing != 0 && notes.copies != 0) {
    put = rte_ring_sp_enqueue_burst(setup_.capture->ring, copies.data(), notes.copies, nullptr);
  }
  notes.lost |= capturing != 0 && put < notes.copies;
  rte_pktmbuf_free_bulk(&notes.copy[put], notes.copies - put);
}

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/session_recorder.h"

#include <rte_ring_peek_zc.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "dataplane/worker/modes.h"

namespace sluice {

using channel::SessionEnd;
using channel::SessionParty;

namespace {

constexpr uint32_t kAhead = 8;  // records

// Who, where to, and where it was placed: the same bytes in both.
constexpr size_t kPlaceBytes = 24;
static_assert(offsetof(Flow, client) == 0 && offsetof(Flow, deadline_ms) == kPlaceBytes);
static_assert(offsetof(channel::SessionRecord, packets_up) - offsetof(channel::SessionRecord, client) == kPlaceBytes);

void copy_place(channel::SessionRecord& record, const Flow& flow) {
  std::memcpy(static_cast<void*>(&record.client), &flow, kPlaceBytes);
}

SessionParty first_to_close(uint32_t flags) {
  if ((flags & channel::kSessionClientFin) != 0) return SessionParty::kClient;
  return (flags & channel::kSessionServerFin) != 0 ? SessionParty::kServer : SessionParty::kNobody;
}

}  // namespace

void SessionRecorder::note_state(const Flow& flow, TcpState state) noexcept {
  channel::SessionNotes& notes = flows_.notes()[flows_.index_of(flow)];
  switch (state) {
    case TcpState::kSynReceived:
      notes.answered_after_ms =
          static_cast<uint16_t>(std::min(clock_.now32_ms() - notes.begun_ms, uint32_t{UINT16_MAX}));
      return;
    case TcpState::kEstablished:
      notes.flags |= channel::kSessionEstablished;
      return;
    case TcpState::kClientFin:
      notes.flags |= channel::kSessionEstablished | channel::kSessionClientFin;
      return;
    case TcpState::kServerFin:
      notes.flags |= channel::kSessionEstablished | channel::kSessionServerFin;
      return;
    default:
      return;
  }
}

void SessionRecorder::end(FlowIndex index, SessionEnd how, SessionParty by, Counter cause, uint8_t limit) noexcept {
  channel::SessionNotes& notes = flows_.notes()[index];
  const uint32_t flags = notes.flags;
  if ((flags & channel::kSessionRecorded) != 0) return;
  const bool told = (flags & channel::kSessionEstablished) != 0 || may_tell_unfinished();
  channel::SessionRecord* const record = told ? take_room() : nullptr;
  if (record != nullptr) {
    record->notes = notes;  // before a part of it is written: a load does not find half of its bytes in stores
    write(*record, flows_[index]);
    record->end = how;
    record->by = how != SessionEnd::kClosed ? by : first_to_close(flags);
    record->cause = static_cast<uint16_t>(cause);
    record->removed = cause == Counter::kFlowsCutDown && is_removed(flows_[index]);
    record->limit = limit;
    put();
  }
  notes.flags = flags | channel::kSessionRecorded;
}

void SessionRecorder::write(channel::SessionRecord& record, const Flow& flow) const noexcept {
  const bool counts_bytes = !is_embryonic(flow.state) && (flow.flags & kFlowProxyPending) == 0;
  record.ended_ms = clock_.now_ms();
  copy_place(record, flow);
  record.packets_up = flow.packets_up;
  record.packets_down = flow.packets_down;
  record.bytes_up = counts_bytes ? flow.bytes_up : 0;
  record.bytes_down = counts_bytes ? flow.bytes_down : 0;
  record.quit = (flow.smtp_detail & kSmtpQuit) != 0;
  record.one_way = !sees_both_ways(flow);
}

bool SessionRecorder::is_removed(const Flow& flow) const noexcept {
  return !state_.is_current(flow) || !state_.service(flow.service).in_use ||
         (state_.backend(flow.backend).flags & channel::kBackendCut) != 0;
}

void SessionRecorder::refuse(const Packet& packet, channel::ServiceId service, Counter cause, uint8_t limit) noexcept {
  if (!may_tell_unfinished()) return;
  channel::SessionRecord* const record = take_room();
  if (record == nullptr) return;
  *record = {};
  record->ended_ms = clock_.now_ms();
  record->client = packet.source;
  record->service = service;
  record->backend = channel::kNoBackend;
  record->end = SessionEnd::kRefused;
  record->by = SessionParty::kBalancer;
  record->cause = static_cast<uint16_t>(cause);
  record->limit = limit;
  record->notes.begun_ms = clock_.now32_ms();
  put();
}

bool SessionRecorder::may_tell_unfinished() noexcept {
  if (unfinished_.take(clock_.now_ms())) return true;
  counters_.count(Counter::kSessionRecordsHeldBack);
  return false;
}

channel::SessionRecord* SessionRecorder::take_room() noexcept {
  rte_ring_zc_data room;
  if (sessions_ != nullptr &&
      rte_ring_enqueue_zc_bulk_elem_start(sessions_, sizeof(channel::SessionRecord), 1, &room, nullptr) != 0) {
    return static_cast<channel::SessionRecord*>(room.ptr1);
  }
  counters_.count(Counter::kSessionRecordsLost);
  return nullptr;
}

void SessionRecorder::put() noexcept {
  rte_ring_enqueue_zc_elem_finish(sessions_, 1);
  counters_.count(Counter::kSessionRecords);
  // The ring is larger than what a core has near by: what will be written soon is fetched now.
  const auto* records = reinterpret_cast<const channel::SessionRecord*>(sessions_ + 1);
  const channel::SessionRecord* soon = &records[(sessions_->prod.head + kAhead) & (channel::kSessionRingEntries - 1)];
  __builtin_prefetch(soon, 1);
  __builtin_prefetch(&soon->notes.messages_accepted, 1);
}

}  // namespace sluice

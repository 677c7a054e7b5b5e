// SPDX-License-Identifier: Apache-2.0
//
// Writes the record that a session leaves at its end (contract/session.h), from its flow and the notes beside it, and
// one for a client that was refused. The ring is control's: without one, or with a full one, records are lost and
// counted. Sessions that never came about may come by the million a second: of them only so many leave a record.
// Thread safety: none; one worker owns it.
#pragma once

#include "dataplane/base/token_bucket.h"
#include "dataplane/contract/session.h"
#include "dataplane/packet/packet.h"
#include "dataplane/worker/context.h"

namespace sluice {

class SessionRecorder {
 public:
  /// Records a second of sessions that were refused or unfinished, and so many at once.
  static constexpr uint32_t kUnfinishedPerSecond = 1000;

  explicit SessionRecorder(const Context& context) noexcept
      : clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        unfinished_(kUnfinishedPerSecond, kUnfinishedPerSecond, context.clock.now_ms()) {}

  /// A new connection of control: where records go from now on.
  void attach(rte_ring* sessions) noexcept { sessions_ = sessions; }

  /// The flow's session begins. `adopted`: in mid-stream.
  void begin(FlowIndex index, channel::PlacedBy rule, bool adopted) noexcept {
    channel::SessionNotes& notes = flows_.notes()[index];
    notes = {};
    notes.begun_ms = clock_.now32_ms();
    if (adopted) notes.flags = channel::kSessionAdopted;
    notes.set_placed_by(rule);
  }

  /// Its flow goes over to `state`, which it has not yet.
  void note_state(const Flow& flow, TcpState state) noexcept;

  /// It ends; `cause` says why we cut it, and `limit` by which rule, as in SessionRecord. Only the first end of a flow
  /// is told.
  void end(FlowIndex index, channel::SessionEnd how, channel::SessionParty by, Counter cause = Counter::kCount,
           uint8_t limit = 0) noexcept;

  /// A flow that a packet from `by` has brought to its end, if it has.
  void end_if_over(FlowIndex index, channel::SessionParty by) noexcept {
    const TcpState state = flows_[index].state;
    if (state == TcpState::kClosed) end(index, channel::SessionEnd::kClosed, channel::SessionParty::kNobody);
    if (state == TcpState::kReset) end(index, channel::SessionEnd::kReset, by);
  }

  /// A new session was refused, and has no flow. `limit` as above.
  void refuse(const Packet& packet, channel::ServiceId service, Counter cause, uint8_t limit = 0) noexcept;

 private:
  /// Room for a record, where it is to be written; null: there is none, and that is counted.
  channel::SessionRecord* take_room() noexcept;
  void write(channel::SessionRecord& record, const Flow& flow) const noexcept;
  /// Whether control has withdrawn its backend.
  bool is_removed(const Flow& flow) const noexcept;
  void put() noexcept;
  bool may_tell_unfinished() noexcept;

  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  const ForwardingState& state_;
  TokenBucket unfinished_;
  rte_ring* sessions_ = nullptr;
};

}  // namespace sluice

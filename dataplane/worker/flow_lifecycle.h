// SPDX-License-Identifier: Apache-2.0
//
// How flows begin, change state and end, with all that is counted about it. Whatever else a part does to a flow, its
// state moves here alone, so that gauges and counts stay true. Thread safety: none; one worker owns it.
#pragma once

#include <utility>

#include "dataplane/flow/displaced_handshakes.h"
#include "dataplane/flow/tcp_track.h"
#include "dataplane/smtp/observer.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/embryonic_ring.h"
#include "dataplane/worker/flow_teller.h"
#include "dataplane/worker/known_clients.h"
#include "dataplane/worker/proxy_injector.h"
#include "dataplane/worker/resets.h"
#include "dataplane/worker/session_recorder.h"
#include "dataplane/worker/source_limits.h"

namespace sluice {

class FlowLifecycle {
 public:
  FlowLifecycle(const Context& context, SmtpObserver& observer, ProxyInjector& proxy, Resets& resets,
                SessionRecorder& records, SourceLimits& limits, KnownClients& known) noexcept;

  /// Takes up and counts the flows of an earlier process that the table has adopted.
  void count_adopted() noexcept;

  /// How many flows there may be in handshake.
  uint32_t most_handshakes() const noexcept { return ring_.limit(); }

  /// Begins a flow whose fields are filled in: from here on the entry is whole, and a successor of this process may
  /// adopt it. `opening`: with a SYN, else in mid-stream. `rule`: by which it got its backend.
  void begin(FlowIndex index, bool opening, channel::PlacedBy rule) noexcept;

  void set_state(Flow& flow, TcpState state) noexcept;
  /// When a flow is over of which nothing is heard from now on.
  uint32_t deadline_ms_of(const Flow& flow) const noexcept {
    return clock_.deadline_ms(flow.state, state_.service(flow.service).idle_timeout_ms);
  }
  /// The flow that has been found over a limit of its source since the last call, to be cut when its segment is dealt
  /// with; kNoFlow if there is none.
  FlowIndex take_over_limit() noexcept { return std::exchange(over_limit_, kNoFlow); }

  /// Tells other nodes of a flow whose state stays as it is.
  void tell(FlowIndex index) noexcept { teller_.changed(index); }

  /// Ends a flow with resets both ways; it stays for a while, so that what is under way is answered. `cause`: one of
  /// Counter::kFlowsCut...
  void cut(FlowIndex index, Counter cause) noexcept;
  /// Ends a flow whose client is told 421, with a reset to the backend alone. It stays as long as one that closes.
  void end_told(FlowIndex index) noexcept;

  /// Frees a flow's place.
  void forget(FlowIndex index) noexcept;
  /// Likewise of a flow that was not over, but whose client has begun another.
  void give_way(FlowIndex index) noexcept;
  /// Likewise of the handshake that has gone on longest, if there is one and it is at least so old.
  bool displace_handshake(uint32_t min_age_ms) noexcept;

  /// A flow is about to be forgotten whose handshake may yet be finished.
  void remember_handshake(const Flow& flow) noexcept;
  /// The backend that an ACK without a flow belongs to, if it finishes a handshake that is remembered; else kNoBackend.
  channel::BackendId recall_handshake(channel::ServiceId service, const Packet& ack) noexcept;

 private:
  void take_up(FlowIndex index) noexcept;
  void join_ring(FlowIndex index) noexcept;
  void displace(FlowIndex index) noexcept;
  void uncount(Flow& flow) noexcept;
  void end_by_us(FlowIndex index, channel::SessionEnd how, Counter cause, uint32_t deadline_ms) noexcept;

  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  ForwardingState& state_;
  SmtpObserver& observer_;
  ProxyInjector& proxy_;
  Resets& resets_;
  SessionRecorder& records_;
  FlowTeller teller_;
  SourceLimits& limits_;
  KnownClients& known_;
  FlowIndex over_limit_ = kNoFlow;
  uint8_t over_limit_by_ = 0;  // the rule, as SourceLimits::refused_by() says
  EmbryonicRing ring_;
  DisplacedHandshakes displaced_;
};

}  // namespace sluice

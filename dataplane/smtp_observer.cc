// SPDX-License-Identifier: Apache-2.0
//
// The observer's frame: how flows begin and end, which bytes of a segment are new, where dialogues are kept.
#include "dataplane/smtp_observer.h"

#include "dataplane/tcp_track.h"

namespace sluice {
namespace {

constexpr uint16_t kImplicitTlsPort = 465;

enum class Order : uint8_t { kSeenBefore, kNew, kGap };

/// What a segment brings: `skip` bytes of it were seen before.
Order order_of(const ObservedSegment& segment, uint32_t& skip) {
  const uint32_t beyond = segment.sequence - segment.expected;
  skip = 0;
  if (beyond == 0) return segment.payload == nullptr ? Order::kGap : Order::kNew;
  if (beyond < kBelievable) return Order::kGap;
  skip = segment.expected - segment.sequence;
  if (skip >= segment.bytes) return Order::kSeenBefore;
  return segment.payload == nullptr ? Order::kGap : Order::kNew;
}

/// What comes with a SYN or an RST is not part of the stream as far as it is followed here.
bool carries_payload(const ObservedSegment& segment) {
  return segment.bytes != 0 && (segment.tcp_flags & (kTcpSyn | kTcpRst)) == 0;
}

bool is_over(TcpState state) {
  return state == TcpState::kClosed || state == TcpState::kReset;
}

}  // namespace

Opening opening_of(const Service& service) noexcept {
  const bool both_ways =
      service.forwarding == channel::Forwarding::kNat || service.forwarding == channel::Forwarding::kFullnat;
  if (!both_ways || (service.flags & channel::kServiceUnobserved) != 0) return Opening::kUnwatched;
  return service.vip.port.host() == kImplicitTlsPort ? Opening::kTlsFirst : Opening::kServerFirst;
}

void SmtpObserver::from_client(FlowIndex index, Flow& flow, const Service& service, const ObservedSegment& segment,
                               uint64_t now_ms) noexcept {
  Seen seen{index, flow, now_ms};
  if (!open(seen)) return;
  if (seen.phase() < SmtpPhase::kCommands) begin(seen, service, true);
  if (carries_payload(segment)) client_payload(seen, segment);
  if (is_over(flow.state)) {
    end(seen, flow.state == TcpState::kReset ? SmtpCounter::kEndedResetByClient : how_it_closed(seen));
  }
  settle(seen);
}

void SmtpObserver::from_backend(FlowIndex index, Flow& flow, const Service& service, const ObservedSegment& segment,
                                uint64_t now_ms) noexcept {
  Seen seen{index, flow, now_ms};
  if (!open(seen)) return;
  if (seen.phase() < SmtpPhase::kCommands) begin(seen, service, false);
  if (carries_payload(segment)) backend_payload(seen, segment);
  if (is_over(flow.state)) {
    end(seen, flow.state == TcpState::kReset ? SmtpCounter::kEndedResetByServer : how_it_closed(seen));
  }
  settle(seen);
}

void SmtpObserver::expires(FlowIndex index, Flow& flow, uint64_t now_ms) noexcept {
  Seen seen{index, flow, now_ms};
  if (seen.phase() == SmtpPhase::kNew && flow.state == TcpState::kSynSent) {
    count(flow, SmtpCounter::kConnectTimeout);
    seen.enter(SmtpPhase::kEnded);
  }
  if (open(seen)) end(seen, SmtpCounter::kEndedIdle);
}

void SmtpObserver::is_cut(FlowIndex index, Flow& flow, uint64_t now_ms) noexcept {
  Seen seen{index, flow, now_ms};
  if (open(seen)) end(seen, SmtpCounter::kEndedCut);
}

void SmtpObserver::forget(FlowIndex index, Flow& flow) noexcept {
  if ((flow.smtp_detail & kSmtpDialogue) == 0) return;
  Dialogue* dialogue = dialogues_.find(index);
  if (dialogue != nullptr) dialogues_.release(*dialogue);
  flow.smtp_detail &= static_cast<uint8_t>(~kSmtpDialogue);
}

/// Fetches the flow's dialogue if it has one. False: there is nothing to do.
bool SmtpObserver::open(Seen& seen) noexcept {
  if (seen.phase() >= SmtpPhase::kEnded) return false;
  if (!seen.has(kSmtpDialogue)) return true;
  seen.dialogue = dialogues_.find(seen.index);
  if (seen.dialogue == nullptr) {  // it was an earlier process's
    seen.clear(kSmtpDialogue);
    lose(seen);
  }
  return true;
}

void SmtpObserver::settle(Seen& seen) noexcept {
  if (seen.dialogue != nullptr && seen.dialogue->is_idle()) drop_dialogue(seen);
}

/// The flow's dialogue, made if need be. Null if there is no room.
Dialogue* SmtpObserver::dialogue(Seen& seen) noexcept {
  if (seen.dialogue == nullptr) {
    seen.dialogue = dialogues_.take(seen.index);
    if (seen.dialogue != nullptr) seen.set(kSmtpDialogue);
  }
  return seen.dialogue;
}

void SmtpObserver::drop_dialogue(Seen& seen) noexcept {
  if (seen.dialogue == nullptr) return;
  dialogues_.release(*seen.dialogue);
  seen.dialogue = nullptr;
  seen.clear(kSmtpDialogue);
}

/// Follows the handshake.
void SmtpObserver::begin(Seen& seen, const Service& service, bool from_client) noexcept {
  Flow& flow = seen.flow;
  const Opening opening = opening_of(service);
  if (opening == Opening::kUnwatched) return seen.enter(SmtpPhase::kOff);
  const bool answered = seen.phase() == SmtpPhase::kAnswered;
  const uint32_t waited_ms = static_cast<uint32_t>(seen.now_ms) - flow.first_seen_ms;
  switch (flow.state) {
    case TcpState::kSynSent:
      return;
    case TcpState::kSynReceived:
      if (answered) return;
      stats_.service_smtp[flow.service].connect.add(waited_ms);
      stats_.backend_smtp[flow.backend].connect.add(waited_ms);
      return seen.enter(SmtpPhase::kAnswered);
    case TcpState::kEstablished:
    case TcpState::kClientFin:
      if (!answered) break;
      flow.first_seen_ms = static_cast<uint32_t>(seen.now_ms);
      if (opening == Opening::kTlsFirst) return seen.enter(SmtpPhase::kTlsHello);
      return seen.enter(SmtpPhase::kCommands, static_cast<uint8_t>(SmtpCommand::kConnect));
    case TcpState::kReset:
      if (!answered && !from_client) count(flow, SmtpCounter::kConnectRefused);
      return seen.enter(SmtpPhase::kEnded);
    case TcpState::kFree:
    case TcpState::kAdopted:
    case TcpState::kServerFin:
    case TcpState::kClosed:
      break;
  }
  seen.enter(SmtpPhase::kOff);  // met in mid-stream
}

/// How a connection ended that ended with FINs both ways.
SmtpObserver::SmtpCounter SmtpObserver::how_it_closed(const Seen& seen) const noexcept {
  switch (seen.phase()) {
    case SmtpPhase::kClosing:
      return seen.has(kSmtpQuit) ? SmtpCounter::kEndedQuit : SmtpCounter::kEndedRefused;
    case SmtpPhase::kTlsHello:
    case SmtpPhase::kTlsHandshake:
    case SmtpPhase::kTlsConfirm:
    case SmtpPhase::kTlsEstablished:
    case SmtpPhase::kTlsFailed:
      return SmtpCounter::kEndedTls;
    case SmtpPhase::kLost:
      return SmtpCounter::kEndedUnknown;
    case SmtpPhase::kCommandsLost:
      return seen.has(kSmtpQuit) ? SmtpCounter::kEndedQuit : SmtpCounter::kEndedUnknown;
    default:
      return seen.has(kSmtpQuit) ? SmtpCounter::kEndedQuit : SmtpCounter::kEndedWithoutQuit;
  }
}

void SmtpObserver::end(Seen& seen, SmtpCounter how) noexcept {
  const SmtpPhase phase = seen.phase();
  if (phase >= SmtpPhase::kEnded) return;
  if (phase >= SmtpPhase::kCommands) {
    const bool greeted =
        (phase != SmtpPhase::kCommands && phase != SmtpPhase::kCommandsLost) || seen.due() != SmtpCommand::kConnect;
    if (!greeted) count(seen.flow, SmtpCounter::kGreetingNone);
    if (phase == SmtpPhase::kTlsHandshake || phase == SmtpPhase::kTlsConfirm) {
      count(seen.flow, SmtpCounter::kTlsFailed);
    }
    count(seen.flow, how);
    const uint32_t lasted_ms = static_cast<uint32_t>(seen.now_ms) - seen.flow.first_seen_ms;
    stats_.service_smtp[seen.flow.service].session.add(lasted_ms);
    stats_.backend_smtp[seen.flow.backend].session.add(lasted_ms);
  }
  drop_dialogue(seen);
  seen.enter(SmtpPhase::kEnded);
}

/// The flow cannot be followed any more.
void SmtpObserver::lose(Seen& seen) noexcept {
  count(seen.flow, SmtpCounter::kFlowsLostSight);
  drop_dialogue(seen);
  seen.enter(SmtpPhase::kLost);
}

/// It is not known any more which command the next reply answers, unless that is the greeting.
void SmtpObserver::lose_commands(Seen& seen) noexcept {
  const bool greeted = seen.due() != SmtpCommand::kConnect;
  seen.enter(SmtpPhase::kCommandsLost, greeted ? 0 : static_cast<uint8_t>(SmtpCommand::kConnect));
  seen.clear(kSmtpAuth);
  if (seen.dialogue == nullptr) return;
  seen.dialogue->command = CommandLine{};
  seen.dialogue->chunk_left = 0;
  seen.dialogue->waiting.clear();
}

void SmtpObserver::client_payload(Seen& seen, const ObservedSegment& segment) noexcept {
  uint32_t skip;
  const Order order = order_of(segment, skip);
  if (order == Order::kSeenBefore) return;
  const bool gap = order == Order::kGap;
  const uint8_t* begin = segment.payload + skip;
  const uint8_t* end = segment.payload + segment.bytes;
  switch (seen.phase()) {
    case SmtpPhase::kCommands:
      return gap ? lose_commands(seen) : read_commands(seen, begin, end);
    case SmtpPhase::kMessage:
    case SmtpPhase::kMessageEdge:
      return segment.payload == nullptr ? seen.enter(SmtpPhase::kMessage) : read_message(seen, begin, end, gap);
    case SmtpPhase::kTlsHello:
    case SmtpPhase::kTlsHandshake:
      return gap ? lose(seen) : read_client_records(seen, begin, end);
    default:
      return;
  }
}

void SmtpObserver::backend_payload(Seen& seen, const ObservedSegment& segment) noexcept {
  uint32_t skip;
  const Order order = order_of(segment, skip);
  if (order == Order::kSeenBefore) return;
  const bool gap = order == Order::kGap;
  const uint8_t* begin = segment.payload + skip;
  const uint8_t* end = segment.payload + segment.bytes;
  switch (seen.phase()) {
    case SmtpPhase::kCommands:
    case SmtpPhase::kCommandsLost:
    case SmtpPhase::kMessage:
    case SmtpPhase::kMessageEdge:
      return gap ? lose(seen) : read_replies(seen, begin, end);
    case SmtpPhase::kTlsHandshake:
    case SmtpPhase::kTlsConfirm:
      return gap ? lose(seen) : read_server_records(seen, begin, end);
    default:
      return;
  }
}

}  // namespace sluice

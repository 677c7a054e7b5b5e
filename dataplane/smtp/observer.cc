// SPDX-License-Identifier: Apache-2.0
//
// How connections begin and end, and which bytes of a segment are new.
#include "dataplane/smtp/observer.h"

#include "dataplane/flow/tcp_track.h"

namespace sluice {

using channel::SmtpCounter;

namespace {

constexpr uint16_t kImplicitTlsPort = 465;

enum class Order : uint8_t { kSeenBefore, kNew, kGap };

/// What a segment brings: `skip` bytes of it were seen before.
Order order_of(const ObservedSegment& segment, uint32_t& skip) {
  skip = 0;
  if (segment.sequence == segment.expected) return segment.payload == nullptr ? Order::kGap : Order::kNew;
  if (sequence_before(segment.expected, segment.sequence)) return Order::kGap;
  skip = segment.expected - segment.sequence;
  if (skip >= segment.bytes) return Order::kSeenBefore;
  return segment.payload == nullptr ? Order::kGap : Order::kNew;
}

/// What of a segment is to be read. What comes with a SYN or an RST is not part of the stream as far as it is followed
/// here.
struct NewBytes {
  bool any = false;
  const uint8_t* begin = nullptr;  // null: not at hand
  const uint8_t* end = nullptr;
  bool gap = false;  // something before it is missing
};

NewBytes new_bytes(const ObservedSegment& segment) {
  if (segment.bytes == 0 || (segment.tcp_flags & (kTcpSyn | kTcpRst)) != 0) return {};
  uint32_t skip;
  const Order order = order_of(segment, skip);
  if (order == Order::kSeenBefore) return {};
  if (segment.payload == nullptr) return {true, nullptr, nullptr, true};
  return {true, segment.payload + skip, segment.payload + segment.bytes, order == Order::kGap};
}

/// How a connection ended that ended with FINs both ways.
SmtpCounter how_it_closed(const SmtpSession& session) {
  switch (session.phase()) {
    case SmtpPhase::kClosing:
      return session.has(kSmtpQuit) ? SmtpCounter::kEndedQuit : SmtpCounter::kEndedRefused;
    case SmtpPhase::kTlsHello:
    case SmtpPhase::kTlsHandshake:
    case SmtpPhase::kTlsConfirm:
    case SmtpPhase::kTlsEstablished:
    case SmtpPhase::kTlsFailed:
      return SmtpCounter::kEndedTls;
    case SmtpPhase::kLost:
      return SmtpCounter::kEndedUnknown;
    case SmtpPhase::kCommandsLost:
      return session.has(kSmtpQuit) ? SmtpCounter::kEndedQuit : SmtpCounter::kEndedUnknown;
    default:
      return session.has(kSmtpQuit) ? SmtpCounter::kEndedQuit : SmtpCounter::kEndedWithoutQuit;
  }
}

void end(SmtpSession& session, SmtpCounter how) {
  const SmtpPhase phase = session.phase();
  if (phase >= SmtpPhase::kEnded) return;
  if (phase >= SmtpPhase::kCommands) {
    const bool greeted =
        (phase != SmtpPhase::kCommands && phase != SmtpPhase::kCommandsLost) || session.due() != SmtpCommand::kConnect;
    if (!greeted) session.count(SmtpCounter::kGreetingNone);
    if (phase == SmtpPhase::kTlsHandshake || phase == SmtpPhase::kTlsConfirm) {
      session.count(SmtpCounter::kTlsFailed);
      session.note(channel::kSessionTlsFailed);
    }
    session.count(how);
    session.add_lasted(&channel::SmtpCounters::session);
  }
  session.drop_dialogue();
  session.enter(SmtpPhase::kEnded);
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
  SmtpSession session(memory_, index, flow, now_ms);
  if (!session.open()) return;
  if (session.phase() < SmtpPhase::kCommands) begin(session, flow, service, Speaker::kClient);
  const NewBytes bytes = new_bytes(segment);
  if (bytes.any) session.client_says(bytes.begin, bytes.end, bytes.gap);
  if (is_over(flow.state)) {
    end(session, flow.state == TcpState::kReset ? SmtpCounter::kEndedResetByClient : how_it_closed(session));
  }
  session.settle();
}

void SmtpObserver::from_backend(FlowIndex index, Flow& flow, const Service& service, const ObservedSegment& segment,
                                uint64_t now_ms) noexcept {
  SmtpSession session(memory_, index, flow, now_ms);
  if (!session.open()) return;
  const NewBytes bytes = new_bytes(segment);
  const Speaker speaker = bytes.any ? Speaker::kBackend : Speaker::kSilentBackend;
  if (session.phase() < SmtpPhase::kCommands) begin(session, flow, service, speaker);
  if (bytes.any) session.server_says(bytes.begin, bytes.end, bytes.gap);
  if (is_over(flow.state)) {
    end(session, flow.state == TcpState::kReset ? SmtpCounter::kEndedResetByServer : how_it_closed(session));
  }
  session.settle();
}

void SmtpObserver::expires(FlowIndex index, Flow& flow, uint64_t now_ms) noexcept {
  SmtpSession session(memory_, index, flow, now_ms);
  if (session.phase() == SmtpPhase::kNew && flow.state == TcpState::kSynSent) {
    session.count(SmtpCounter::kConnectTimeout);
    session.enter(SmtpPhase::kEnded);
  }
  if (session.open()) end(session, SmtpCounter::kEndedIdle);
}

void SmtpObserver::is_cut(FlowIndex index, Flow& flow, uint64_t now_ms) noexcept {
  SmtpSession session(memory_, index, flow, now_ms);
  if (session.open()) end(session, SmtpCounter::kEndedCut);
}

void SmtpObserver::is_told(FlowIndex index, Flow& flow, uint64_t now_ms) noexcept {
  SmtpSession session(memory_, index, flow, now_ms);
  if (session.open()) end(session, SmtpCounter::kEndedTold);
}

void SmtpObserver::forget(FlowIndex index, Flow& flow) noexcept {
  if ((flow.smtp_detail & kSmtpDialogue) == 0) return;
  Dialogue* dialogue = memory_.dialogues.find(index);
  if (dialogue != nullptr) memory_.dialogues.release(*dialogue);
  flow.smtp_detail &= static_cast<uint8_t>(~kSmtpDialogue);
}

/// The dialogue begins.
void SmtpObserver::start(SmtpSession& session, Opening opening) noexcept {
  session.note_established();
  session.note(channel::kSessionWatched);
  constexpr auto kGreeting = static_cast<uint8_t>(SmtpCommand::kConnect);
  if (!session.has(kSmtpEarly)) {
    if (opening == Opening::kTlsFirst) return session.enter(SmtpPhase::kTlsHello);
    return session.enter_commands(SmtpCommand::kConnect);
  }
  // What the client said with its SYN (TCP Fast Open) was not seen.
  session.count(opening == Opening::kTlsFirst ? SmtpCounter::kFlowsLostSight : SmtpCounter::kEarlyTalkers);
  session.note(opening == Opening::kTlsFirst ? channel::kSessionLostSight : channel::kSessionEarly);
  if (opening == Opening::kTlsFirst) return session.enter(SmtpPhase::kLost);
  session.enter(SmtpPhase::kCommandsLost, kGreeting);
}

/// Follows the handshake.
void SmtpObserver::begin(SmtpSession& session, Flow& flow, const Service& service, Speaker speaker) noexcept {
  const Opening opening = opening_of(service);
  if (opening == Opening::kUnwatched) return session.enter(SmtpPhase::kOff);
  const bool answered = session.phase() == SmtpPhase::kAnswered;
  switch (flow.state) {
    case TcpState::kSynSent:
      return;
    case TcpState::kSynReceived:
      if (answered && speaker == Speaker::kBackend) return start(session, opening);
      if (answered) return;
      session.add_lasted(&channel::SmtpCounters::connect);
      return session.enter(SmtpPhase::kAnswered);
    case TcpState::kEstablished:
    case TcpState::kClientFin:
      if (!answered) break;
      return start(session, opening);
    case TcpState::kReset:
      if (!answered && speaker != Speaker::kClient) session.count(SmtpCounter::kConnectRefused);
      return session.enter(SmtpPhase::kEnded);
    case TcpState::kFree:
    case TcpState::kAdopted:
    case TcpState::kServerFin:
    case TcpState::kClosed:
      break;
  }
  session.enter(SmtpPhase::kOff);  // met in mid-stream
}

}  // namespace sluice

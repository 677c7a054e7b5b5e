// SPDX-License-Identifier: Apache-2.0
//
// What the observer makes of what the two sides say: commands, messages, replies, TLS records.
#include <cstring>

#include <algorithm>
#include <string_view>

#include "dataplane/smtp_observer.h"

namespace sluice {
namespace {

using channel::SmtpCounter;

/// How much of the end of data (CRLF, dot, CRLF: RFC 5321 section 4.1.1.4) was seen. A line begins behind CRLF only:
/// what servers make of a lone LF here differs, so it is not judged.
enum class EndOfData : uint8_t { kMidLine = 0, kLineBegin, kCr, kDot, kDotCr, kSeen };

constexpr std::string_view kTerminator = "\r\n.\r\n";
constexpr ptrdiff_t kTailBytes = 256;  // how much may be pipelined behind the dot in one segment

EndOfData after_byte(EndOfData place, uint8_t c) {
  switch (place) {
    case EndOfData::kLineBegin:
      if (c == '.') return EndOfData::kDot;
      break;
    case EndOfData::kCr:
      if (c == '\n') return EndOfData::kLineBegin;
      break;
    case EndOfData::kDot:
      if (c == '\r') return EndOfData::kDotCr;
      break;
    case EndOfData::kDotCr:
      if (c == '\n') return EndOfData::kSeen;
      break;
    case EndOfData::kMidLine:
    case EndOfData::kSeen:
      break;
  }
  return c == '\r' ? EndOfData::kCr : EndOfData::kMidLine;
}

/// Goes over [at, end) byte by byte. Stops behind the end of data.
const uint8_t* go_over(EndOfData& place, const uint8_t* at, const uint8_t* end) {
  while (at != end && place != EndOfData::kSeen) place = after_byte(place, *at++);
  return at;
}

/// Behind the first terminator in [begin, end), or null. From line end to line end, which is several times quicker than
/// memmem(3) for a needle this short.
const uint8_t* first_terminator(const uint8_t* begin, const uint8_t* end) {
  constexpr size_t kBefore = kTerminator.size() - 1;  // bytes before its newline
  const uint8_t* found = nullptr;
  if (begin == nullptr) return found;  // for the compiler, which cannot tell that a segment has bytes
  for (const uint8_t* at = end; static_cast<size_t>(at - begin) > kBefore;) {
    at = static_cast<const uint8_t*>(memrchr(begin, '\n', static_cast<size_t>(at - begin)));
    if (at == nullptr || static_cast<size_t>(at - begin) < kBefore) break;
    if (memcmp(at - kBefore, kTerminator.data(), kTerminator.size()) == 0) found = at + 1;
  }
  return found;
}

/// Looks for the end of data in a segment of message, at its beginning if `place` is an edge, and at its end. Returns
/// where it ends; `place` tells whether it was seen, and if not, how the segment ends.
const uint8_t* find_end_of_data(EndOfData& place, const uint8_t* at, const uint8_t* end) {
  constexpr ptrdiff_t kLength = kTerminator.size();
  const uint8_t* head_end = at + std::min(end - at, kLength - 1);
  const uint8_t* head = go_over(place, at, head_end);
  if (place == EndOfData::kSeen || head == end) return head;
  const uint8_t* tail = std::max(at, end - kTailBytes);
  if (const uint8_t* behind = first_terminator(tail, end)) {
    place = EndOfData::kSeen;
    return behind;
  }
  place = EndOfData::kMidLine;
  return go_over(place, end - kLength, end);
}

SmtpCounter enhanced_counter(const ReplyLine& line) {
  const bool permanent = line.severity() == 5;
  if (!line.enhanced) return SmtpCounter::kEnhancedNone;
  const uint32_t both = line.subject * 1000U + line.detail;
  if (permanent) {
    switch (both) {
      case 1001:
        return SmtpCounter::kEnhanced511;
      case 7001:
        return SmtpCounter::kEnhanced571;
      case 7008:
        return SmtpCounter::kEnhanced578;
    }
    switch (line.subject) {
      case 1:
        return SmtpCounter::kEnhanced51x;
      case 2:
        return SmtpCounter::kEnhanced52x;
      case 5:
        return SmtpCounter::kEnhanced55x;
      case 7:
        return SmtpCounter::kEnhanced57x;
    }
    return SmtpCounter::kEnhanced5Other;
  }
  switch (both) {
    case 3000:
      return SmtpCounter::kEnhanced430;
    case 3001:
      return SmtpCounter::kEnhanced431;
    case 3002:
      return SmtpCounter::kEnhanced432;
    case 4002:
      return SmtpCounter::kEnhanced442;
    case 4005:
      return SmtpCounter::kEnhanced445;
    case 7000:
      return SmtpCounter::kEnhanced470;
    case 7001:
      return SmtpCounter::kEnhanced471;
  }
  if (line.subject == 2) return SmtpCounter::kEnhanced42x;
  return line.subject == 7 ? SmtpCounter::kEnhanced47x : SmtpCounter::kEnhanced4Other;
}

}  // namespace

/// Notes that a command waits for its reply. False: too many do.
bool SmtpObserver::expect(Seen& seen, SmtpCommand command) noexcept {
  if (seen.due() == SmtpCommand::kNone) {
    seen.enter(seen.phase(), static_cast<uint8_t>(command));
    return true;
  }
  return dialogue(seen) != nullptr && seen.dialogue->waiting.push(command);
}

void SmtpObserver::read_commands(Seen& seen, const uint8_t* at, const uint8_t* end) noexcept {
  if (seen.due() == SmtpCommand::kConnect && !seen.has(kSmtpEarly)) {
    seen.set(kSmtpEarly);
    count(seen.flow, SmtpCounter::kEarlyTalkers);
  }
  CommandLine line;
  uint32_t chunk_left = 0;
  if (seen.dialogue != nullptr) {
    line = seen.dialogue->command;
    chunk_left = seen.dialogue->chunk_left;
  }
  while (at != end) {
    if (chunk_left != 0) {
      const uint32_t skipped = std::min(chunk_left, static_cast<uint32_t>(end - at));
      chunk_left -= skipped;
      at += skipped;
      continue;
    }
    if (!line.begun() && seen.has(kSmtpAuth)) {  // a secret: not looked at
      line.command = SmtpCommand::kAuth;
      line.place = CommandPlace::kRest;
    }
    if (!read_command(at, end, line)) break;
    if (line.command == SmtpCommand::kAuth) seen.clear(kSmtpAuth);
    if (line.command == SmtpCommand::kQuit) seen.set(kSmtpQuit);
    if (line.command == SmtpCommand::kChunk || line.command == SmtpCommand::kEndOfData) chunk_left = line.chunk_bytes;
    if (!expect(seen, line.command)) return lose_commands(seen);
    line = CommandLine{};
  }
  const bool unfinished = line.begun() || chunk_left != 0;
  if (unfinished && dialogue(seen) == nullptr) return lose_commands(seen);
  if (seen.dialogue == nullptr) return;
  seen.dialogue->command = line;
  seen.dialogue->chunk_left = chunk_left;
}

void SmtpObserver::read_message(Seen& seen, const uint8_t* at, const uint8_t* end, bool gap) noexcept {
  const bool edge = seen.phase() == SmtpPhase::kMessageEdge && !gap;
  auto place = edge ? static_cast<EndOfData>(seen.low()) : EndOfData::kMidLine;
  at = find_end_of_data(place, at, end);
  if (place == EndOfData::kMidLine) return seen.enter(SmtpPhase::kMessage);
  if (place != EndOfData::kSeen) return seen.enter(SmtpPhase::kMessageEdge, static_cast<uint8_t>(place));
  seen.enter(SmtpPhase::kCommands, static_cast<uint8_t>(SmtpCommand::kEndOfData));
  read_commands(seen, at, end);
}

void SmtpObserver::read_replies(Seen& seen, const uint8_t* at, const uint8_t* end) noexcept {
  ReplyLine line;
  if (seen.dialogue != nullptr) line = seen.dialogue->reply;
  while (at != end) {
    const uint8_t* begin;
    const ReplyResult result = read_reply(at, end, line, begin);
    if (result == ReplyResult::kIncomplete) break;
    if (result == ReplyResult::kMalformed) {
      const bool greeting = seen.phase() <= SmtpPhase::kCommandsLost && seen.due() == SmtpCommand::kConnect;
      count(seen.flow, greeting ? SmtpCounter::kGreetingOther : SmtpCounter::kRepliesUnknown);
      return lose(seen);
    }
    if (seen.dialogue != nullptr) seen.dialogue->reply = ReplyLine{};
    reply(seen, line, begin, at);
    line = ReplyLine{};
    if (seen.phase() == SmtpPhase::kTlsHello && at != end) return lose(seen);
    if (seen.phase() > SmtpPhase::kMessageEdge) return;
  }
  if (line.begun() && dialogue(seen) == nullptr) return lose(seen);
  if (seen.dialogue != nullptr) seen.dialogue->reply = line;
}

/// What the reply that has just come answers. It waits no more.
SmtpCommand SmtpObserver::take_answered(Seen& seen) noexcept {
  const SmtpPhase phase = seen.phase();
  if (phase == SmtpPhase::kMessage || phase == SmtpPhase::kMessageEdge) {
    // The dot was missed, or the server did not wait for it: the client may be anywhere.
    seen.enter(SmtpPhase::kCommandsLost);
    return SmtpCommand::kEndOfData;
  }
  const SmtpCommand command = seen.due();
  const SmtpCommand next = seen.dialogue == nullptr ? SmtpCommand::kNone : seen.dialogue->waiting.pop();
  seen.enter(phase, static_cast<uint8_t>(next));
  return command;
}

void SmtpObserver::reply(Seen& seen, const ReplyLine& line, const uint8_t* begin, const uint8_t* end) noexcept {
  const SmtpCommand command = take_answered(seen);
  if (line.code >= 400) [[unlikely]]
    count_refusal(seen, command, line, begin, end);
  if (command == SmtpCommand::kConnect) return greeting(seen, line);
  judge(seen, command, line);
  switch (line.code) {
    case 421:
      count(seen.flow, SmtpCounter::kMidSession421);
      return close(seen, false);
    case 221:
      return close(seen, true);
    case 354:
      return begin_message(seen);
    case 220:
      if (command == SmtpCommand::kStartTls) return begin_tls(seen);
      break;
  }
  if (command != SmtpCommand::kNone) return;
  count(seen.flow, SmtpCounter::kRepliesUnknown);
  lose_commands(seen);
}

void SmtpObserver::greeting(Seen& seen, const ReplyLine& line) noexcept {
  const uint32_t waited_ms = static_cast<uint32_t>(seen.now_ms) - seen.flow.first_seen_ms;
  stats_.service_smtp[seen.flow.service].greeting.add(waited_ms);
  stats_.backend_smtp[seen.flow.backend].greeting.add(waited_ms);
  switch (line.severity()) {
    case 2:
      return count(seen.flow, SmtpCounter::kGreeting2xx);
    case 4:
      count(seen.flow, line.code == 421 ? SmtpCounter::kGreeting421 : SmtpCounter::kGreeting4xx);
      return close(seen, false);
    case 5:
      count(seen.flow, SmtpCounter::kGreeting5xx);
      return close(seen, false);
  }
  count(seen.flow, SmtpCounter::kGreetingOther);
  lose(seen);
}

/// Counts what a reply says about the command it answers, beyond being a refusal.
void SmtpObserver::judge(Seen& seen, SmtpCommand command, const ReplyLine& line) noexcept {
  switch (command) {
    case SmtpCommand::kStartTls:
      return count(seen.flow, line.code == 220 ? SmtpCounter::kStartTlsAccepted : SmtpCounter::kStartTlsRefused);
    case SmtpCommand::kAuth:
      if (line.code == 235) count(seen.flow, SmtpCounter::kAuthAccepted);
      if (line.code == 535) count(seen.flow, SmtpCounter::kAuthFailed);
      if (line.code != 334) return;
      if (seen.due() != SmtpCommand::kNone) return lose_commands(seen);  // the client did not wait
      return seen.set(kSmtpAuth);
    case SmtpCommand::kEndOfData:
      if (line.severity() == 2) count(seen.flow, SmtpCounter::kMessagesAccepted);
      if (line.severity() == 4) count(seen.flow, SmtpCounter::kMessagesTemporary);
      if (line.severity() == 5) count(seen.flow, SmtpCounter::kMessagesPermanent);
      return;
    default:
      return;
  }
}

void SmtpObserver::count_refusal(Seen& seen, SmtpCommand command, const ReplyLine& line, const uint8_t* begin,
                                 const uint8_t* end) noexcept {
  count(seen.flow, channel::refusal(step_of(command), line.severity() == 5));
  count(seen.flow, enhanced_counter(line));
  count(seen.flow,
        begin == nullptr ? SmtpCounter::kReasonUnknown : reasons_.classify(begin, static_cast<uint32_t>(end - begin)));
}

/// The server has said that it ends the session, or that it will serve nothing in it.
void SmtpObserver::close(Seen& seen, bool after_quit) noexcept {
  drop_dialogue(seen);
  seen.clear(kSmtpQuit);
  if (after_quit) seen.set(kSmtpQuit);
  seen.enter(SmtpPhase::kClosing);
}

void SmtpObserver::begin_message(Seen& seen) noexcept {
  // A client that went on before it saw 354 is somewhere in its message already.
  const bool waited = seen.due() == SmtpCommand::kNone && (seen.dialogue == nullptr || !seen.dialogue->command.begun());
  lose_commands(seen);
  if (!waited) return seen.enter(SmtpPhase::kMessage);
  seen.enter(SmtpPhase::kMessageEdge, static_cast<uint8_t>(EndOfData::kLineBegin));
}

void SmtpObserver::begin_tls(Seen& seen) noexcept {
  const bool waited = seen.due() == SmtpCommand::kNone && (seen.dialogue == nullptr || seen.dialogue->is_idle());
  if (!waited) return lose(seen);  // nothing may be pipelined behind STARTTLS (RFC 3207 section 4.2)
  seen.enter(SmtpPhase::kTlsHello);
}

void SmtpObserver::read_client_records(Seen& seen, const uint8_t* at, const uint8_t* end) noexcept {
  TlsStream stream;
  if (seen.dialogue != nullptr) stream = seen.dialogue->client_tls;
  while (at != end) {
    const TlsResult result = read_record(at, end, stream);
    if (result == TlsResult::kIncomplete) break;
    if (result == TlsResult::kMalformed) return lose(seen);
    const bool hello = seen.phase() == SmtpPhase::kTlsHello;
    if (result == TlsResult::kFatalAlert) {
      if (!hello) count(seen.flow, SmtpCounter::kTlsFailed);
      drop_dialogue(seen);
      return seen.enter(SmtpPhase::kTlsFailed);
    }
    if (hello) {
      if (stream.content != TlsContent::kHandshake) return lose(seen);
      count(seen.flow, SmtpCounter::kTlsBegun);
      seen.enter(SmtpPhase::kTlsHandshake);
    } else if (stream.content == TlsContent::kApplicationData) {
      if (seen.dialogue != nullptr) seen.dialogue->client_tls = TlsStream{};
      return seen.enter(SmtpPhase::kTlsConfirm);
    }
  }
  if (stream.begun() && dialogue(seen) == nullptr) return lose(seen);
  if (seen.dialogue != nullptr) seen.dialogue->client_tls = stream;
}

void SmtpObserver::read_server_records(Seen& seen, const uint8_t* at, const uint8_t* end) noexcept {
  TlsStream stream;
  if (seen.dialogue != nullptr) stream = seen.dialogue->server_tls;
  while (at != end) {
    const TlsResult result = read_record(at, end, stream);
    if (result == TlsResult::kIncomplete) break;
    if (result == TlsResult::kMalformed) return lose(seen);
    const bool fatal = result == TlsResult::kFatalAlert;
    const bool confirmed =
        seen.phase() == SmtpPhase::kTlsConfirm && stream.content == TlsContent::kApplicationData && !fatal;
    if (!fatal && !confirmed) continue;
    count(seen.flow, fatal ? SmtpCounter::kTlsFailed : SmtpCounter::kTlsEstablished);
    drop_dialogue(seen);
    return seen.enter(fatal ? SmtpPhase::kTlsFailed : SmtpPhase::kTlsEstablished);
  }
  if (stream.begun() && dialogue(seen) == nullptr) return lose(seen);
  if (seen.dialogue != nullptr) seen.dialogue->server_tls = stream;
}

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/smtp/session.h"

#include <algorithm>
#include <cstring>
#include <string_view>

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

}  // namespace

bool SmtpSession::open() noexcept {
  if (phase() >= SmtpPhase::kEnded) return false;
  if (!has(kSmtpDialogue)) return true;
  dialogue_ = memory_.dialogues.find(index_);
  if (dialogue_ == nullptr) {  // it was an earlier process's
    clear(kSmtpDialogue);
    lose();
  }
  return true;
}

void SmtpSession::settle() noexcept {
  if (dialogue_ != nullptr && dialogue_->is_idle()) drop_dialogue();
}

/// The flow's dialogue, made if need be. Null if there is no room.
Dialogue* SmtpSession::take_dialogue() noexcept {
  if (dialogue_ == nullptr) {
    dialogue_ = memory_.dialogues.take(index_);
    if (dialogue_ != nullptr) set(kSmtpDialogue);
  }
  return dialogue_;
}

void SmtpSession::drop_dialogue() noexcept {
  if (dialogue_ == nullptr) return;
  memory_.dialogues.release(*dialogue_);
  dialogue_ = nullptr;
  clear(kSmtpDialogue);
}

/// The flow cannot be followed any more.
void SmtpSession::lose() noexcept {
  count(SmtpCounter::kFlowsLostSight);
  note(channel::kSessionLostSight);
  drop_dialogue();
  enter(SmtpPhase::kLost);
}

/// It is not known any more which command the next reply answers, unless that is the greeting.
void SmtpSession::lose_commands() noexcept {
  const bool greeted = due() != SmtpCommand::kConnect;
  enter(SmtpPhase::kCommandsLost, greeted ? 0 : static_cast<uint8_t>(SmtpCommand::kConnect));
  clear(kSmtpAuth);
  if (dialogue_ == nullptr) return;
  dialogue_->command = CommandLine{};
  dialogue_->chunk_left = 0;
  dialogue_->waiting.clear();
}

void SmtpSession::client_says(const uint8_t* at, const uint8_t* end, bool gap) noexcept {
  switch (phase()) {
    case SmtpPhase::kCommands:
      return gap ? lose_commands() : read_commands(at, end);
    case SmtpPhase::kMessage:
    case SmtpPhase::kMessageEdge:
      return at == nullptr ? enter(SmtpPhase::kMessage) : read_message(at, end, gap);
    case SmtpPhase::kTlsHello:
    case SmtpPhase::kTlsHandshake:
      return gap ? lose() : read_client_records(at, end);
    default:
      return;
  }
}

void SmtpSession::server_says(const uint8_t* at, const uint8_t* end, bool gap) noexcept {
  switch (phase()) {
    case SmtpPhase::kCommands:
    case SmtpPhase::kCommandsLost:
    case SmtpPhase::kMessage:
    case SmtpPhase::kMessageEdge:
      return gap ? lose() : read_replies(at, end);
    case SmtpPhase::kTlsHello:
      return lose();  // TLS begins with the client: this is another protocol
    case SmtpPhase::kTlsHandshake:
    case SmtpPhase::kTlsConfirm:
      return gap ? lose() : read_server_records(at, end);
    default:
      return;
  }
}

/// Notes that a command waits for its reply. False: too many do.
bool SmtpSession::expect(SmtpCommand command) noexcept {
  if (command == SmtpCommand::kStartTls) note(channel::kSessionStartTlsAsked);
  if (due() == SmtpCommand::kNone) {
    enter(phase(), static_cast<uint8_t>(command));
    return true;
  }
  return take_dialogue() != nullptr && dialogue_->waiting.push(command);
}

void SmtpSession::read_commands(const uint8_t* at, const uint8_t* end) noexcept {
  if (due() == SmtpCommand::kConnect && !has(kSmtpEarly)) {
    set(kSmtpEarly);
    count(SmtpCounter::kEarlyTalkers);
    note(channel::kSessionEarly);
  }
  CommandLine line;
  uint32_t chunk_left = 0;
  if (dialogue_ != nullptr) {
    line = dialogue_->command;
    chunk_left = dialogue_->chunk_left;
  }
  while (at != end) {
    if (chunk_left != 0) {
      const uint32_t skipped = std::min(chunk_left, static_cast<uint32_t>(end - at));
      chunk_left -= skipped;
      at += skipped;
      continue;
    }
    if (!line.begun() && has(kSmtpAuth)) {  // a secret: not looked at
      line.command = SmtpCommand::kAuth;
      line.place = CommandPlace::kRest;
    }
    if (!read_command(at, end, line)) break;
    if (line.command == SmtpCommand::kAuth) clear(kSmtpAuth);
    if (line.command == SmtpCommand::kQuit) set(kSmtpQuit);
    if (line.command == SmtpCommand::kChunk || line.command == SmtpCommand::kEndOfData) chunk_left = line.chunk_bytes;
    if (!expect(line.command)) return lose_commands();
    line = CommandLine{};
  }
  const bool unfinished = line.begun() || chunk_left != 0;
  if (unfinished && take_dialogue() == nullptr) return lose_commands();
  if (dialogue_ == nullptr) return;
  dialogue_->command = line;
  dialogue_->chunk_left = chunk_left;
}

void SmtpSession::read_message(const uint8_t* at, const uint8_t* end, bool gap) noexcept {
  const bool edge = phase() == SmtpPhase::kMessageEdge && !gap;
  auto place = edge ? static_cast<EndOfData>(low()) : EndOfData::kMidLine;
  at = find_end_of_data(place, at, end);
  if (place == EndOfData::kMidLine) return enter(SmtpPhase::kMessage);
  if (place != EndOfData::kSeen) return enter(SmtpPhase::kMessageEdge, static_cast<uint8_t>(place));
  enter(SmtpPhase::kCommands, static_cast<uint8_t>(SmtpCommand::kEndOfData));
  read_commands(at, end);
}

void SmtpSession::read_replies(const uint8_t* at, const uint8_t* end) noexcept {
  ReplyLine line;
  if (dialogue_ != nullptr) line = dialogue_->reply;
  while (at != end) {
    const uint8_t* begin;
    const ReplyResult result = read_reply(at, end, line, begin);
    if (line.starttls && due() == SmtpCommand::kEhlo) note(channel::kSessionStartTlsOffered);
    if (result == ReplyResult::kIncomplete) break;
    if (result == ReplyResult::kMalformed) {
      const bool greeting = phase() <= SmtpPhase::kCommandsLost && due() == SmtpCommand::kConnect;
      count(greeting ? SmtpCounter::kGreetingOther : SmtpCounter::kRepliesUnknown);
      return lose();
    }
    if (dialogue_ != nullptr) dialogue_->reply = ReplyLine{};
    reply(line, begin, at);
    line = ReplyLine{};
    if (phase() == SmtpPhase::kTlsHello && at != end) return lose();
    if (phase() > SmtpPhase::kMessageEdge) return;
  }
  if (line.begun() && take_dialogue() == nullptr) return lose();
  if (dialogue_ != nullptr) dialogue_->reply = line;
}

/// What the reply that has just come answers. It waits no more.
SmtpCommand SmtpSession::take_answered() noexcept {
  const SmtpPhase before = phase();
  if (before == SmtpPhase::kMessage || before == SmtpPhase::kMessageEdge) {
    // The dot was missed, or the server did not wait for it: the client may be anywhere.
    enter(SmtpPhase::kCommandsLost);
    return SmtpCommand::kEndOfData;
  }
  const SmtpCommand command = due();
  const SmtpCommand next = dialogue_ == nullptr ? SmtpCommand::kNone : dialogue_->waiting.pop();
  enter(before, static_cast<uint8_t>(next));
  return command;
}

void SmtpSession::reply(const ReplyLine& line, const uint8_t* begin, const uint8_t* end) noexcept {
  const SmtpCommand command = take_answered();
  if (line.code >= 400) [[unlikely]]
    count_refusal(command, line, begin, end);
  note_reply(command, line);
  note_transaction(command, line);
  if (command == SmtpCommand::kConnect) return greeting(line);
  judge(command, line);
  switch (line.code) {
    case 421:
      count(SmtpCounter::kMidSession421);
      note(channel::kSession421);
      return close(false);
    case 221:
      return close(true);
    case 354:
      return begin_message();
    case 220:
      if (command == SmtpCommand::kStartTls) return begin_tls();
      break;
  }
  if (command != SmtpCommand::kNone) return;
  count(SmtpCounter::kRepliesUnknown);
  lose_commands();
}

void SmtpSession::greeting(const ReplyLine& line) noexcept {
  add_lasted(&channel::SmtpCounters::greeting);
  switch (line.severity()) {
    case 2:
      return count(SmtpCounter::kGreeting2xx);
    case 4:
      count(line.code == 421 ? SmtpCounter::kGreeting421 : SmtpCounter::kGreeting4xx);
      return close(false);
    case 5:
      count(SmtpCounter::kGreeting5xx);
      return close(false);
  }
  count(SmtpCounter::kGreetingOther);
  lose();
}

/// Counts what a reply says about the command it answers, beyond being a refusal.
void SmtpSession::judge(SmtpCommand command, const ReplyLine& line) noexcept {
  switch (command) {
    case SmtpCommand::kStartTls:
      return count(line.code == 220 ? SmtpCounter::kStartTlsAccepted : SmtpCounter::kStartTlsRefused);
    case SmtpCommand::kAuth:
      if (line.code == 235) count(SmtpCounter::kAuthAccepted);
      if (line.code == 535) count(SmtpCounter::kAuthFailed);
      if (line.code != 334) return;
      if (due() != SmtpCommand::kNone) return lose_commands();  // the client did not wait
      return set(kSmtpAuth);
    case SmtpCommand::kEndOfData:
      if (line.severity() == 2) count(SmtpCounter::kMessagesAccepted);
      if (line.severity() == 4) count(SmtpCounter::kMessagesTemporary);
      if (line.severity() == 5) count(SmtpCounter::kMessagesPermanent);
      return;
    default:
      return;
  }
}

/// Notes what a reply says for the session's record.
void SmtpSession::note_reply(SmtpCommand command, const ReplyLine& line) noexcept {
  channel::SessionNotes& notes = this->notes();
  const channel::SmtpStep step = step_of(command);
  if (command == SmtpCommand::kConnect) {
    notes.greeting_code = line.code & 0x3ff;
    notes.greeted_after_ms =
        std::min(lasted_ms(), channel::SessionNotes::kMostGreetedAfterMs) & channel::SessionNotes::kMostGreetedAfterMs;
  }
  if (line.code < 400) {
    notes.reach(step);
    if (line.code == 235 && command == SmtpCommand::kAuth) notes.flags |= channel::kSessionAuthAccepted;
    if (line.severity() == 2 && command == SmtpCommand::kEndOfData) channel::count_up(notes.messages_accepted);
    return;
  }
  notes.set_last_refusal({.code = line.code,
                          .subject = line.enhanced ? line.subject : uint16_t{0},
                          .detail = line.enhanced ? line.detail : uint16_t{0},
                          .enhanced = line.enhanced,
                          .step = static_cast<uint8_t>(step)});
  if (command == SmtpCommand::kConnect) return;
  if (command == SmtpCommand::kEndOfData) {
    return channel::count_up(line.severity() == 5 ? notes.messages_permanent : notes.messages_temporary);
  }
  channel::count_up(notes.refused[channel::SessionNotes::place_of(step)]);
}

/// Whether a mail transaction is under way from here on. The end of data ends it, whatever the reply
/// (RFC 5321 section 4.1.1.4).
void SmtpSession::note_transaction(SmtpCommand command, const ReplyLine& line) noexcept {
  const bool done = line.severity() == 2;
  const bool begins = command == SmtpCommand::kMail && done;
  const bool ends =
      command == SmtpCommand::kEndOfData || (done && (command == SmtpCommand::kReset || command == SmtpCommand::kEhlo));
  if (begins) note(channel::kSessionTransaction);
  if (ends) notes().flags &= ~uint32_t{channel::kSessionTransaction};
}

/// The server has said that it ends the session, or that it will serve nothing in it.
void SmtpSession::close(bool after_quit) noexcept {
  drop_dialogue();
  clear(kSmtpQuit);
  if (after_quit) set(kSmtpQuit);
  enter(SmtpPhase::kClosing);
}

void SmtpSession::begin_message() noexcept {
  // A client that went on before it saw 354 is somewhere in its message already.
  const bool waited = due() == SmtpCommand::kNone && (dialogue_ == nullptr || !dialogue_->command.begun());
  lose_commands();
  if (!waited) return enter(SmtpPhase::kMessage);
  enter(SmtpPhase::kMessageEdge, static_cast<uint8_t>(EndOfData::kLineBegin));
}

}  // namespace sluice

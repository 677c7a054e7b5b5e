// SPDX-License-Identifier: Apache-2.0
//
// One flow's dialogue while a segment of it is read: moves the flow's SMTP phase, and counts what the two sides say.
//
// How replies find their commands. The greeting answers the connection; from then on servers answer commands in
// order, so the verbs of the client's lines wait in a queue and each reply takes the oldest. Between 354 and the
// reply to the end of data the client's bytes are message and are passed over, but for the ends of what it pushes
// (PSH), where the dot is looked for: with it, commands begin again. Where the queue is lost (a gap in the client's
// bytes, more pipelined than is remembered, a dot not found), replies are counted as unknown, but for those whose code
// says all (220, 221, 354, 421), until the next 354 puts it right. After 220 to STARTTLS, and on implicit TLS from
// the start, records are followed until application data has gone both ways.
//
// Thread safety: none; one worker's.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/contract/segment.h"
#include "dataplane/smtp/dialogue.h"
#include "dataplane/smtp/hello_teller.h"
#include "dataplane/smtp/refusal_reason.h"

namespace sluice {

/// What all sessions of a worker share. Nothing allocates after construction.
struct SmtpMemory {
  channel::WorkerStats& stats;
  channel::SessionNotes* notes;  // by flow index
  HelloTeller hellos;
  RefusalReasons reasons;
  DialogueTable dialogues;
};

class SmtpSession {
 public:
  SmtpSession(SmtpMemory& memory, FlowIndex index, Flow& flow, uint64_t now_ms) noexcept
      : memory_(memory), index_(index), flow_(flow), now_ms_(static_cast<uint32_t>(now_ms)) {}

  SmtpPhase phase() const noexcept { return static_cast<SmtpPhase>(flow_.smtp_phase % kPhases); }
  void enter(SmtpPhase phase, uint8_t low = 0) noexcept {
    flow_.smtp_phase = static_cast<uint8_t>(phase);
    flow_.smtp_detail = static_cast<uint8_t>((flow_.smtp_detail & ~kSmtpLow) | low);
  }
  void enter_commands(SmtpCommand due) noexcept { enter(SmtpPhase::kCommands, static_cast<uint8_t>(due)); }
  /// The command whose reply is due.
  SmtpCommand due() const noexcept { return static_cast<SmtpCommand>(low()); }
  bool has(SmtpDetail bit) const noexcept { return (flow_.smtp_detail & bit) != 0; }
  /// Whether no message and no command is under way: greeted, everything answered, in no mail transaction
  /// (RFC 5321 section 3.3), and in plain text. False where the dialogue is not known well enough.
  bool is_between_messages() const noexcept {
    constexpr uint8_t kUnderWay = kSmtpLow | kSmtpDialogue | kSmtpAuth | kSmtpQuit;
    return phase() == SmtpPhase::kCommands && (flow_.smtp_detail & kUnderWay) == 0 &&
           (memory_.notes[index_].flags & channel::kSessionTransaction) == 0;
  }

  /// What the session's record will say.
  channel::SessionNotes& notes() noexcept { return memory_.notes[index_]; }
  void note(channel::SessionFlags flag) noexcept { notes().flags |= flag; }

  void count(channel::SmtpCounter counter) noexcept {
    memory_.stats.service_smtp[flow_.service][counter]++;
    memory_.stats.backend_smtp[flow_.backend][counter]++;
  }
  /// Since the flow's first packet, or, once it is established, since then.
  uint32_t lasted_ms() const noexcept {
    const channel::SessionNotes& known = memory_.notes[index_];
    return now_ms_ - known.begun_ms - known.established_after_ms;
  }
  void note_established() noexcept {
    notes().established_after_ms = static_cast<uint16_t>(std::min(lasted_ms(), uint32_t{UINT16_MAX}));
  }
  /// Adds that to a histogram.
  template <typename Histogram>
  void add_lasted(Histogram channel::SmtpCounters::* histogram) noexcept {
    (memory_.stats.service_smtp[flow_.service].*histogram).add(lasted_ms());
    (memory_.stats.backend_smtp[flow_.backend].*histogram).add(lasted_ms());
  }

  /// Fetches the flow's dialogue if it has one. False: there is nothing more to see.
  bool open() noexcept;
  /// Gives the dialogue back if nothing is under way.
  void settle() noexcept;
  void drop_dialogue() noexcept;

  /// What one side says next, of which bytes before it are missing if `gap`; [at, end) is null if they are not at hand.
  void client_says(const uint8_t* at, const uint8_t* end, bool gap) noexcept;
  void server_says(const uint8_t* at, const uint8_t* end, bool gap) noexcept;

 private:
  static constexpr uint32_t kPhases = 16;

  uint8_t low() const noexcept { return flow_.smtp_detail & kSmtpLow; }
  void set(SmtpDetail bit) noexcept { flow_.smtp_detail |= bit; }
  void clear(SmtpDetail bit) noexcept { flow_.smtp_detail = static_cast<uint8_t>(flow_.smtp_detail & ~bit); }
  Dialogue* take_dialogue() noexcept;
  void lose() noexcept;
  void lose_commands() noexcept;

  void read_commands(const uint8_t* at, const uint8_t* end) noexcept;
  void read_message(const uint8_t* at, const uint8_t* end, bool gap) noexcept;
  void read_replies(const uint8_t* at, const uint8_t* end) noexcept;
  bool expect(SmtpCommand command) noexcept;
  SmtpCommand take_answered() noexcept;
  void reply(const ReplyLine& line, const uint8_t* begin, const uint8_t* end) noexcept;
  void greeting(const ReplyLine& line) noexcept;
  void judge(SmtpCommand command, const ReplyLine& line) noexcept;
  void note_reply(SmtpCommand command, const ReplyLine& line) noexcept;
  void note_transaction(SmtpCommand command, const ReplyLine& line) noexcept;
  void count_refusal(SmtpCommand command, const ReplyLine& line, const uint8_t* begin, const uint8_t* end) noexcept;
  void close(bool after_quit) noexcept;
  void begin_message() noexcept;
  void begin_tls() noexcept;
  void tell_hello(HelloProgress& hello, const TlsStream& stream, const uint8_t* at, const uint8_t* end) noexcept;
  void read_client_records(const uint8_t* at, const uint8_t* end) noexcept;
  void read_server_records(const uint8_t* at, const uint8_t* end) noexcept;

  SmtpMemory& memory_;
  const FlowIndex index_;
  Flow& flow_;
  const uint32_t now_ms_;  // low 32 bits
  Dialogue* dialogue_ = nullptr;
};

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// What a session leaves behind. A worker notes beside each flow what is known of its session, and writes a record when
// the session ends, into a ring that control drains. It never waits: a record that finds no room is lost, and counted.
// Sessions that were refused, or never came about, leave a record too, up to so many a second. Codes, counts and times
// only: no address of mail, and nothing of what was said but the ClientHello, which is handed on beside it.
#pragma once

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include "dataplane/contract/address.h"
#include "dataplane/contract/messages.h"
#include "dataplane/contract/observation.h"
#include "dataplane/contract/trace.h"

namespace sluice::channel {

/// Bits of `SessionNotes::flags`.
enum SessionFlags : uint32_t {
  kSessionEstablished = 1,
  kSessionWatched = 1U << 1,    // its dialogue was followed from the beginning
  kSessionLostSight = 1U << 2,  // but not to the end
  kSessionAdopted = 1U << 3,    // met in mid-stream: the times are of that
  kSessionStartTlsOffered = 1U << 4,
  kSessionStartTlsAsked = 1U << 5,
  kSessionTlsBegun = 1U << 6,
  kSessionTlsEstablished = 1U << 7,
  kSessionTlsFailed = 1U << 8,
  kSessionEarly = 1U << 9,  // the client did not wait for the greeting
  kSessionAuthAccepted = 1U << 10,
  kSession421 = 1U << 11,  // 421 after the greeting
  kSessionClientFin = 1U << 12,
  kSessionServerFin = 1U << 13,  // whose FIN was the first
  kSessionRecorded = 1U << 14,
  kSessionTransaction = 1U << 15,  // MAIL was accepted, and what it began is not over (RFC 5321 section 3.3)
  // Above: SessionNotes::sent_again(), and the step of its last_refusal().
};

/// A count that stays at the most that it can hold.
template <typename T>
inline void count_up(T& count) {
  if (count != std::numeric_limits<T>::max()) count++;
}

/// The last 4xx or 5xx reply of a session.
struct LastRefusal {
  uint16_t code;     // 0: there was none
  uint16_t subject;  // of the enhanced code, whose class is the first digit of `code`
  uint16_t detail;
  bool enhanced;
  uint8_t step;  // SmtpStep
};

/// What is known of a flow's session: in flow memory, beside the flow.
struct SessionNotes {
  static constexpr uint32_t kSteps = 7;  // that have a count of refusals: SmtpStep's from kEhlo to kData, and others
  static constexpr uint32_t kMostGreetedAfterMs = (1U << 22) - 1;
  static constexpr uint32_t kMostSentAgain = 63;

  uint32_t begun_ms;               // low 32 bits of CLOCK_MONOTONIC milliseconds: the first packet
  uint32_t greeted_after_ms : 22;  // from the end of the handshake, saturating
  uint32_t greeting_code : 10;     // 0: none came
  uint32_t refusal;                // see last_refusal()
  uint32_t flags;                  // SessionFlags
  uint16_t answered_after_ms;      // from the first packet to the SYN-ACK, saturating
  uint16_t established_after_ms;   // likewise to the end of the handshake, where the dialogue is watched
  uint16_t messages_accepted;
  uint8_t messages_temporary;  // refused with 4xx
  uint8_t messages_permanent;
  uint8_t refused[kSteps];
  uint8_t step_and_rule;  // furthest step that was not refused, one more than its SmtpStep, and the PlacedBy

  void set_placed_by(PlacedBy rule) { step_and_rule = static_cast<uint8_t>(static_cast<uint8_t>(rule) << 4); }
  uint8_t placed_by() const { return step_and_rule >> 4; }
  /// 0: none; else one more than the SmtpStep.
  uint8_t furthest() const { return step_and_rule & 0x0f; }
  void reach(SmtpStep step) {
    if (step < SmtpStep::kOther && furthest() <= static_cast<uint8_t>(step)) {
      step_and_rule = static_cast<uint8_t>((step_and_rule & 0xf0) | (static_cast<uint8_t>(step) + 1));
    }
  }
  /// Segments that brought what had come before, up to kMostSentAgain.
  uint32_t sent_again(bool from_client) const { return flags >> again_shift(from_client) & kMostSentAgain; }
  void count_sent_again(bool from_client) {
    if (sent_again(from_client) != kMostSentAgain) flags += 1U << again_shift(from_client);
  }
  static constexpr uint32_t place_of(SmtpStep step) {
    return step <= SmtpStep::kData ? static_cast<uint32_t>(step) - 1 : kSteps - 1;
  }
  void set_last_refusal(const LastRefusal& last) {
    refusal = uint32_t{last.code} | uint32_t{last.subject} << 10 | uint32_t{last.detail} << 20 |
              (last.enhanced ? 1U << 30 : 0U);
    flags = (flags & 0x0fffffff) | uint32_t{last.step} << 28;
  }
  LastRefusal last_refusal() const {
    return {.code = static_cast<uint16_t>(refusal & 0x3ff),
            .subject = static_cast<uint16_t>(refusal >> 10 & 0x3ff),
            .detail = static_cast<uint16_t>(refusal >> 20 & 0x3ff),
            .enhanced = (refusal >> 30 & 1) != 0,
            .step = static_cast<uint8_t>(flags >> 28)};
  }

 private:
  static constexpr uint32_t again_shift(bool from_client) { return from_client ? 16 : 22; }
};

static_assert(sizeof(SessionNotes) == 32 && std::is_trivially_copyable_v<SessionNotes>);
static_assert(static_cast<uint32_t>(SmtpStep::kCount) <= 16);

/// How a session ended.
enum class SessionEnd : uint8_t {
  kClosed = 0,  // FINs both ways
  kReset,       // by the client or the server
  kIdle,        // nothing came for too long
  kCut,         // by us: `cause` says why
  kSuperseded,  // its client began another one from the same port
  kUnfinished,  // the handshake was never finished
  kRefused,     // by us, before it had a flow: `cause` says why
  kTold,        // by us, with 421 where no message was under way, as its backend leaves
  kCount
};

enum class SessionParty : uint8_t { kNobody = 0, kClient, kServer, kBalancer, kCount };

/// A record as it lies in a ring.
struct alignas(64) SessionRecord {
  uint64_t ended_ms;  // CLOCK_MONOTONIC
  Endpoint client;
  ServiceId service;
  BackendId backend;            // kNoBackend: it never had one
  uint16_t backend_generation;  // of `backend`, as in `Identity`
  uint16_t packets_up;          // saturating
  uint16_t packets_down;
  uint32_t bytes_up;  // TCP payload, saturating
  uint32_t bytes_down;
  SessionEnd end;
  SessionParty by;
  bool quit;       // QUIT or 221 was seen
  bool one_way;    // the server's packets went past us
  uint16_t cause;  // Counter
  bool removed;    // cut because control withdrew the backend, not because it died
  uint8_t limit;   // of kDropLimited and kFlowsCutLimit: number of the rule in LimitRules, from 1 on; else 0
  SessionNotes notes;
};

static_assert(sizeof(SessionRecord) == 128 && std::is_trivially_copyable_v<SessionRecord>);

inline constexpr uint32_t kSessionRingEntries = 16384;  // of each worker; usable: one less

/// A piece of the first record that a client sends under TLS, as it lies in a ring of its own: what is in it is read by
/// control. Pieces of one session come in order and without gaps, `at` from 0 on; there may be no more of them.
struct alignas(64) HelloPiece {
  static constexpr uint32_t kBytes = 484;

  Endpoint client;    // with `begun_ms`: which session, as its record names it
  uint16_t at;        // of the record's content: where this piece lies
  uint32_t begun_ms;  // SessionNotes::begun_ms
  uint16_t bytes;     // at most kBytes
  uint16_t reserved;
  uint8_t content[kBytes];
};

static_assert(sizeof(HelloPiece) == 512 && std::is_trivially_copyable_v<HelloPiece>);

inline constexpr uint32_t kHelloRingEntries = 4096;  // likewise

/// These take up to `out.size()`. Single consumer. They return the count taken.
inline unsigned take_hellos(rte_ring* ring, std::span<HelloPiece> out) {
  return rte_ring_sc_dequeue_burst_elem(ring, out.data(), sizeof(HelloPiece), static_cast<unsigned>(out.size()),
                                        nullptr);
}
inline unsigned take_sessions(rte_ring* ring, std::span<SessionRecord> out) {
  return rte_ring_sc_dequeue_burst_elem(ring, out.data(), sizeof(SessionRecord), static_cast<unsigned>(out.size()),
                                        nullptr);
}

}  // namespace sluice::channel

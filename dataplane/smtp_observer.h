// SPDX-License-Identifier: Apache-2.0
//
// Watches the dialogues between clients and mail servers as their segments pass, moves each flow's SMTP phase, and
// counts per backend and service what it saw (contract/observation.h). It delays nothing and changes nothing.
//
// How replies find their commands. The greeting answers the connection; from then on servers answer commands in
// order, so the verbs of the client's lines wait in a queue and each reply takes the oldest. Between 354 and the
// reply to the end of data the client's bytes are message and are passed over, but for the ends of what it pushes
// (PSH), where the dot is looked for: with it, commands begin again. Where the queue is lost (a gap in the client's
// bytes, more pipelined than is remembered, a dot not found), replies are counted as unknown, but for those whose code
// says all (220, 221, 354, 421), until the next 354 puts it right. After 220 to STARTTLS, and on implicit TLS from
// the start, records are followed until application data has gone both ways.
//
// Segments are taken in order: what is behind the sequence number that its sender was to use next was seen before,
// what is beyond it leaves a gap. Nothing of what is said is kept (see smtp_dialogue.h).
//
// Thread safety: none; one worker owns it. Nothing allocates after construction.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/contract/segment.h"
#include "dataplane/flow_memory.h"
#include "dataplane/packet.h"
#include "dataplane/refusal_reason.h"
#include "dataplane/smtp_dialogue.h"

namespace sluice {

/// A segment as the observer wants it.
struct ObservedSegment {
  const uint8_t* payload;  // null if not all of it is at hand
  uint32_t bytes;          // of payload
  uint32_t sequence;
  uint32_t expected;  // the number that its sender was to use next, before this segment
  uint8_t tcp_flags;
};

inline ObservedSegment observed_segment(const rte_mbuf& mbuf, const Packet& packet, uint32_t expected) {
  const uint32_t offset = packet.l4_offset + packet.tcp_header_bytes;
  const bool whole = offset + packet.payload_bytes <= rte_pktmbuf_data_len(&mbuf);
  return {whole ? rte_pktmbuf_mtod_offset(&mbuf, const uint8_t*, offset) : nullptr, packet.payload_bytes,
          packet.sequence, expected, packet.tcp_flags};
}

/// Who speaks first at a service, and whether it is watched at all.
enum class Opening : uint8_t { kServerFirst, kTlsFirst, kUnwatched };

/// Implicit TLS is told by its port (RFC 8314 section 7.3). Without the return path in sight there is nothing to watch.
Opening opening_of(const Service& service) noexcept;

class SmtpObserver {
 public:
  explicit SmtpObserver(channel::WorkerStats& stats) noexcept : stats_(stats) {}

  /// Whether a packet can matter in its flow's phase; most cannot. To be asked before from_client or from_backend.
  static bool client_matters(const Flow& flow, const Packet& packet) {
    return (kClientInterest[flow.smtp_phase % kPhases] & kind_of(packet)) != 0;
  }
  static bool backend_matters(const Flow& flow, const Packet& packet) {
    return (kBackendInterest[flow.smtp_phase % kPhases] & kind_of(packet)) != 0;
  }

  /// A segment that has moved `flow.state`, seen after it did. Cost: some 10 ns a line.
  void from_client(FlowIndex index, Flow& flow, const Service& service, const ObservedSegment& segment,
                   uint64_t now_ms) noexcept;
  void from_backend(FlowIndex index, Flow& flow, const Service& service, const ObservedSegment& segment,
                    uint64_t now_ms) noexcept;

  /// The flow ends because nothing came for too long, or because we cut it.
  void expires(FlowIndex index, Flow& flow, uint64_t now_ms) noexcept;
  void is_cut(FlowIndex index, Flow& flow, uint64_t now_ms) noexcept;

  /// The flow's place is about to be freed.
  void forget(FlowIndex index, Flow& flow) noexcept;

  uint32_t dialogues_in_use() const noexcept { return dialogues_.in_use(); }

 private:
  using SmtpCounter = channel::SmtpCounter;

  /// A flow under the observer's eyes.
  struct Seen {
    FlowIndex index;
    Flow& flow;
    uint64_t now_ms;
    Dialogue* dialogue = nullptr;

    SmtpPhase phase() const { return static_cast<SmtpPhase>(flow.smtp_phase % kPhases); }
    void enter(SmtpPhase phase, uint8_t low = 0) {
      flow.smtp_phase = static_cast<uint8_t>(phase);
      flow.smtp_detail = static_cast<uint8_t>((flow.smtp_detail & ~kSmtpLow) | low);
    }
    uint8_t low() const { return flow.smtp_detail & kSmtpLow; }
    SmtpCommand due() const { return static_cast<SmtpCommand>(low()); }
    bool has(SmtpDetail bit) const { return (flow.smtp_detail & bit) != 0; }
    void set(SmtpDetail bit) { flow.smtp_detail |= bit; }
    void clear(SmtpDetail bit) { flow.smtp_detail = static_cast<uint8_t>(flow.smtp_detail & ~bit); }
  };

  static constexpr uint32_t kPhases = 16;
  // Kinds of packets: the flags of TCP, and these.
  static constexpr uint8_t kPayload = 0x40, kAny = 0x80;
  static constexpr uint8_t kEnd = kTcpFin | kTcpRst;
  // By SmtpPhase, in its order.
  static constexpr std::array<uint8_t, kPhases> kClientInterest{kAny,
                                                                kAny,
                                                                kPayload | kEnd,
                                                                kEnd,
                                                                kTcpPsh | kEnd,
                                                                kPayload | kEnd,
                                                                kEnd,
                                                                kPayload | kEnd,
                                                                kPayload | kEnd,
                                                                kEnd,
                                                                kEnd,
                                                                kEnd,
                                                                kEnd,
                                                                0,
                                                                0};
  static constexpr std::array<uint8_t, kPhases> kBackendInterest{kAny,
                                                                 kAny,
                                                                 kPayload | kEnd,
                                                                 kPayload | kEnd,
                                                                 kPayload | kEnd,
                                                                 kPayload | kEnd,
                                                                 kEnd,
                                                                 kEnd,
                                                                 kPayload | kEnd,
                                                                 kPayload | kEnd,
                                                                 kEnd,
                                                                 kEnd,
                                                                 kEnd,
                                                                 0,
                                                                 0};

  static uint32_t kind_of(const Packet& packet) {
    return packet.tcp_flags | kAny | (packet.payload_bytes != 0 ? kPayload : 0U);
  }

  void count(const Flow& flow, SmtpCounter counter) noexcept {
    stats_.service_smtp[flow.service][counter]++;
    stats_.backend_smtp[flow.backend][counter]++;
  }

  // smtp_observer.cc: connections, and the bookkeeping of dialogues.
  bool open(Seen& seen) noexcept;
  void settle(Seen& seen) noexcept;
  Dialogue* dialogue(Seen& seen) noexcept;
  void drop_dialogue(Seen& seen) noexcept;
  void begin(Seen& seen, const Service& service, bool from_client) noexcept;
  void end(Seen& seen, SmtpCounter how) noexcept;
  SmtpCounter how_it_closed(const Seen& seen) const noexcept;
  void lose(Seen& seen) noexcept;
  void lose_commands(Seen& seen) noexcept;
  void client_payload(Seen& seen, const ObservedSegment& segment) noexcept;
  void backend_payload(Seen& seen, const ObservedSegment& segment) noexcept;

  // smtp_session.cc: what the two sides say.
  void read_commands(Seen& seen, const uint8_t* at, const uint8_t* end) noexcept;
  void read_message(Seen& seen, const uint8_t* at, const uint8_t* end, bool gap) noexcept;
  void read_replies(Seen& seen, const uint8_t* at, const uint8_t* end) noexcept;
  bool expect(Seen& seen, SmtpCommand command) noexcept;
  SmtpCommand take_answered(Seen& seen) noexcept;
  void reply(Seen& seen, const ReplyLine& line, const uint8_t* begin, const uint8_t* end) noexcept;
  void greeting(Seen& seen, const ReplyLine& line) noexcept;
  void judge(Seen& seen, SmtpCommand command, const ReplyLine& line) noexcept;
  void count_refusal(Seen& seen, SmtpCommand command, const ReplyLine& line, const uint8_t* begin,
                     const uint8_t* end) noexcept;
  void close(Seen& seen, bool after_quit) noexcept;
  void begin_message(Seen& seen) noexcept;
  void begin_tls(Seen& seen) noexcept;
  void read_client_records(Seen& seen, const uint8_t* at, const uint8_t* end) noexcept;
  void read_server_records(Seen& seen, const uint8_t* at, const uint8_t* end) noexcept;

  channel::WorkerStats& stats_;
  RefusalReasons reasons_;
  DialogueTable dialogues_;
};

}  // namespace sluice

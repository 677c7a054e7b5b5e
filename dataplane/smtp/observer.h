// SPDX-License-Identifier: Apache-2.0
//
// Watches the dialogues between clients and mail servers as their segments pass, moves each flow's SMTP phase, and
// counts per backend and service what it saw (contract/observation.h). It delays nothing and changes nothing. Here is
// how connections begin and end, and which bytes of a segment are new; session.h reads what these say.
//
// Segments are taken in order: what is behind the sequence number that its sender was to use next was seen before,
// what is beyond it leaves a gap. Nothing of what is said is kept (see dialogue.h).
//
// Thread safety: none; one worker owns it. Nothing allocates after construction.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/contract/segment.h"
#include "dataplane/flow/flow_memory.h"
#include "dataplane/packet/packet.h"
#include "dataplane/smtp/session.h"

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
  /// `notes`: of each flow's session, by its index.
  SmtpObserver(channel::WorkerStats& stats, channel::SessionNotes* notes) noexcept
      : memory_{stats, notes, HelloTeller(stats)} {}

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
  /// Likewise because we have told its client 421.
  void is_told(FlowIndex index, Flow& flow, uint64_t now_ms) noexcept;

  /// Whether the dialogue is known to be between messages, with nothing under way (SmtpSession).
  bool is_between_messages(FlowIndex index, Flow& flow) noexcept {
    return SmtpSession(memory_, index, flow, 0).is_between_messages();
  }

  /// The flow's place is about to be freed.
  void forget(FlowIndex index, Flow& flow) noexcept;

  /// A new connection of control: where ClientHellos go from now on.
  void attach(rte_ring* hellos) noexcept { memory_.hellos.attach(hellos); }

  uint32_t dialogues_in_use() const noexcept { return memory_.dialogues.in_use(); }

 private:
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
                                                                 kPayload | kEnd,
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

  enum class Speaker : uint8_t { kClient, kBackend, kSilentBackend };

  static void begin(SmtpSession& session, Flow& flow, const Service& service, Speaker speaker) noexcept;
  static void start(SmtpSession& session, Opening opening) noexcept;

  SmtpMemory memory_;
};

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// What we say ourselves to clients that no backend can take, or whose backend leaves (farewell.h). Of the first, their
// SYN is answered with a cookie (flow/handshake_cookies.h), and whoever acknowledges that is told 421 with a FIN, which
// is sent again a few times until it is acknowledged. So a sender of mail knows that it is to come again, and a SYN
// from a forged address leaves nothing behind. What is remembered is of clients that are there, and bounded
// (flow/refusal_table.h); it is never a flow. A dialogue that has begun ends with its 421, even if a backend comes back
// meanwhile. Segments are limited for each second, or a flood from forged addresses would come out again towards these.
// Thread safety: none; one worker owns it, and all of a client's segments come to the same.
#pragma once

#include <cstdint>

#include "dataplane/base/token_bucket.h"
#include "dataplane/flow/handshake_cookies.h"
#include "dataplane/flow/refusal_table.h"
#include "dataplane/packet/reset.h"
#include "dataplane/packet/tcp_options.h"
#include "dataplane/worker/answered_syns.h"

namespace sluice {

class Responder {
 public:
  static constexpr uint32_t kSegmentsPerSecond = 20'000;  // and so many at once
  static constexpr uint32_t kTries = 5;                   // after 1, 2, 4 and 8 s
  static constexpr uint32_t kFirstRetryMs = 1000;
  static constexpr uint32_t kLingerMs = 10'000;  // for what the client has yet to say, or says again
  static constexpr uint32_t kTarpitMs = 30'000;  // before a client in the tarpit is told

  Responder(const Context& context, AnsweredSyns& answered) noexcept;

  /// When a client hears that it is refused.
  enum class Told : uint8_t { kAtOnce, kAfterTarpit };

  /// Answers a SYN that no backend can take; `reason` says why, and is counted if there is no answer.
  void answer_syn(Burst& burst, uint32_t i, Counter reason, Told when = Told::kAtOnce) noexcept;

  /// Whether a segment to a service, no SYN, is of a client that is to be told 421. It has been dealt with then.
  bool take(Burst& burst, uint32_t i, channel::ServiceId service) noexcept {
    if (table_.count() == 0 && clock_.now_ms() >= answering_until_ms_) [[likely]]
      return false;
    return meet(burst, i, service);
  }

  /// Tells 421 to a flow's client, in the numbers that it counts: `sequence` is that of our first byte. `heard`: the
  /// timestamps of its last segment, if there are any; without them, some would not take ours (RFC 7323 section 3.2).
  void tell(const Flow& flow, uint32_t sequence, const std::optional<TcpTimestamps>& heard = std::nullopt) noexcept;

  /// The client begins another connection.
  void forget(const Packet& syn) noexcept {
    if (RefusalDialogue* dialogue = table_.find(syn.source, syn.destination)) table_.free(*dialogue);
  }

  /// Sends again what is due. Returns whether there was anything.
  bool sweep() noexcept;

 private:
  static constexpr uint64_t kRoundMs = 256;  // in which each place is visited

  bool meet(Burst& burst, uint32_t i, channel::ServiceId service) noexcept;
  RefusalDialogue* begin(const Packet& packet, channel::ServiceId service) noexcept;
  void hear(RefusalDialogue& dialogue, Burst& burst, uint32_t i) noexcept;
  void visit(RefusalDialogue& dialogue) noexcept;
  bool may_send() noexcept;
  MadeSegment segment(const RefusalDialogue& dialogue) const noexcept;
  static void write(rte_mbuf& mbuf, const RefusalDialogue& dialogue, MadeSegment segment) noexcept;
  void write_reply(RefusalDialogue& dialogue, rte_mbuf& mbuf) noexcept;

  const PollClock& clock_;
  Counters& counters_;
  const ForwardingState& state_;
  Egress& egress_;
  AnsweredSyns& answered_;
  HandshakeCookies cookies_;
  RefusalTable table_;
  TokenBucket segments_;
  uint64_t answering_until_ms_ = 0;  // no cookie is good any more from then on
  uint64_t swept_ms_;
  uint32_t hand_ = 0;
};

}  // namespace sluice

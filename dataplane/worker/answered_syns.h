// SPDX-License-Identifier: Apache-2.0
//
// SYNs that we have answered ourselves, with a cookie, and of whose clients nothing has been heard since. If the one
// segment is lost that acknowledges the answer, the client takes the connection for open and waits for the server to
// speak, and nobody else remembers it. So the answer is kept for three seconds, as it was sent, and sent again twice: a
// client that has it acknowledges it once more (RFC 9293 section 3.10.7.4). There is a fixed number of places. Under a
// flood half of them are taken, and what else is answered to addresses that have never had a session here is not kept:
// forged addresses hear no more than so many answers again. The other half is for clients that are known, who give
// their places back as soon as they are heard. Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "dataplane/flow/retry_queues.h"
#include "dataplane/packet/syn_ack.h"
#include "dataplane/worker/burst.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/known_clients.h"

namespace sluice {

struct AnsweredSyn : RetryLinks {
  static constexpr uint32_t kMostBytes =
      kEthernetBytes + kVlanBytes + ipv6::kBytes + tcp::kBytes + SynAck::kMostOptions;

  Endpoint vip;
  uint32_t sequence;      // ours
  uint32_t next_in_slot;  // in the index
  uint8_t port;
  uint8_t bytes;
  std::array<uint8_t, kMostBytes> frame;
};

class AnsweredSyns {
 public:
  static constexpr uint32_t kPlaces = 8192;
  static constexpr uint32_t kForStrangers = kPlaces / 2;
  static constexpr uint32_t kResendsPerPoll = 32;

  AnsweredSyns(const Context& context, const KnownClients& known) noexcept
      : clock_(context.clock),
        counters_(context.counters),
        state_(context.state),
        egress_(context.egress),
        known_(known) {
    first_in_slot_.fill(Queues::kNone);
  }

  /// `answer`: to the SYN `syn`, with our number `sequence`, as it is about to leave through `port`. A SYN that comes
  /// again has the same number, and is kept once.
  void keep(uint32_t port, const rte_mbuf& answer, const Packet& syn, uint32_t sequence) noexcept {
    const uint32_t bytes = rte_pktmbuf_data_len(&answer);
    if (!has_room_for(syn.source.address) || bytes > AnsweredSyn::kMostBytes || find(sequence) != Queues::kNone) return;
    const uint32_t entry = kept_.add(kNoFlow, clock_.now32_ms());
    AnsweredSyn& one = kept_[entry];
    one.vip = syn.destination;
    one.sequence = sequence;
    one.port = static_cast<uint8_t>(port);
    one.bytes = static_cast<uint8_t>(bytes);
    std::memcpy(one.frame.data(), rte_pktmbuf_mtod(&answer, const void*), bytes);
    uint32_t& first = slot_of(sequence);
    one.next_in_slot = first;
    first = entry;
  }

  /// A client has acknowledged our number `sequence`, and nothing but the right one.
  void heard(uint32_t sequence) noexcept {
    if (const uint32_t entry = find(sequence); entry != Queues::kNone) remove(entry);
  }

  /// Sends again what is due, a few in each poll iteration. Returns whether there was anything.
  bool sweep() noexcept {
    for (uint32_t n = 0; n < kResendsPerPoll; n++) {
      const uint32_t entry = kept_.overdue(clock_.now32_ms());
      if (entry == Queues::kNone) return n != 0;
      const bool is_there = state_.find_service(kept_[entry].vip) != channel::kNoService;
      if (is_there) send(kept_[entry]);
      if (!is_there || !kept_.again(entry, clock_.now32_ms())) remove(entry);
    }
    return true;
  }

 private:
  bool has_room_for(const Address& client) const noexcept {
    return kept_.size() < kForStrangers || (kept_.size() < kPlaces && known_.knows(client));
  }

  using Queues = RetryQueues<AnsweredSyn, std::array<uint32_t, 2>{1000, 2000}, kPlaces>;

  /// Our numbers are of a keyed hash: nobody can fill a slot on purpose. Their low bits are no hash.
  uint32_t& slot_of(uint32_t sequence) noexcept { return first_in_slot_[(sequence >> 9) % kPlaces]; }

  uint32_t find(uint32_t sequence) noexcept {
    uint32_t entry = slot_of(sequence);
    while (entry != Queues::kNone && kept_[entry].sequence != sequence) entry = kept_[entry].next_in_slot;
    return entry;
  }

  void remove(uint32_t entry) noexcept {
    uint32_t* link = &slot_of(kept_[entry].sequence);
    while (*link != entry) link = &kept_[*link].next_in_slot;
    *link = kept_[entry].next_in_slot;
    kept_.remove(entry);
  }

  void send(const AnsweredSyn& one) noexcept {
    rte_mbuf* mbuf = egress_.take_buffer();
    if (mbuf == nullptr) return;
    std::memcpy(rte_pktmbuf_append(mbuf, one.bytes), one.frame.data(), one.bytes);
    counters_.count(Counter::kSynAcksResent);
    egress_.send_made(one.port, mbuf);
  }

  const PollClock& clock_;
  Counters& counters_;
  const ForwardingState& state_;
  Egress& egress_;
  const KnownClients& known_;
  std::array<uint32_t, kPlaces> first_in_slot_;  // index by our number
  Queues kept_;
};

}  // namespace sluice

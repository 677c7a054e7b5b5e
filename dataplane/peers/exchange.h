// SPDX-License-Identifier: Apache-2.0
//
// The exchange with the other nodes: what the workers say of their flows goes to every peer, and what peers say goes
// into the table. Best effort: what is lost on the way is told again with the next refresh, within a minute. A peer
// that is new, or has begun anew, is told of all flows at once: our own, and what nodes have told that are away.
// Answers that a worker cannot use go to all peers, and theirs to all workers: who has asked takes them. Runs on a
// thread of its own, which is no worker's.
#pragma once

#include <rte_ring.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/shared_memory.h"
#include "dataplane/contract/peers.h"
#include "dataplane/peers/flow_names.h"
#include "dataplane/peers/passed_answer.h"
#include "dataplane/peers/peer_link.h"
#include "dataplane/peers/told_table.h"

namespace sluice {

inline constexpr uint32_t kTellRingEntries = 16384;   // of each worker
inline constexpr uint32_t kAnswerRingEntries = 1024;  // likewise, each way

struct ExchangeOptions {
  std::string node;
  Endpoint listen;
  std::vector<Endpoint> to;  // at most channel::kMaxPeers, of listen's family
  std::vector<uint8_t> secret;
  uint32_t established_s = 7440;  // for which a flow of a peer that has died may be silent
};

/// A worker as the exchange sees it: its flows, the ring of the indices of those that have changed, and the rings of
/// PassedAnswers for other nodes and from them.
struct TellingWorker {
  FlowNames flows;
  rte_ring* tells;
  rte_ring* answers_out;
  rte_ring* answers_in;
};

class Exchange {
 public:
  static constexpr uint32_t kRefreshS = 60;       // between two tellings of a flow that stays as it is
  static constexpr uint32_t kAwaitS = 70;         // by then we know all, what was lost on the way among it
  static constexpr uint32_t kForgetAfterS = 200;  // what a peer that is well has not told again for so long is over
  static constexpr uint32_t kPeerAwayMs = 5000;
  /// Whose a flow is that came by hearsay, or is our own and in the table all the same, so that its worker is found:
  /// such a one no peer ends or changes. That of a peer only if there are as many as there can be: then what it is said
  /// to have told is forgotten sooner.
  static constexpr uint32_t kHearsay = channel::kMaxPeers - 1;

  /// Opens the socket. Throws SetupError. `table` and `status` have to stay.
  Exchange(ExchangeOptions options, std::vector<TellingWorker> workers, ToldTable& table, channel::PeersStatus& status);

  static_assert(kAwaitS > kRefreshS);

  /// Waits for a datagram, at most `wait_ms`, and does what there is to do. To be called again and again: workers'
  /// rings wake nobody.
  void turn(int wait_ms);

 private:
  struct Peer {
    PeerLink link;
    std::array<uint8_t, kMostTextBytes> text;
    size_t used = 0;           // of `text`; 0: no flows wait
    uint64_t hello_ms = 0;     // when the last hello went
    uint64_t answered_ms = 0;  // likewise to a greeting
    uint64_t began_ms = 0;     // since when its session is known
    size_t passed_on = 0;      // of the table's entries: how far it has been told of others' flows
  };

  void receive(uint64_t now_ms);
  void take(uint32_t peer, std::span<const uint8_t> datagram, uint64_t now_ms);
  void learn(uint32_t peer, std::span<const uint8_t> flows, uint64_t now_ms);
  void hand_on(std::span<const uint8_t> answers);
  void drain_tells(uint64_t now_ms);
  void drain_answers();
  void pass_on(std::span<const PassedAnswer> answers);
  void refresh_some(uint64_t now_ms);
  void expire_some(uint64_t now_ms);
  void pass_on_some(uint32_t peer, uint64_t now_ms);
  void tell_own(uint32_t worker, const ToldFlow& flow, uint64_t now_ms);
  void tell(const ToldFlow& flow);
  bool tell(uint32_t peer, const ToldFlow& flow);
  void flush(uint32_t peer);
  void greet(uint32_t peer, uint64_t echo, uint64_t now_ms);
  void send(uint32_t peer, std::span<const uint8_t> text);
  bool is_away(uint32_t peer, uint64_t now_ms) const;
  void await_words(uint64_t now_ms);

  ExchangeOptions options_;
  std::vector<TellingWorker> workers_;
  ToldTable& table_;
  channel::PeersStatus& status_;
  const uint64_t session_;
  SessionKey seal_;
  uint64_t number_ = 0;  // of the last datagram
  Descriptor socket_;
  std::vector<Peer> peers_;
  uint32_t refresh_worker_ = 0;  // where the refresh has got to
  uint32_t refresh_flow_ = 0;
  uint64_t refreshed_ms_ = 0;  // when the last one ended; 0: one is under way
  size_t swept_ = 0;
  uint64_t swept_ms_ = 0;
};

}  // namespace sluice

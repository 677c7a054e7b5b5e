// SPDX-License-Identifier: Apache-2.0
//
// The clients' side: millions of mail clients with 32 bytes of memory each, every one of which opens a session, holds
// the dialogue and closes it, again and again when its turn comes. What is not answered in time is sent again, a few
// times, as TCP would; each such time counts against the tested box.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "perf/blast/client_space.h"
#include "perf/blast/dialogue.h"
#include "perf/blast/histogram.h"
#include "perf/blast/link.h"
#include "perf/blast/segment.h"

namespace sluice::blast {

struct ClientOptions {
  Endpoint vip;
  MacAddress gateway;  // to which everything is sent
  uint32_t body_bytes = 1000;
  uint32_t sessions_max = 100'000;  // at once
  uint64_t tsc_hz = 1;
  bool verify = false;
};

struct ClientFigures {
  uint64_t started = 0;
  uint64_t completed = 0;
  uint64_t timed_out = 0;  // given up after the last retransmission
  uint64_t reset = 0;
  uint64_t refused = 0;  // a reply of the wrong class
  uint64_t resent = 0;   // segments sent again, or groups of them
  uint64_t sent = 0;     // segments
  uint64_t received = 0;
  uint64_t unexpected = 0;  // segments that belong to no session as it stands
  uint64_t wrong_checksum = 0;
  uint64_t bytes = 0;  // of bodies whose end was acknowledged
  uint64_t held_lost = 0;
  Histogram handshake_ns;  // SYN to SYN-ACK
  Histogram reply_ns;      // command to reply, the greeting included
  Histogram session_ns;    // SYN to the server's FIN
};

class Clients {
 public:
  Clients(Link& link, const ClientSpace& space, const ClientOptions& options);

  /// Opens a session for the next client that has none. Returns whether there was one, and room for it.
  bool start(uint64_t now, bool hold = false);

  /// Takes a segment to one of our clients. Does not free it.
  void on_segment(const rte_mbuf& mbuf, const Packet& packet, uint64_t now);

  /// Sends again what was not answered; to be called often.
  void sweep(uint64_t now);

  /// Lets held sessions go on with their dialogue, up to `most` of them. Returns whether any is left.
  bool release(uint64_t now, uint32_t most);

  /// Forgets all sessions but the held. Returns how many those were.
  uint32_t abandon();

  uint32_t active() const { return static_cast<uint32_t>(active_.size()); }
  uint32_t held() const { return held_; }
  const ClientFigures& figures() const { return figures_; }
  /// Figures from here on; sessions under way stay.
  void reset_figures() { figures_ = ClientFigures{}; }

 private:
  struct Session {
    uint64_t started = 0;  // TSC
    uint64_t sent = 0;     // TSC of the last segment that wants an answer
    uint32_t next = 0;     // our next sequence number, of what is sent after that segment
    uint32_t wanted = 0;   // the server's next
    uint32_t place = 0;    // in active_
    Stage stage = Stage::kIdle;
    uint8_t tries = 0;
    bool hold = false;
  };
  static_assert(sizeof(Session) == 32);

  static constexpr uint8_t kTries = 6;
  static constexpr uint32_t kFirstTimeoutMs = 250;  // doubles with each try

  void go_on(uint32_t n, Session& session, uint64_t now);
  void enter(uint32_t n, Session& session, Stage stage, uint64_t now);
  void transmit(uint32_t n, const Session& session);
  void acknowledge(uint32_t n, const Session& session);
  void put(uint32_t n, const Segment& segment, uint32_t sequence, uint32_t ack);
  uint32_t length_at(Stage stage) const;
  void end(Session& session);
  void give_up(Session& session, uint64_t& reason);
  uint64_t to_ns(uint64_t cycles) const;

  Link& link_;
  ClientSpace space_;
  ClientOptions options_;
  std::vector<Session> sessions_;  // by client number
  std::vector<uint32_t> active_;   // client numbers
  uint32_t next_client_ = 0;
  uint32_t held_ = 0;
  uint32_t swept_ = 0;
  uint64_t swept_at_ = 0;
  uint32_t initial_sequence_ = 1;
  Segment syn_, ack_, fin_;
  std::array<std::vector<Segment>, static_cast<size_t>(Stage::kHeld) + 1> says_;  // by stage
  ClientFigures figures_;
};

}  // namespace sluice::blast

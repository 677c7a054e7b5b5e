// SPDX-License-Identifier: Apache-2.0
//
// The backends' side: mail servers without memory. Every answer is computed from the segment it answers: its ACK says
// what the client has seen, so it is the answer's sequence number, and its first word says what is asked. So any number
// of backends hold any number of sessions, and the balancer's own health checks are answered like everybody else.
//
// What follows from that: of several commands in one segment the first is answered; a body with a segment lost is
// taken.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

#include "perf/blast/client_space.h"
#include "perf/blast/link.h"
#include "perf/blast/segment.h"

namespace sluice::blast {

struct BackendFigures {
  uint64_t received = 0;        // segments of our clients
  uint64_t sent = 0;            // to our clients
  uint64_t others = 0;          // segments of anybody else: health checks, or a proxy's connections
  uint64_t wrong_checksum = 0;  // only counted where they are verified
};

class Backends {
 public:
  Backends(Link& link, const ClientSpace& clients, bool verify);

  /// Answers a segment. Does not free it.
  void on_segment(const rte_mbuf& mbuf, const Packet& packet);

  const BackendFigures& figures() const { return figures_; }

 private:
  void answer(const Segment& segment, const Path& path, uint32_t sequence, uint32_t ack, bool to_client);

  /// The initial sequence number is a hash of the connection: a SYN that comes again gets the same answer.
  static uint32_t initial_sequence(const Packet& packet);

  struct Family {
    explicit Family(bool v6);
    Segment syn_ack, ack, greeting, fin;
    std::map<std::string_view, Segment> replies;
  };

  Link& link_;
  ClientSpace clients_;
  bool verify_;
  Family v4_{false}, v6_{true};
  BackendFigures figures_;
};

}  // namespace sluice::blast

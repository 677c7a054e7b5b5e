// SPDX-License-Identifier: Apache-2.0
//
// What we have with one peer: whether it is who it says, and now. A sealed datagram may have been recorded, so each
// side offers the other a cookie, in a hello, and believes only what echoes it. A peer that has begun anew has to echo
// a cookie that was drawn for it since; so what was recorded of its earlier sessions stays worth nothing.
//
// The sealed text: the cookie that is echoed (8 bytes, 0 if none is known), a byte of what follows, and that: of a
// hello the cookie that is offered (8 bytes) and the node's name, else flows (batch.h) or answers (passed_answer.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/peers/seal.h"

namespace sluice {

inline constexpr size_t kTextHeaderBytes = 9;

class PeerLink {
 public:
  enum class Verdict : uint8_t {
    kHello,      // from the peer itself
    kFlows,      // likewise
    kAnswers,    // likewise
    kGreeting,   // its word that it is there; it has not shown yet that it is now: answer with a hello
    kForged,     // not sealed by one who has the secret, or by ourselves
    kReplayed,   // sealed, but not for us now
    kMalformed,  // sealed for us, and not understood
  };
  struct Opened {
    Verdict verdict;
    bool begins = false;            // the peer is new to us: it knows nothing of what we have told
    std::span<const uint8_t> body;  // within `text`: flows or answers
    std::string_view node;          // likewise, of kHello
    uint64_t answer_echo = 0;       // of kGreeting: the cookie that the answer has to echo
  };

  /// `own_session`: ours, so that nobody reflects to us what we said. `secret` has to stay.
  PeerLink(Secret secret, uint64_t own_session) noexcept : secret_(secret), own_session_(own_session) {}

  /// Judges a datagram that came from the peer's address. `text`: kMostTextBytes, into which it is opened.
  Opened open(std::span<const uint8_t> datagram, uint8_t* text);

  /// Whether what we tell the peer is believed.
  bool is_open() const noexcept { return echo_ != 0; }
  bool has_session() const noexcept { return key_.has_value(); }

  /// Writes the text of a hello to the peer into `out` (kMostTextBytes) and returns its bytes. `echo`: of a greeting
  /// that it answers; 0: what is known of the peer.
  size_t write_hello(uint64_t echo, std::string_view node, uint8_t* out);
  /// Writes what stands before flows, or before answers. Return kTextHeaderBytes.
  size_t write_flows_header(uint8_t* out) const noexcept { return write_header(Kind::kFlows, out); }
  size_t write_answers_header(uint8_t* out) const noexcept { return write_header(Kind::kAnswers, out); }

 private:
  enum class Kind : uint8_t { kHello = 1, kFlows = 2, kAnswers = 3 };

  Opened read(std::span<const uint8_t> text, bool begins);
  size_t write_header(Kind kind, uint8_t* out) const noexcept;

  Secret secret_;
  uint64_t own_session_;
  uint64_t session_ = 0;
  std::optional<SessionKey> key_;  // of `session_`
  ReplayWindow window_;            // likewise
  uint64_t cookie_ = 0;            // that `session_` echoes
  uint64_t pending_ = 0;           // that a new session would have to echo
  uint64_t echo_ = 0;              // that we echo
};

/// A random number that is not 0.
uint64_t draw_random();

}  // namespace sluice

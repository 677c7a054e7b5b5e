// SPDX-License-Identifier: Apache-2.0
//
// The conversation of one probe with one server, for every type of check, without I/O: events go in, what to do next
// comes out. Time is passed in. Invariants: nothing is sent before the last line of the greeting (a PROXY header
// excepted); one command at a time, each after the whole reply to the one before; once greeted the probe leaves with
// QUIT, waits for 221 and sends FIN, whatever the verdict, unless the server owes a reply or speaks no SMTP.
//
//   connect -> greeting -> [ehlo -> [starttls -> tls -> ehlo_tls]] -> quit -> close
//   connect -> tls -> greeting -> ehlo_tls -> quit -> close               (smtps)
//   connect -> close                                                      (tcp)
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "healthcheck/plan.h"
#include "healthcheck/proxy_header.h"
#include "healthcheck/reply.h"
#include "healthcheck/transcript.h"
#include "healthcheck/verdict.h"

namespace sluice::health {

/// What to do once `send` has been written.
enum class Next : uint8_t {
  kRead,   // read, and call on_bytes; with has_pending() at once, with no bytes
  kTls,    // begin TLS as the client, and call on_tls
  kClose,  // send FIN (after close_notify under TLS), then go on as for kRead
  kAbort,  // close; the dialogue is over
};

struct Action {
  std::string send;
  Next next = Next::kRead;
};

/// How an attempt at TLS ended.
struct TlsResult {
  bool established = false;
  std::string error;        // of the handshake, in words; "" for a deadline that passed
  bool heard = true;        // the server said anything at all
  std::string protocol;     // "TLSv1.3"
  std::string trust_error;  // why the chain or the name is not accepted; "" if it is, or if nobody asked
  std::optional<Certificate> certificate;
};

class Dialogue {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `plan` and `matcher` outlive the dialogue; so does `transcript`, which may be null.
  Dialogue(const Plan& plan, Matcher& matcher, Time now, Transcript* transcript = nullptr);

  Action on_connected(const Endpoint& local, const Endpoint& remote, Time now);
  /// `evidence` is kNone for a local cause: then the probe was not run. `why` in words: "connection refused".
  Action on_connect_failed(Evidence evidence, std::string_view why, Time now);
  Action on_bytes(std::string_view bytes, Time now);
  Action on_tls(const TlsResult& result, Time now);
  /// The server ended the connection, or it broke: "the server closed the connection".
  Action on_closed(std::string_view how, Time now);
  /// Nothing else happened until deadline().
  Action on_deadline(Time now);

  Step step() const { return step_; }
  /// When the present step ends at the latest. Bytes that trickle in do not move it.
  Time deadline() const { return step_began_ + timeout_of(step_); }
  /// Bytes were received that belong to a later reply.
  bool has_pending() const { return !pending_.empty(); }
  /// Set as soon as it is known: the farewell that follows takes its own time.
  const std::optional<Verdict>& verdict() const { return verdict_; }

 private:
  Action on_reply(Time now);
  Action on_greeting(Time now);
  Action on_ehlo(Time now);
  Action on_ehlo_tls(Time now);
  Action on_starttls(Time now);
  Action on_established(const TlsResult& result, Time now);

  Action command(Step step, std::string line, Time now);
  Action healthy_if_offered(Time now);
  Action refused_or(Fact otherwise, std::string detail, Time now);
  std::string greeting_fault() const;
  std::string missing_keyword() const;

  void conclude(Fact fact, std::string detail, std::string_view text, Time now);
  void judge_certificate(const TlsResult& result, Time now);
  Action quit(Time now);
  Action close(Time now);
  void enter(Step step, Time now);
  std::chrono::milliseconds timeout_of(Step step) const;
  void note(Speaker speaker, std::string_view text, Time now);

  const Plan& plan_;
  Matcher& matcher_;
  Transcript* transcript_;
  const Time began_;
  Time step_began_;
  Step step_ = Step::kConnect;
  bool encrypted_ = false;
  config::IpAddress local_;
  ReplyParser parser_;
  std::string pending_;
  std::string greeting_;
  std::string offered_;  // replies to EHLO, before and after TLS
  size_t drained_bytes_ = 0;
  std::vector<StepTime> times_;
  std::optional<Certificate> certificate_;
  std::string distrusted_;  // why the certificate is not accepted, where that is only reported
  std::optional<Verdict> verdict_;
};

}  // namespace sluice::health

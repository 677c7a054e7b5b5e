// SPDX-License-Identifier: Apache-2.0
//
// A dialogue on a stage: what a socket would do, done by a test, on a clock that only the test moves.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "healthcheck/dialogue.h"
#include "tests/support/ip.h"

namespace sluice::health {

inline constexpr const char* kEhlo = "EHLO probe\r\n";
inline constexpr const char* kQuit = "QUIT\r\n";
inline constexpr const char* kOffer = "250-mx\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n";

inline config::Check check_of(config::CheckType type) {
  return {.name = "test",
          .type = type,
          .connect_timeout = std::chrono::seconds(3),
          .greeting_timeout = std::chrono::seconds(15),
          .command_timeout = std::chrono::seconds(10),
          .helo = "probe"};
}

inline config::Check banner(std::string expect = "", std::string reject = "") {
  config::Check check = check_of(config::CheckType::kBanner);
  check.expect = std::move(expect);
  check.reject = std::move(reject);
  return check;
}

inline config::Check requiring(config::CheckType type, std::vector<std::string> require) {
  config::Check check = check_of(type);
  check.require = std::move(require);
  return check;
}

inline TlsResult good_tls(std::chrono::seconds left = std::chrono::days(90)) {
  return {.established = true,
          .protocol = "TLSv1.3",
          .certificate = Certificate{.subject = "CN=mx", .sha256 = "aa", .key_sha256 = "bb", .left = left}};
}

/// Drives a dialogue as a socket would, on a clock that only the test moves.
class Stage {
 public:
  explicit Stage(const config::Check& check)
      : plan_(Plan::compile(check).value()), dialogue_(plan_, matcher_, now_, &transcript_) {}

  void connect() { take(dialogue_.on_connected({ip("10.0.0.1"), 40000}, {ip("10.0.0.2"), 25}, now_)); }
  void say(std::string_view bytes) {
    if (next_ == Next::kAbort) return;
    take(dialogue_.on_bytes(bytes, now_));
    while (dialogue_.has_pending() && next_ == Next::kRead) {
      const size_t sent_before = sent_.size();
      take(dialogue_.on_bytes({}, now_));
      if (sent_.size() == sent_before) break;
    }
  }
  void end_tls(const TlsResult& result) { take(dialogue_.on_tls(result, now_)); }
  void end(std::string_view how) { take(dialogue_.on_closed(how, now_)); }
  void pass(std::chrono::milliseconds time) { now_ += time; }
  /// Moves on to the deadline of the present step.
  void run_out() {
    now_ = dialogue_.deadline();
    take(dialogue_.on_deadline(now_));
  }
  std::string take_sent() { return std::exchange(sent_, {}); }
  Next next() const { return next_; }
  Dialogue& dialogue() { return dialogue_; }
  const Transcript& transcript() const { return transcript_; }
  const Verdict& verdict() const {
    const auto& verdict = dialogue_.verdict();
    if (!verdict) throw std::logic_error("the dialogue has no verdict yet");
    return *verdict;
  }
  Dialogue::Time now() const { return now_; }

 private:
  void take(const Action& action) {
    sent_ += action.send;
    next_ = action.next;
  }

  Plan plan_;
  Matcher matcher_;
  Transcript transcript_;
  Dialogue::Time now_{};
  Dialogue dialogue_;
  std::string sent_;
  Next next_ = Next::kRead;
};

}  // namespace sluice::health

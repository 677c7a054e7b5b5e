// SPDX-License-Identifier: Apache-2.0
//
// Plays an SMTP dialogue before an observer: what each side says, in turn, as TCP segments of a flow, whole or
// cut. Reads the counters that came of it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/smtp/observer.h"

namespace sluice::testing {

/// One move in a dialogue.
struct Move {
  enum class Kind { kClient, kServer, kClientFin, kServerFin, kClientReset, kServerReset, kIdle, kWait };
  Kind kind;
  std::string text;      // kClient, kServer: what is said
  uint64_t wait_ms = 0;  // kWait
};

inline Move client(std::string text) {
  return {Move::Kind::kClient, std::move(text)};
}
inline Move server(std::string text) {
  return {Move::Kind::kServer, std::move(text)};
}
inline Move wait_ms(uint64_t ms) {
  return {Move::Kind::kWait, "", ms};
}
inline const Move kClientFin{Move::Kind::kClientFin, ""};
inline const Move kServerFin{Move::Kind::kServerFin, ""};
inline const Move kClientReset{Move::Kind::kClientReset, ""};
inline const Move kServerReset{Move::Kind::kServerReset, ""};
inline const Move kIdle{Move::Kind::kIdle, ""};  // its timer runs out

/// A TLS record of `bytes` bytes that says nothing, or with the given content.
std::string tls_record(uint8_t type, size_t bytes);
std::string tls_record(uint8_t type, const std::string& content);

/// Counters that are not 0, by "family{labels}".
using Counts = std::map<std::string, uint64_t>;

/// The same with refusal reasons summed up: a line that was cut is not searched for them.
Counts without_reasons(const Counts& counts);

class DialoguePlayer {
 public:
  DialoguePlayer();

  /// How a dialogue is cut into segments: `at`: the byte of the dialogue (both sides' bytes counted together) before
  /// which a segment is cut; `kNowhere`; or `kEverywhere`.
  static constexpr size_t kNowhere = SIZE_MAX, kEverywhere = SIZE_MAX - 1;
  struct Way {
    size_t cut_at = kNowhere;
    bool again = false;  // every segment is sent twice
  };

  /// Plays a whole connection to a service on `port`. Returns what was counted, for the backend; fails the test if the
  /// service's count differs, or if the observer still remembers something when all is over.
  Counts play(const std::vector<Move>& dialogue, uint16_t port, const Way& way);

  /// The bytes that a dialogue's sides say.
  static size_t bytes_of(const std::vector<Move>& dialogue);

  // The single steps of a connection, for tests that do odd things.
  void open(uint16_t port);
  void say(bool from_client, const std::string& text, uint8_t flags = kTcpPsh);
  /// A segment with its own sequence number, relative to what the side is to send next.
  void say_at(bool from_client, int64_t offset, const std::string& text, uint8_t flags = kTcpPsh);
  void fin(bool from_client);
  void reset(bool from_client);
  void expire();
  void advance(uint64_t ms) { now_ms_ += ms; }
  /// Frees the flow.
  void forget();

  SmtpPhase phase() const { return static_cast<SmtpPhase>(flow_.smtp_phase); }
  Counts counts() const;
  const channel::SmtpCounters& counters() const { return stats_->backend_smtp[kBackend]; }
  SmtpObserver& observer() { return *observer_; }
  const channel::SessionNotes& notes() const { return notes_[kFlow]; }
  Flow& flow() { return flow_; }
  uint64_t lost_hellos() const { return stats_->counters[static_cast<size_t>(channel::Counter::kTlsHellosLost)]; }
  /// How many segments the observer wanted to see.
  uint64_t looked_at() const { return looked_at_; }

 private:
  static constexpr FlowIndex kFlow = 7;
  static constexpr channel::ServiceId kService = 3;
  static constexpr channel::BackendId kBackend = 5;

  void send(bool from_client, uint32_t sequence, const std::string& text, uint8_t flags);
  void say_cut(bool from_client, const std::string& text, size_t before, const Way& way);

  std::unique_ptr<channel::WorkerStats> stats_;
  std::array<channel::SessionNotes, kFlow + 1> notes_{};
  std::unique_ptr<SmtpObserver> observer_;
  Service service_{};
  Flow flow_{};
  uint64_t now_ms_ = 1'000'000;
  uint64_t looked_at_ = 0;
};

}  // namespace sluice::testing

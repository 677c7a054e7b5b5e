// SPDX-License-Identifier: Apache-2.0
//
// Who is refused, or gives offence, and how much of it there is lately: by source, told by the records of sessions.
// What leaves no record is not in it: of refused sessions, workers tell of so many a second at most. There is room for
// so many sources; of more, whoever would be forgotten first gives way. Offences, which take a handshake, have a room
// of their own: forged sources cannot push them out. One thread; times are given.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "controlplane/base/expiring.h"
#include "controlplane/base/times.h"
#include "controlplane/changes/offenders.h"
#include "controlplane/figures/figures.h"
#include "controlplane/records/session_names.h"

namespace sluice::control {

enum class Complaint : uint8_t { kBlocked, kLimit, kEarlyTalker, kAuthFailures, kShortTlsSessions };

/// "blocked", "limit", "early_talker", "auth_failures", "short_tls_sessions".
std::string_view name_of(Complaint complaint);

/// How often something happened in the last minute, of two numbers: what is in the minute that runs, and of the one
/// before it the share that is not a minute ago yet, as if it had come evenly.
class LastMinute {
 public:
  void add(SystemTime now, uint64_t more);
  uint64_t at(SystemTime now) const;
  void move_times(SystemTime::duration by) { begun_ += by; }

 private:
  SystemTime begun_;  // the minute that runs
  uint64_t count_ = 0;
  uint64_t before_ = 0;
};

class SourceTally {
 public:
  static constexpr size_t kMost = 16'384;                      // that were refused, and as many that gave offence
  static constexpr std::chrono::seconds kRemembered{60 * 60};  // since the last; early talkers as their rule says

  struct Key {
    Complaint complaint = Complaint::kBlocked;
    uint8_t rule = 0;    // of kLimit: which of sources.limits, from 1 on; else 0
    std::string prefix;  // with its length; of kBlocked: what is blocked

    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Entry {
    std::string by;      // of kBlocked: what blocks it, as BlockNames has it
    uint64_t count = 0;  // sessions; of kAuthFailures: refused commands
    LastMinute last_minute;
    SystemTime first;
    SystemTime last;
    SystemTime until;
  };
  /// Of the sessions that workers may be too busy to tell of: the refused and those that were never finished.
  struct Sample {
    uint64_t seen = 0;  // in the last minute
    uint64_t unseen = 0;
  };

  /// Sources of limits that are others now are forgotten, and early talkers if they are not counted any more.
  void follow(const config::Sources& config);
  /// A session has ended, with which its source gave `offences`.
  void see(const KnownSession& session, const Offences& offences, SystemTime now);
  /// To be called every second: what all workers have counted together; nothing while the data plane is not connected.
  void tick(const std::optional<WorkerCounters>& counters, SystemTime now);
  /// The wall clock was set.
  void move_times(SystemTime::duration by);

  const std::map<Key, Entry>& refused() const { return refused_.entries(); }
  const std::map<Key, Entry>& offences() const { return offences_.entries(); }
  Sample sample(SystemTime now) const { return {seen_.at(now), unseen_.at(now)}; }

 private:
  using Entries = Expiring<Key, Entry>;

  static void move(Entries& entries, SystemTime::duration by);
  void count(Key key, std::string by, uint64_t more, SystemTime now);

  config::Sources config_;
  Entries refused_{kMost};
  Entries offences_{kMost};
  LastMinute seen_;
  LastMinute unseen_;
  std::optional<uint64_t> untold_;  // records that workers have held back or lost so far
};

}  // namespace sluice::control

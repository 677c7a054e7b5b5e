// SPDX-License-Identifier: Apache-2.0
//
// What changed, when and why: every change of state goes through here, to the log and to a bounded list that the API
// shows.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::control {

enum class Severity : uint8_t { kInfo, kWarning, kError };

/// "info", "warning", "error".
std::string_view name_of(Severity severity);

struct JournalEntry {
  uint64_t id = 0;  // later entries have higher ones, also after a restart, whatever the clock does
  std::chrono::system_clock::time_point time;
  Severity severity = Severity::kInfo;
  std::string kind;     // what it is about: "backend", "pool", "dataplane", "control"
  std::string subject;  // its name
  std::string text;     // what happened, and why
};

class Journal {
 public:
  using Clock = std::function<std::chrono::system_clock::time_point()>;
  static constexpr size_t kMaxEntries = 4096;

  /// Told each new entry, after it was added.
  using Keeper = std::function<void(const JournalEntry&)>;

  explicit Journal(Clock clock = std::chrono::system_clock::now) : clock_(std::move(clock)) {}
  /// One that says nothing in the log, for what is only being considered.
  static Journal silent(Clock clock);

  /// Begins with what an earlier journal held, oldest first; from now on `keep` is told.
  void restore(std::vector<JournalEntry> earlier, Keeper keep);

  void record(Severity severity, std::string kind, std::string subject, std::string text);

  /// Oldest first; at most kMaxEntries.
  const std::deque<JournalEntry>& entries() const { return entries_; }
  std::chrono::system_clock::time_point now() const { return clock_(); }

 private:
  /// Of an entry of `time` that follows the one of `last`.
  static uint64_t next_id(std::chrono::system_clock::time_point time, uint64_t last);

  Clock clock_;
  bool is_silent_ = false;
  Keeper keep_;
  std::deque<JournalEntry> entries_;
};

}  // namespace sluice::control

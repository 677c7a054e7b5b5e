// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/journal.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

namespace sluice::control {

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "unknown";
}

uint64_t id_of(const JournalEntry& entry) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(entry.time.time_since_epoch()).count());
}

void Journal::record(Severity severity, std::string kind, std::string subject, std::string text) {
  const auto level = severity == Severity::kInfo      ? spdlog::level::info
                     : severity == Severity::kWarning ? spdlog::level::warn
                                                      : spdlog::level::err;
  if (!is_silent_) spdlog::log(level, "{} {}: {}", kind, subject, text);
  if (entries_.size() == kMaxEntries) entries_.pop_front();
  // Times are ids: each is later than the one before, whatever the clock does.
  auto time = clock_();
  if (!entries_.empty()) time = std::max(time, entries_.back().time + std::chrono::microseconds(1));
  entries_.push_back({time, severity, std::move(kind), std::move(subject), std::move(text)});
  if (keep_) keep_(entries_.back());
}

Journal Journal::silent(Clock clock) {
  Journal out(std::move(clock));
  out.is_silent_ = true;
  return out;
}

void Journal::restore(std::vector<JournalEntry> earlier, Keeper keep) {
  entries_.insert(entries_.begin(), std::make_move_iterator(earlier.begin()), std::make_move_iterator(earlier.end()));
  while (entries_.size() > kMaxEntries) entries_.pop_front();
  keep_ = std::move(keep);
}

}  // namespace sluice::control

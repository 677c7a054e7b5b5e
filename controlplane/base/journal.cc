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

/// Microseconds since 1970, so that who asks by an id is understood by a journal that was lost and begun anew.
uint64_t Journal::next_id(std::chrono::system_clock::time_point time, uint64_t last) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  return std::max(static_cast<uint64_t>(std::max<int64_t>(us, 0)), last + 1);
}

void Journal::record(Severity severity, std::string kind, std::string subject, std::string text) {
  const auto level = severity == Severity::kInfo      ? spdlog::level::info
                     : severity == Severity::kWarning ? spdlog::level::warn
                                                      : spdlog::level::err;
  if (!is_silent_) spdlog::log(level, "{} {}: {}", kind, subject, text);
  if (entries_.size() == kMaxEntries) entries_.pop_front();
  const auto time = clock_();
  const uint64_t last = entries_.empty() ? 0 : entries_.back().id;
  entries_.push_back({next_id(time, last), time, severity, std::move(kind), std::move(subject), std::move(text)});
  if (keep_) keep_(entries_.back());
}

Journal Journal::silent(Clock clock) {
  Journal out(std::move(clock));
  out.is_silent_ = true;
  return out;
}

void Journal::restore(std::vector<JournalEntry> earlier, Keeper keep) {
  uint64_t last = 0;
  const auto number = [&](JournalEntry& entry) { last = entry.id = std::max(entry.id, last + 1); };
  std::ranges::for_each(earlier, number);
  std::ranges::for_each(entries_, number);
  entries_.insert(entries_.begin(), std::make_move_iterator(earlier.begin()), std::make_move_iterator(earlier.end()));
  while (entries_.size() > kMaxEntries) entries_.pop_front();
  keep_ = std::move(keep);
}

}  // namespace sluice::control

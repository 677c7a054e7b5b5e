// SPDX-License-Identifier: Apache-2.0
#include "controlplane/journal.h"

#include <spdlog/spdlog.h>

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

void Journal::record(Severity severity, std::string kind, std::string subject, std::string text) {
  const auto level = severity == Severity::kInfo      ? spdlog::level::info
                     : severity == Severity::kWarning ? spdlog::level::warn
                                                      : spdlog::level::err;
  spdlog::log(level, "{} {}: {}", kind, subject, text);
  if (entries_.size() == kMaxEntries) entries_.pop_front();
  entries_.push_back({clock_(), severity, std::move(kind), std::move(subject), std::move(text)});
}

}  // namespace sluice::control

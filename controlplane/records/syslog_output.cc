// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/syslog_output.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <chrono>
#include <iterator>
#include <utility>

namespace sluice::control {

namespace {

constexpr int kMail = 2, kInfo = 6, kWarning = 4;  // RFC 5424 section 6.2.1

}  // namespace

void SyslogOutput::compose(const KnownSession& session, const LineStyle& style) {
  const int priority = kMail * 8 + (went_wrong(session.record) ? kWarning : kInfo);
  const int64_t ended_ms = static_cast<int64_t>(session.record.ended_ms) + style.wall_offset_ms;
  const auto ended_s = static_cast<std::time_t>(ended_ms / 1000);
  message_.clear();
  const auto out = std::back_inserter(message_);
  if (is_local_) {
    fmt::format_to(out, "<{}>{:%b %e %H:%M:%S} sluice[{}]: ", priority, fmt::localtime(ended_s), getpid());
  } else {
    fmt::format_to(out, "<{}>1 {:%Y-%m-%dT%H:%M:%S}.{:03}Z {} sluice {} session - ", priority, fmt::gmtime(ended_s),
                   ended_ms % 1000, style.node, getpid());
  }
  append_json(message_, session, style);
}

Written SyslogOutput::write(std::span<const KnownSession* const> sessions, const LineStyle& style) {
  Written out;
  socket_.begin_batch();
  for (const KnownSession* session : sessions) {
    compose(*session, style);
    std::string fault = socket_.send({message_.data(), message_.size()});
    (fault.empty() ? out.records : out.lost)++;
    if (!fault.empty() && out.fault.empty()) out.fault = std::move(fault);
  }
  return out;
}

}  // namespace sluice::control

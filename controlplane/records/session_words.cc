// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/session_words.h"

#include <fmt/format.h>

#include <array>

#include "dataplane/contract/counters.h"
#include "dataplane/contract/limits.h"

namespace sluice::control {

using channel::SessionEnd;
using channel::SessionNotes;
using channel::SessionRecord;

namespace {

constexpr std::array<std::string_view, static_cast<size_t>(SessionEnd::kCount)> kEnds{
    "closed", "reset", "idle", "cut", "superseded", "unfinished", "refused", "told"};
constexpr std::array<std::string_view, static_cast<size_t>(channel::SessionParty::kCount)> kParties{
    "", "client", "server", "balancer"};
constexpr std::array<std::string_view, static_cast<size_t>(channel::PlacedBy::kCount)> kRules{
    "table", "table_further", "turn", "load", "adopted", "peer"};
constexpr std::string_view kSourceLimit = "source_limit";
/// In the order of SmtpStep.
constexpr std::array<std::string_view, static_cast<size_t>(channel::SmtpStep::kCount)> kSteps{
    "connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "message", "other", "other"};

}  // namespace

bool went_wrong(const SessionRecord& record) {
  const SessionNotes& notes = record.notes;
  // Who has its FIN answered with what it does not take any more (TLS' close_notify) sends an RST: it is over already.
  const bool late_reset = record.end == SessionEnd::kReset &&
                          (notes.flags & (channel::kSessionClientFin | channel::kSessionServerFin)) != 0;
  const bool in_order = record.end == SessionEnd::kClosed || record.end == SessionEnd::kTold || late_reset;
  if (!in_order) return true;
  if (!has(record, channel::kSessionWatched)) return false;
  const bool greeted = notes.greeting_code >= 200 && notes.greeting_code < 400;
  const bool blind = has(record, channel::kSessionTlsBegun) || has(record, channel::kSessionLostSight);
  return (!greeted && !blind) || notes.last_refusal().code != 0 || has(record, channel::kSession421) ||
         has(record, channel::kSessionTlsFailed) || has(record, channel::kSessionEarly);
}

std::string_view end_word(const SessionRecord& record) {
  const auto end = static_cast<size_t>(record.end);
  return end < kEnds.size() ? kEnds[end] : "unknown";
}

std::string_view by_word(const SessionRecord& record) {
  const auto by = static_cast<size_t>(record.by);
  return by < kParties.size() ? kParties[by] : "";
}

bool was_blocked(const SessionRecord& record) {
  return record.end == SessionEnd::kRefused &&
         static_cast<channel::Counter>(record.cause) == channel::Counter::kDropPolicy;
}

std::string_view cause_word(const SessionRecord& record) {
  if (record.end != SessionEnd::kCut && record.end != SessionEnd::kRefused) return "";
  using channel::Counter;
  switch (static_cast<Counter>(record.cause)) {
    case Counter::kFlowsCutDown:
      return record.removed ? "removed" : "backend_down";
    case Counter::kFlowsCutIdle:
      return "idle";
    case Counter::kFlowsCutProxy:
      return "proxy_header";
    case Counter::kDropPolicy:
      return "blocked";
    case Counter::kDropLimited:
    case Counter::kFlowsCutLimit:
      return kSourceLimit;
    case Counter::kDropNoBackend:
      return "no_backend";
    case Counter::kDropBackendLimit:
      return "max_connections";
    case Counter::kDropBackendCollision:
      return "collision";
    case Counter::kDropNoLocalPort:
      return "no_local_port";
    case Counter::kDropTableFull:
      return "table_full";
    case Counter::kDropReset:
      return "backend_refused";
    case Counter::kDropBackendDown:
      return "backend_silent";
    default:
      return record.cause < channel::kCounterCount ? channel::kCounterInfo[record.cause].name : "unknown";
  }
}

uint8_t limit_number(const SessionRecord& record) {
  return cause_word(record) == kSourceLimit && record.limit <= channel::kMaxLimits ? record.limit : uint8_t{0};
}

std::string_view rule_word(const SessionRecord& record) {
  const uint8_t rule = record.notes.placed_by();
  return record.end != SessionEnd::kRefused && rule < kRules.size() ? kRules[rule] : "";
}

std::string_view furthest_word(const SessionNotes& notes) {
  return notes.furthest() != 0 && notes.furthest() <= kSteps.size() ? kSteps[notes.furthest() - 1U] : "";
}

std::string_view step_word(uint8_t step) {
  return step < kSteps.size() ? kSteps[step] : "other";
}

std::string_view tls_word(const SessionRecord& record) {
  if (has(record, channel::kSessionTlsFailed)) return "failed";
  if (has(record, channel::kSessionTlsEstablished)) return "established";
  return has(record, channel::kSessionTlsBegun) ? "begun" : "";
}

std::string enhanced_code(const channel::LastRefusal& refusal) {
  return refusal.enhanced ? fmt::format("{}.{}.{}", refusal.code / 100, refusal.subject, refusal.detail) : "";
}

SessionTimes times_of(const SessionRecord& record, int64_t wall_offset_ms) {
  const uint32_t lasted_ms = static_cast<uint32_t>(record.ended_ms) - record.notes.begun_ms;
  const int64_t ended_ms = static_cast<int64_t>(record.ended_ms) + wall_offset_ms;
  return {.begun_ms = ended_ms - lasted_ms, .ended_ms = ended_ms};
}

}  // namespace sluice::control

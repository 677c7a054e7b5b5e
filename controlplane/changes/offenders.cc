// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/offenders.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sluice::control {

using namespace std::chrono_literals;

namespace {

constexpr auto kMinute = 60s;

/// The source that a client is counted as.
config::IpPrefix source_of(const Address& client) {
  const config::IpAddress address{client.bytes};
  return config::IpPrefix::of(address, address.is_v4() ? 128 : 64);
}

/// Whether somebody may have tried a password where nobody sees it.
bool is_short_under_tls(const channel::SessionRecord& record) {
  using End = channel::SessionEnd;
  const bool by_us = record.end == End::kCut || record.end == End::kTold || record.end == End::kIdle;
  // A FIN of the server's is no such sign: it closes after QUIT, and after too many refusals.
  const bool by_server = record.end == End::kReset && record.by == channel::SessionParty::kServer;
  if (by_us || by_server) return false;
  constexpr uint32_t kNeeded = channel::kSessionEstablished | channel::kSessionTlsEstablished;
  if ((record.notes.flags & kNeeded) != kNeeded || record.bytes_up >= Offenders::kShortTlsBytes) return false;
  return static_cast<uint32_t>(record.ended_ms) - record.notes.begun_ms < Offenders::kShortTlsMs;
}

bool is_meant(const std::vector<std::string>& services, std::string_view service) {
  return services.empty() || std::ranges::find(services, service) != services.end();
}

}  // namespace

std::string_view name_of(Offence offence) {
  return offence == Offence::kAuthFailures ? "auth_failures" : "early_talker";
}

void Offenders::restore(const std::map<config::IpPrefix, Offender>& known) {
  for (const auto& [source, offender] : known) {
    if (offender.until > journal_.now()) offenders_.put(source, offender);
  }
}

void Offenders::follow(const config::Sources& config) {
  config_ = config;
  const bool talkers_are_let_in =
      !config.early_talkers || config.early_talkers->then == config::ThenOnOffence::kNothing;
  changed_ |= offenders_.erase_if([&](const config::IpPrefix& source, const Offender& offender) {
    const bool by_failures = offender.offence == Offence::kAuthFailures;
    return is_exempt(source) || (by_failures ? !config.auth_failures.has_value() : talkers_are_let_in);
  });
  if (!config.auth_failures) buckets_.erase_if([](const auto&...) { return true; });
}

void Offenders::follow_clock() {
  const SystemTime now = journal_.now();
  if (std::exchange(latest_, now) <= now) return;
  buckets_.erase_if([](const auto&...) { return true; });
  std::vector<std::pair<config::IpPrefix, Offender>> too_long;
  for (const auto& [source, offender] : offenders_.entries()) {
    const bool by_failures = offender.offence == Offence::kAuthFailures;
    const auto most =
        now + (by_failures ? std::chrono::seconds(config_.auth_failures ? config_.auth_failures->block_for : 0)
                           : std::chrono::seconds(config_.early_talkers ? config_.early_talkers->remember : 0));
    if (offender.until > most) too_long.emplace_back(source, offender).second.until = most;
  }
  for (const auto& [source, offender] : too_long) offenders_.put(source, offender);
  changed_ |= !too_long.empty();
}

bool Offenders::is_exempt(const config::IpPrefix& source) const {
  return std::ranges::any_of(config_.allow, [&](const config::IpPrefix& each) { return each.contains(source); });
}

Offences Offenders::see(const channel::SessionRecord& record, std::string_view service) {
  const bool early = (record.notes.flags & channel::kSessionEarly) != 0;
  const uint32_t failures = record.notes.refused[channel::SessionNotes::place_of(channel::SmtpStep::kAuth)];
  const bool counts_tls = config_.auth_failures && config_.auth_failures->short_tls_sessions != 0;
  if (!early && failures == 0 && !counts_tls) return {};
  follow_clock();
  Offences given{.source = source_of(record.client.address)};
  if (is_exempt(given.source)) return given;
  if (early && config_.early_talkers) look_at_early(given, service);
  if (config_.auth_failures && is_meant(config_.auth_failures->services, service))
    look_at_auth(given, record, failures);
  return given;
}

void Offenders::look_at_early(Offences& given, std::string_view service) {
  const config::EarlyTalkers& rule = *config_.early_talkers;
  early_talkers_++;
  given.early = true;
  if (rule.then == config::ThenOnOffence::kNothing) return;
  const auto until = journal_.now() + std::chrono::seconds(rule.remember);
  enter(given.source, {Offence::kEarlyTalker, rule.then == config::ThenOnOffence::k421, journal_.now(), until},
        fmt::format("spoke before the greeting of \"{}\"", service));
}

void Offenders::look_at_auth(Offences& given, const channel::SessionRecord& record, uint32_t failures) {
  const config::AuthFailures& rule = *config_.auth_failures;
  const auto each = std::chrono::duration_cast<SystemTime::duration>(kMinute) / rule.per_minute;  // to drain
  if (failures != 0) {
    auth_failures_ += failures;
    given.auth_failures = failures;
    fill(given.source, failures * each, each, true);
  } else if (rule.short_tls_sessions != 0 && is_short_under_tls(record)) {
    short_tls_sessions_++;
    given.short_tls = true;
    fill(given.source, each / rule.short_tls_sessions, each, false);
  }
}

void Offenders::fill(const config::IpPrefix& source, SystemTime::duration more, SystemTime::duration each, bool seen) {
  const config::AuthFailures& rule = *config_.auth_failures;
  const Bucket* known = buckets_.find(source);
  const SystemTime now = journal_.now();
  const SystemTime empty = std::max(now, known == nullptr ? now : known->until) + more;
  buckets_.put(source, {empty});
  const auto level = (empty - now + each - SystemTime::duration(1)) / each;  // one that has begun to drain counts
  if (level <= rule.per_minute) return;
  enter(
      source, {Offence::kAuthFailures, false, now, now + std::chrono::seconds(rule.block_for)},
      seen ? fmt::format("guesses passwords: {} AUTH commands refused within a minute", level)
           : fmt::format("guesses passwords, it seems: short sessions under TLS that count as {} refused AUTH commands "
                         "within a minute",
                         level));
}

void Offenders::enter(const config::IpPrefix& source, const Offender& offender, const std::string& why) {
  if (const Offender* known = offenders_.find(source)) {
    // Who is dropped is not let off with a word for what he did less.
    if (!known->hears && offender.hears) return;
    changed_ = true;  // its time, at least
    return offenders_.put(source, {offender.offence, offender.hears, known->since, offender.until});
  }
  offenders_.put(source, offender);
  changed_ = true;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(offender.until - offender.since).count();
  tell(source,
       fmt::format("{}; its new connections are {} for {} s", why, offender.hears ? "refused" : "dropped", seconds));
}

void Offenders::tell(const config::IpPrefix& source, const std::string& why) {
  if (journal_.now() - minute_ >= kMinute) {
    if (untold_ != 0)
      journal_.record(Severity::kWarning, "sources", "offenders", fmt::format("{} more within a minute", untold_));
    minute_ = journal_.now();
    told_ = untold_ = 0;
  }
  if (told_ == kToldAMinute) {
    untold_++;
    return;
  }
  told_++;
  journal_.record(Severity::kWarning, "sources", source.to_string(), why);
}

bool Offenders::tick() {
  follow_clock();
  changed_ |= offenders_.expire(journal_.now());
  buckets_.expire(journal_.now());
  return std::exchange(changed_, false);
}

bool Offenders::forget(const config::IpPrefix& prefix) {
  const auto is_within = [&](const config::IpPrefix& source, const auto&) { return prefix.contains(source); };
  buckets_.erase_if(is_within);
  const bool any = offenders_.erase_if(is_within);
  changed_ |= any;
  return any;
}

}  // namespace sluice::control

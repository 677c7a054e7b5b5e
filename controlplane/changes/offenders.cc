// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/offenders.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::control {

using namespace std::chrono_literals;

namespace {

constexpr auto kMinute = 60s;

/// The source that a client is counted as.
config::IpPrefix source_of(const Address& client) {
  config::IpPrefix out;
  out.address.bytes = client.bytes;
  if (out.address.is_v4()) return out;
  std::fill(out.address.bytes.begin() + 8, out.address.bytes.end(), uint8_t{0});
  out.bits = 64;
  return out;
}

bool is_meant(const std::vector<std::string>& services, std::string_view service) {
  return services.empty() || std::ranges::find(services, service) != services.end();
}

}  // namespace

std::string_view name_of(Offence offence) {
  return offence == Offence::kAuthFailures ? "auth_failures" : "early_talker";
}

void Offenders::follow(const config::Sources& config) {
  config_ = config;
  const bool talkers_are_let_in =
      !config.early_talkers || config.early_talkers->then == config::ThenOnOffence::kNothing;
  const auto is_let_in = [&](const auto& entry) {
    const bool by_failures = entry.second.offence == Offence::kAuthFailures;
    return is_exempt(entry.first) || (by_failures ? !config.auth_failures.has_value() : talkers_are_let_in);
  };
  if (std::erase_if(entries_, is_let_in) != 0) changed_ = true;
  if (!config.auth_failures) buckets_.clear();
}

bool Offenders::is_exempt(const config::IpPrefix& source) const {
  return std::ranges::any_of(config_.allow, [&](const config::IpPrefix& each) { return each.contains(source); });
}

void Offenders::see(const channel::SessionRecord& record, std::string_view service) {
  const bool early = (record.notes.flags & channel::kSessionEarly) != 0;
  const uint32_t failures = record.notes.refused[channel::SessionNotes::place_of(channel::SmtpStep::kAuth)];
  if (!early && failures == 0) return;
  const config::IpPrefix source = source_of(record.client.address);
  if (is_exempt(source)) return;
  if (early && config_.early_talkers) {
    early_talkers_++;
    const config::EarlyTalkers& rule = *config_.early_talkers;
    const auto until = journal_.now() + std::chrono::seconds(rule.remember);
    if (rule.then != config::ThenOnOffence::kNothing)
      enter(source, {Offence::kEarlyTalker, rule.then == config::ThenOnOffence::k421, journal_.now(), until},
            fmt::format("spoke before the greeting of \"{}\"", service));
  }
  if (failures != 0 && config_.auth_failures && is_meant(config_.auth_failures->services, service)) {
    auth_failures_ += failures;
    count_failures(source, failures);
  }
}

double Offenders::drained(const Bucket& bucket) const {
  const std::chrono::duration<double> elapsed = journal_.now() - bucket.at;
  return std::max(0.0, bucket.level - elapsed / kMinute * config_.auth_failures->per_minute);
}

void Offenders::count_failures(const config::IpPrefix& source, uint32_t failures) {
  const config::AuthFailures& rule = *config_.auth_failures;
  if (buckets_.size() >= kMost && !buckets_.contains(source)) {
    const auto least =
        std::ranges::min_element(buckets_, {}, [this](const auto& entry) { return drained(entry.second); });
    buckets_.erase(least);
  }
  Bucket& bucket = buckets_[source];
  bucket = {drained(bucket) + failures, journal_.now()};
  if (bucket.level <= rule.per_minute) return;
  enter(source, {Offence::kAuthFailures, false, journal_.now(), journal_.now() + std::chrono::seconds(rule.block_for)},
        fmt::format("guesses passwords: {:.0f} AUTH commands refused within a minute", bucket.level));
}

void Offenders::enter(const config::IpPrefix& source, const Offender& offender, const std::string& why) {
  const auto known = entries_.find(source);
  if (known != entries_.end()) {
    // Who is dropped is not let off with a word for what he did less.
    if (!known->second.hears && offender.hears) return;
    const bool same_list = known->second.hears == offender.hears;
    known->second = {offender.offence, offender.hears, known->second.since, offender.until};
    changed_ |= !same_list;
    return;
  }
  if (entries_.size() >= kMost) {
    entries_.erase(std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.until; }));
  }
  entries_.emplace(source, offender);
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
  const SystemTime now = journal_.now();
  if (std::erase_if(entries_, [&](const auto& entry) { return entry.second.until <= now; }) != 0) changed_ = true;
  if (config_.auth_failures) std::erase_if(buckets_, [&](const auto& entry) { return drained(entry.second) == 0; });
  return std::exchange(changed_, false);
}

bool Offenders::forget(const config::IpPrefix& prefix) {
  const auto is_within = [&](const auto& entry) { return prefix.contains(entry.first); };
  std::erase_if(buckets_, is_within);
  const bool any = std::erase_if(entries_, is_within) != 0;
  changed_ |= any;
  return any;
}

}  // namespace sluice::control

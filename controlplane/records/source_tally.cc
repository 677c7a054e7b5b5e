// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/source_tally.h"

#include <algorithm>
#include <array>
#include <utility>

#include "controlplane/changes/limits.h"
#include "controlplane/records/session_words.h"

namespace sluice::control {

using namespace std::chrono_literals;

namespace {

constexpr SystemTime::duration kMinute = 60s;
constexpr std::array<std::string_view, 5> kComplaints{"blocked", "limit", "early_talker", "auth_failures",
                                                      "short_tls_sessions"};

}  // namespace

std::string_view name_of(Complaint complaint) {
  return kComplaints[static_cast<size_t>(complaint)];
}

void LastMinute::add(SystemTime now, uint64_t more) {
  if (const auto since = now - begun_; since >= kMinute) {
    before_ = since < 2 * kMinute ? count_ : 0;
    count_ = 0;
    begun_ = since < 2 * kMinute ? begun_ + kMinute : now;
  }
  count_ += more;
}

uint64_t LastMinute::at(SystemTime now) const {
  const auto share = [](uint64_t count, SystemTime::duration left) {
    const std::chrono::duration<double> minute = kMinute, rest = std::min(left, kMinute);
    return static_cast<uint64_t>(static_cast<double>(count) * (rest / minute) + 0.5);
  };
  const auto since = now - begun_;
  if (since < kMinute) return count_ + share(before_, kMinute - since);
  return since < 2 * kMinute ? share(count_, 2 * kMinute - since) : 0;
}

void SourceTally::follow(const config::Sources& config) {
  const auto forget = [](Entries& entries, Complaint complaint) {
    entries.erase_if([&](const Key& key, const Entry&) { return key.complaint == complaint; });
  };
  if (config.limits != config_.limits) forget(refused_, Complaint::kLimit);
  if (!config.early_talkers) forget(offences_, Complaint::kEarlyTalker);
  config_ = config;
}

void SourceTally::see(const KnownSession& session, const Offences& offences, SystemTime now) {
  const channel::SessionRecord& record = session.record;
  if (!has(record, channel::kSessionEstablished)) seen_.add(now, 1);
  if (session.block != nullptr) count({Complaint::kBlocked, 0, session.block->prefix}, session.block->by, 1, now);
  if (const uint8_t rule = limit_number(record); rule != 0 && rule <= config_.limits.size()) {
    const config::IpAddress client{record.client.address.bytes};
    const auto prefix = config::IpPrefix::of(client, source_bits(config_.limits[rule - 1U], client.is_v4()));
    count({Complaint::kLimit, rule, prefix.to_string()}, "", 1, now);
  }
  const auto complain = [&](Complaint complaint, uint64_t more) {
    if (more != 0) count({complaint, 0, offences.source.to_string()}, "", more, now);
  };
  complain(Complaint::kEarlyTalker, offences.early ? 1 : 0);
  complain(Complaint::kAuthFailures, offences.auth_failures);
  complain(Complaint::kShortTlsSessions, offences.short_tls ? 1 : 0);
}

void SourceTally::count(Key key, std::string by, uint64_t more, SystemTime now) {
  Entries& entries = key.complaint <= Complaint::kLimit ? refused_ : offences_;
  const Entry* known = entries.find(key);
  Entry entry = known == nullptr ? Entry{.first = now} : *known;
  const bool by_rule = key.complaint == Complaint::kEarlyTalker && config_.early_talkers;
  entry.by = std::move(by);
  entry.count += more;
  entry.last_minute.add(now, more);
  entry.last = now;
  entry.until = now + (by_rule ? std::chrono::seconds(config_.early_talkers->remember) : kRemembered);
  entries.put(key, entry);
}

void SourceTally::tick(const std::optional<WorkerCounters>& counters, SystemTime now) {
  refused_.expire(now);
  offences_.expire(now);
  const auto before = std::exchange(untold_, std::nullopt);
  if (!counters) return;
  const auto count = [&](channel::Counter counter) { return (*counters)[static_cast<size_t>(counter)]; };
  const uint64_t untold =
      count(channel::Counter::kSessionRecordsHeldBack) + count(channel::Counter::kSessionRecordsLost);
  // A data plane that was started again counts from the beginning.
  if (before) unseen_.add(now, untold - (untold < *before ? 0 : *before));
  untold_ = untold;
}

void SourceTally::move(Entries& entries, SystemTime::duration by) {
  std::vector<std::pair<Key, Entry>> moved(entries.entries().begin(), entries.entries().end());
  for (auto& [key, entry] : moved) {
    entry.last_minute.move_times(by);
    entry.first += by;
    entry.last += by;
    entry.until += by;
    entries.put(key, entry);
  }
}

void SourceTally::move_times(SystemTime::duration by) {
  move(refused_, by);
  move(offences_, by);
  seen_.move_times(by);
  unseen_.move_times(by);
}

}  // namespace sluice::control

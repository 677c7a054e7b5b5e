// SPDX-License-Identifier: Apache-2.0
#include "controlplane/announce/announcement.h"

#include <algorithm>
#include <utility>

namespace sluice::control {

std::string_view name_of(VipState state) {
  switch (state) {
    case VipState::kAnnounced:
      return "announced";
    case VipState::kDraining:
      return "draining";
    case VipState::kWithdrawn:
      break;
  }
  return "withdrawn";
}

void Announcement::adopt(const config::IpAddress& vip, VipState state, bool in_service, Clock::time_point now) {
  Vip& adopted = vips_[vip];
  adopted.state = state;
  adopted.reason = "as it was before control started";
  adopted.since = journal_.now();
  adopted.in_service = in_service;
  adopted.in_service_since = now;
  adopted.sound_since = now - config_.hold_down;
}

bool Announcement::update(const NodeFacts& facts, Clock::time_point now) {
  bool changed = false;
  std::map<config::IpAddress, const VipFacts*> known;
  for (const VipFacts& each : facts.vips) {
    known.emplace(each.vip, &each);
    const auto [entry, fresh] = vips_.try_emplace(each.vip);
    Vip& vip = entry->second;
    if (fresh) {
      vip.since = journal_.now();
      vip.sound_since = now;
    }
    if (!facts.fault.empty()) {
      if (vip.in_service) take_out_of_service(vip, now);
      vip.differs_since.reset();
      vip.sound_since = now;
    } else {
      judge_services(vip, each.is_known ? each.in_service : vip.in_service, now);
    }
    changed |= settle(each.vip, vip, verdict(vip, each, facts, now));
    vip.pending = pending(vip, facts, now);
  }
  for (auto entry = vips_.begin(); entry != vips_.end();) {
    if (known.contains(entry->first)) {
      ++entry;
      continue;
    }
    changed |= settle(entry->first, entry->second, {VipState::kWithdrawn, "no service has it any more"});
    entry = vips_.erase(entry);
  }
  return changed;
}

std::optional<Announcement::Clock::time_point> Announcement::next_step() const {
  std::optional<Clock::time_point> out;
  for (const auto& [address, vip] : vips_)
    if (vip.pending && (!out || vip.pending->due < *out)) out = vip.pending->due;
  return out;
}

std::optional<uint32_t> Announcement::metric_of(VipState state) const {
  if (state == VipState::kWithdrawn || config_.mode == config::AnnounceMode::kAddress) return std::nullopt;
  return state == VipState::kAnnounced ? config_.metric : config_.draining_metric;
}

Announcement::Clock::duration Announcement::hold(const Vip& vip) const {
  return vip.in_service ? config_.hold_down : config_.hold_down * (1U << vip.strikes);
}

void Announcement::judge_services(Vip& vip, bool in_service, Clock::time_point now) {
  if (in_service == vip.in_service) return vip.differs_since.reset();
  if (!vip.differs_since) vip.differs_since = now;
  if (now - *vip.differs_since < hold(vip)) return;
  if (vip.in_service) return take_out_of_service(vip, now);
  vip.in_service = true;
  vip.in_service_since = now;
  vip.differs_since.reset();
}

void Announcement::take_out_of_service(Vip& vip, Clock::time_point now) {
  const bool was_there_for_long = now - vip.in_service_since >= config_.hold_down * kCalm;
  vip.strikes = was_there_for_long ? 0 : std::min(vip.strikes + 1, kMaxStrikes);
  vip.in_service = false;
  vip.differs_since.reset();
}

Announcement::Verdict Announcement::verdict(const Vip& vip, const VipFacts& facts, const NodeFacts& node,
                                            Clock::time_point now) const {
  if (!node.fault.empty()) return {VipState::kWithdrawn, node.fault};
  if (node.out) return {VipState::kWithdrawn, "the node's drain is over its deadline"};
  if (facts.leaving) {
    if (vip.state == VipState::kWithdrawn) return {VipState::kWithdrawn, "its services left the file"};
    return {VipState::kDraining, "its services left the file, and sessions are open"};
  }
  if (vip.in_service) {
    return node.draining ? Verdict{VipState::kDraining, "the node drains"}
                         : Verdict{VipState::kAnnounced, "in service"};
  }
  std::string why = facts.in_service ? "in service, not yet for long enough" : facts.reason;
  const bool stays = config_.last_node == config::LastNode::kStay && now - vip.sound_since >= config_.hold_down;
  if (stays) return {VipState::kDraining, why + "; the last node stays"};
  return {VipState::kWithdrawn, std::move(why)};
}

std::optional<Announcement::Change> Announcement::pending(const Vip& vip, const NodeFacts& node,
                                                          Clock::time_point now) const {
  if (!node.fault.empty() || node.out) return std::nullopt;
  const bool stays = config_.last_node == config::LastNode::kStay;
  if (vip.differs_since) {
    const VipState up = node.draining ? VipState::kDraining : VipState::kAnnounced;
    const VipState down = stays ? VipState::kDraining : VipState::kWithdrawn;
    return Change{vip.in_service ? down : up, *vip.differs_since + hold(vip)};
  }
  if (stays && !vip.in_service && now - vip.sound_since < config_.hold_down) {
    return Change{VipState::kDraining, vip.sound_since + config_.hold_down};
  }
  return std::nullopt;
}

bool Announcement::settle(const config::IpAddress& address, Vip& vip, Verdict verdict) {
  vip.reason = std::move(verdict.reason);
  if (verdict.state == vip.state) return false;
  vip.state = verdict.state;
  vip.since = journal_.now();
  vip.changes++;
  if (config_.mode == config::AnnounceMode::kNone) return true;  // nobody is told
  journal_.record(vip.state == VipState::kWithdrawn ? Severity::kWarning : Severity::kInfo, "announce",
                  address.to_string(), std::string(name_of(vip.state)) + ": " + vip.reason);
  return true;
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// What follows for a member from what is known of it and of the others at one moment.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "controlplane/model/panic.h"
#include "controlplane/model/panic_view.h"

namespace sluice::control {

using health::Evidence;

namespace {

/// How many of `times`, latest first, are not before `since`.
size_t count_since(const std::vector<Panic::Time>& times, Panic::Time since) {
  return static_cast<size_t>(std::ranges::upper_bound(times, since, std::ranges::greater{}) - times.begin());
}

}  // namespace

bool Panic::place_fails(const Member& member, const View& view) const {
  if (!member.place) return false;
  return view.places.at(*member.place).all_fail() ||
         view.places.at({member.place->twin, true, std::nullopt}).all_fail();
}

bool Panic::is_refusal_proven(const Member& member, const Crowd& crowd) const {
  if (!crowd.no_refusal_at.empty() && !member.bracketed) return false;
  const size_t heard = count_since(crowd.no_refusal_at, member.believed_since());
  if (heard < std::min(crowd.no_refusal_at.size(), kPanel)) return false;
  const double all = static_cast<double>(heard + crowd.refusing);
  return static_cast<double>(crowd.refusing) <= crowd.share * all + kPanicRounding;
}

/// Whether whatever else is checked of its host is silent as well, by probes that began since it is believed to be.
bool Panic::is_host_silent(const Member& member) const {
  return std::ranges::all_of(by_host_.at(member.address), [&](size_t i) {
    const Member& other = members_[i];
    if (&other == &member || !other.checked) return true;
    return other.evidence == Evidence::kUnanswered && other.asked_at >= member.believed_since();
  });
}

bool Panic::is_proven(const Member& member, const View& view) const {
  const Crowd& crowd = view.crowds[member.group];
  if (!member.down) return false;
  if (member.evidence == Evidence::kRefused) return is_refusal_proven(member, crowd);
  if (member.evidence != Evidence::kUnanswered || !member.place || !member.bracketed) return false;
  if (!is_host_silent(member)) return false;
  if (view.places.at(*member.place).heard_beside(member.address) < member.believed_since()) return false;
  return count_since(crowd.sound_known, member.believed_since()) >= std::min(crowd.sound_known.size(), kPanel);
}

Standing Panic::judge(Member& member, const View& view, Time now) const {
  const Crowd& crowd = view.crowds[member.group];
  const Group& group = groups_[member.group];
  const bool was_out = member.standing == Standing::kOut || member.standing == Standing::kDead;
  member.why.clear();
  if (member.awaiting && now >= member.awaiting_until && !member.interrupted) member.awaiting = false;
  if (member.awaiting && now < member.awaiting_until) {
    if (!member.is_bad()) return Standing::kGood;
    if (was_out) return member.standing;
    member.why = member.interruption;
    return Standing::kHeld;
  }
  if (!member.is_bad()) return Standing::kGood;
  const bool is_silent = member.evidence == Evidence::kRefused || member.evidence == Evidence::kUnanswered;
  if (member.standing == Standing::kDead && member.down && is_silent) return Standing::kDead;
  if (!member.was_good) return is_proven(member, view) ? Standing::kDead : Standing::kOut;
  if (member.evidence == Evidence::kCertificate && !member.lost_way()) {
    const bool too_many =
        static_cast<double>(crowd.by_certificate) > crowd.share * static_cast<double>(crowd.members) + kPanicRounding;
    if (!too_many) return Standing::kOut;
    member.why = fmt::format("for its certificate no more than {:g} of the pool is taken out", crowd.share);
    return Standing::kHeld;
  }
  if (member.evidence == Evidence::kRefused && !member.has_yet_to_be_asked() && is_proven(member, view)) {
    return Standing::kDead;
  }
  const bool all_here = place_fails(member, view);
  if ((crowd.panics() || all_here) && !member.spent_at) {
    if (!member.held_since) member.held_since = std::max(now - group.hold, *member.failing_since);
    if (now < *member.held_since + group.hold) {
      member.why = crowd.panics() ? fmt::format("{} of {} backends fail at once", crowd.failing, crowd.counted)
                                  : "all that is reached the same way fails at once";
      return Standing::kHeld;
    }
    member.spent_at = now;
  }
  if (member.spent_at || (member.is_judged() && crowd.usable == 0)) {
    const Standing after = judge_after_hold(member, view);
    if (after == Standing::kHeld) member.why = "no other is left, and what it says is a judgement, no proof";
    return after;
  }
  return is_proven(member, view) ? Standing::kDead : Standing::kOut;
}

Standing Panic::judge_after_hold(const Member& member, const View& view) const {
  if (member.is_judged() && view.crowds[member.group].usable == 0) return Standing::kHeld;
  if (member.has_yet_to_be_asked()) return Standing::kOut;
  if (member.down && member.evidence == Evidence::kRefused) return Standing::kDead;
  return is_proven(member, view) ? Standing::kDead : Standing::kOut;
}

}  // namespace sluice::control

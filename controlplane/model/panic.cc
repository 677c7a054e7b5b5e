// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/panic.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <unordered_map>

#include "controlplane/model/panic_view.h"

namespace sluice::control {

using health::Evidence;

namespace {

constexpr size_t kNone = SIZE_MAX;  // no group yet

}  // namespace

std::string_view name_of(Standing standing) {
  switch (standing) {
    case Standing::kGood:
      return "good";
    case Standing::kHeld:
      return "held";
    case Standing::kOut:
      return "out";
    case Standing::kDead:
      return "dead";
  }
  return "";
}

void Panic::follow(const std::vector<Subject>& subjects, std::vector<Group> groups) {
  std::unordered_map<uint64_t, Member> before;
  for (Member& member : members_) before.emplace(member.key, std::move(member));
  members_.clear();
  by_host_.clear();
  hurried_.clear();
  quiet_ = false;
  groups_ = std::move(groups);
  for (const Subject& subject : subjects) {
    const auto known = before.find(subject.key);
    Member member = known == before.end() ? Member{} : std::move(known->second);
    member.key = subject.key;
    member.address = subject.address;
    by_host_[member.address].push_back(members_.size());
    members_.push_back(std::move(member));
  }
  for (Member& member : members_) member.group = kNone;
  for (size_t g = groups_.size(); g-- > 0;) {
    for (const size_t i : groups_[g].beside) members_[i].group = g;
    for (const size_t i : groups_[g].members) members_[i].group = g;
  }
  for (size_t i = 0; i < members_.size(); i++) {
    if (members_[i].group != kNone) continue;
    members_[i].group = groups_.size();
    groups_.push_back({.members = {i}, .beside = {}});
  }
  tally_.assign(groups_.size(), {});
}

void Panic::trust(size_t index) {
  Member& member = members_[index];
  member.was_good = true;
  member.checked = false;
  if (!member.interrupted && member.has_way) member.awaiting = false;
}

void Panic::on_heard(size_t index, Time now) {
  Member& member = members_[index];
  member.heard_at = member.known_at = now;
  // Of a port that is open: what comes of the probe is not known yet.
  if (member.evidence == Evidence::kRefused || member.evidence == Evidence::kUnanswered) {
    member.change_evidence(Evidence::kJudged, now);
  }
  vouch_for_host(member, now);
  bear_witness(member, now);
}

void Panic::on_host_heard(size_t index, Time now) {
  vouch_for_host(members_[index], now);
  bear_witness(members_[index], now);
}

bool Panic::is_silent(size_t index) const {
  return members_[index].evidence == Evidence::kUnanswered;
}

/// The silence of its host's members counts from now on, beside those who are heard from now on.
void Panic::vouch_for_host(const Member& heard, Time now) {
  if (quiet_) return;
  for (const size_t i : by_host_.at(heard.address))
    if (is_silent(i)) members_[i].change_evidence(Evidence::kUnanswered, now);
}

void Panic::bear_witness(const Member& heard, Time now) {
  if (quiet_) return;
  for (Member& member : members_) {
    if (member.witnessed_at || !member.is_failing() || member.address == heard.address) continue;
    const bool is_near = member.evidence == Evidence::kRefused ? member.group == heard.group
                                                               : member.place && member.place == heard.place;
    if (is_near) member.witnessed_at = now;
  }
}

void Panic::on_result(size_t index, const Result& result, Time now) {
  Member& member = members_[index];
  member.known_at = now;
  member.asked_at = result.began;
  member.checked = true;
  if (result.evidence != member.evidence) member.change_evidence(result.evidence, now);
  member.bracketed |= member.witnessed_at && result.began >= *member.witnessed_at;
  member.doubtful = result.evidence != Evidence::kNone;
  if (!member.doubtful) member.was_good = true;
  // Without a next hop only silence where others answer tells: it may be that nobody can answer yet.
  const bool is_telling = member.has_way || (result.evidence == Evidence::kUnanswered && member.bracketed);
  if (result.settled && !member.interrupted && is_telling) member.awaiting = false;
  note_failing(index, now);
  // What is judged where no way leads has not been heard.
  const bool is_heard =
      result.evidence == Evidence::kJudged ? member.has_way : result.evidence != Evidence::kUnanswered;
  if (!is_heard) return;
  member.heard_at = now;
  vouch_for_host(member, now);
  if (result.evidence != Evidence::kRefused) bear_witness(member, now);
}

void Panic::set_down(size_t index, bool down, Time now) {
  Member& member = members_[index];
  if (down && !member.down) member.down_since = now;
  member.down = down;
  note_failing(index, now);
  if (down) hurry_others(index);
}

void Panic::set_way(size_t index, const std::optional<NextHop>& way, Time now) {
  Member& member = members_[index];
  member.has_way = way.has_value();
  if (way) member.place = {way->twin, false, way->via_gateway ? std::optional(way->mac) : std::nullopt};
  note_failing(index, now);
}

void Panic::interrupt(size_t index, std::string why, Time now) {
  Member& member = members_[index];
  member.interruption = std::move(why);
  if (member.interrupted) return;
  quiet_ = false;
  member.interrupted = member.awaiting = true;
  member.forget_evidence(now);
  member.awaiting_until = now + groups_[member.group].hold;
}

void Panic::restore(size_t index, Time now) {
  Member& member = members_[index];
  if (!member.interrupted) return;
  member.interrupted = false;
  start_over(index, now);
}

void Panic::start_over(size_t index, Time now) {
  Member& member = members_[index];
  quiet_ = false;
  member.awaiting = true;
  member.awaiting_until = now + groups_[member.group].hold;
  member.forget_evidence(now);
}

void Panic::note_failing(size_t index, Time now) {
  Member& member = members_[index];
  if (!member.is_failing()) {
    member.failing_since.reset();
    member.held_since.reset();
    member.spent_at.reset();
    return;
  }
  quiet_ = false;
  if (!member.failing_since) {
    member.failing_since = now;
    hurry_others(index);
  }
}

void Panic::hurry_others(size_t index) {
  const Member& failed = members_[index];
  size_t left = kPanel;
  const std::vector<size_t>& group = groups_[failed.group].members;
  const auto own = static_cast<size_t>(std::ranges::find(group, index) - group.begin());
  const auto wants = [&](const Member& other) {
    return other.known_at < failed.believed_since() && !other.interrupted;
  };
  for (size_t n = 1; n <= group.size() && left > 0; n++) {
    const size_t i = group[(own + n) % group.size()];
    if (i == index || !wants(members_[i])) continue;
    hurried_.push_back(i);
    left--;
  }
  // Those that may speak for its host.
  for (const size_t i : by_host_.at(failed.address))
    if (i != index && wants(members_[i])) hurried_.push_back(i);
  // Those that may bear witness: other hosts on the same way, whatever they serve.
  left = kPanel;
  for (size_t i = 0; i < members_.size() && left > 0; i++) {
    const Member& other = members_[i];
    const bool is_witness = failed.place && other.place == failed.place && other.address != failed.address;
    if (!is_witness || other.is_failing()) continue;
    left--;
    if (wants(other)) hurried_.push_back(i);
  }
}

bool Panic::counts(const Member& member, Time now) {
  if (!member.was_good || !member.serving) return false;
  const bool is_out = member.standing == Standing::kOut || member.standing == Standing::kDead;
  return !(is_out && member.is_failing() && *member.failing_since + kWindow < now);
}

Panic::Crowd Panic::look_at(const Group& group, Time now) const {
  Crowd crowd{.share = group.share, .members = group.members.size(), .sound_known = {}, .no_refusal_at = {}};
  for (const size_t i : group.members) {
    const Member& member = members_[i];
    crowd.by_certificate += member.is_failing() && member.evidence == Evidence::kCertificate;
    crowd.usable += !member.is_bad() && member.was_good && member.serving;
    if (!counts(member, now)) continue;
    crowd.counted++;
    crowd.failing += member.is_failing();
    crowd.refusing += member.is_refusing();
    if (!member.is_failing()) crowd.sound_known.push_back(member.known_at);
    if (!member.is_refusing()) crowd.no_refusal_at.push_back(member.known_at);
  }
  std::ranges::sort(crowd.sound_known, std::ranges::greater{});
  std::ranges::sort(crowd.no_refusal_at, std::ranges::greater{});
  return crowd;
}

std::map<Panic::Place, Panic::PlaceView> Panic::look_at_places(Time now) const {
  std::map<Place, PlaceView> out;
  const auto add = [&](const Member& member, const Place& place) {
    PlaceView& view = out[place];
    view.add_heard(member.address, member.heard_at);
    if (member.is_answering()) view.add_answering(member.address);
    if (!counts(member, now)) return;
    const auto [host, is_new] = view.failing.emplace(member.address, member.is_failing());
    host->second &= member.is_failing();
  };
  for (const Member& member : members_) {
    if (!member.place) continue;
    add(member, *member.place);
    add(member, {member.place->twin, true, std::nullopt});
  }
  return out;
}

bool Panic::evaluate(Time now) {
  std::vector<Crowd> crowds;
  crowds.reserve(groups_.size());
  for (const Group& group : groups_) crowds.push_back(look_at(group, now));
  for (size_t g = 0; g < crowds.size(); g++) tally_[g] = {crowds[g].failing, crowds[g].counted};
  const auto places = look_at_places(now);
  // Silence where nobody else answers either proves nothing, whoever was heard before: it may be back since.
  for (Member& member : members_) {
    const bool is_silent = member.evidence == Evidence::kUnanswered && member.place;
    if (is_silent && !places.at(*member.place).is_answered_beside(member.address)) member.forget_witnesses();
  }
  const View view{crowds, places};
  std::vector<Standing> next;
  for (size_t i = 0; i < members_.size(); i++) {
    Member& member = members_[i];
    const bool was_held =
        member.standing == Standing::kHeld && member.held_since && !member.awaiting && !member.spent_at;
    next.push_back(judge(member, view, now));
    // The others are back: only what is found out from now on tells of this one alone.
    if (!was_held || member.spent_at || !member.is_bad() || next.back() == Standing::kHeld) continue;
    if (member.evidence == Evidence::kCertificate) continue;
    start_over(i, now);
    restarted_.push_back(i);
    member.interruption = "others that failed with it are back; it is checked anew";
    member.held_since.reset();
    member.why = member.interruption;
    next.back() = Standing::kHeld;
  }
  bool changed = false;
  for (size_t i = 0; i < members_.size(); i++) {
    changed |= members_[i].standing != next[i];
    members_[i].standing = next[i];
  }
  quiet_ = std::ranges::none_of(members_, [](const Member& member) {
    return member.awaiting || member.interrupted || member.is_failing() || member.standing != Standing::kGood;
  });
  return changed;
}

std::optional<Panic::State> Panic::state(size_t index) const {
  const Group& group = groups_[index];
  State out{.failing = tally_[index].first, .counted = tally_[index].second, .why = {}, .until = {}};
  for (const size_t i : group.members) {
    const Member& member = members_[i];
    if (member.standing != Standing::kHeld) continue;
    if (out.held++ == 0) out.why = member.why;
    std::optional<Time> until;
    if (member.awaiting) {
      until = member.awaiting_until;
    } else if (member.held_since && !member.spent_at) {
      until = *member.held_since + group.hold;
    }
    if (until && (!out.until || *until < *out.until)) out.until = until;
  }
  return out.held == 0 ? std::nullopt : std::optional(out);
}

}  // namespace sluice::control

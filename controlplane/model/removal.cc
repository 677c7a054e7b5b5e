// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/removal.h"

#include <fmt/format.h>

#include <algorithm>

#include "controlplane/base/times.h"
#include "controlplane/model/leaving.h"
#include "controlplane/model/model.h"

namespace sluice::control {

namespace {

using namespace std::chrono_literals;

constexpr auto kQuiet = 5s;  // without a flow, before what was removed is forgotten: the ends of its last ones pass by

/// Whether it is to be forgotten now; notes since when it has had no flow. `others`: flows of other nodes may come.
bool is_over(Removal& removal, std::optional<uint64_t> flows, bool others, SystemTime now) {
  if (!flows) return false;  // while nobody knows, nothing can be cut
  if (*flows != 0) removal.empty_since.reset();
  if (*flows == 0 && !removal.empty_since) removal.empty_since = now;
  const bool is_quiet = !others && removal.empty_since && now - *removal.empty_since >= kQuiet;
  return is_quiet || now >= removal.deadline;
}

std::string words_for_end(uint64_t flows) {
  if (flows == 0) return "removed: no session is left";
  return fmt::format("removed: its deadline has passed, {} sessions cut", flows);
}

}  // namespace

std::string reason_of(const Removal& removal) {
  return "no new sessions; what is left of the open ones is cut at " + to_rfc3339(removal.deadline);
}

size_t Model::meet(const KnownKeys& known) {
  if (!has_peers_) {  // which tell a data plane that has begun anew of all flows
    std::erase_if(removed_services_,
                  [&](const RemovedService& service) { return !known.services.contains(service.key); });
    std::erase_if(members_,
                  [&](const Member& member) { return member.removal && !known.backends.contains(member.key); });
    composition_ = new_composition();
  }
  size_t count = 0;
  for (Member& member : members_) {
    if (!known.backends.contains(member.key)) continue;
    member.presumed_up = true;
    if (!member.removal) count++;
  }
  return count;
}

bool Model::end_removals(const FlowCounts& flows) {
  const SystemTime now = journal_->now();
  const auto end = [&](const char* kind, const std::string& name, Removal& removal, auto count) {
    if (!is_over(removal, count, has_peers_, now)) return false;
    journal_->record(*count == 0 ? Severity::kInfo : Severity::kWarning, kind, name, words_for_end(*count));
    return true;
  };
  const size_t services = std::erase_if(removed_services_, [&](RemovedService& service) {
    return end("service", service.config.name, service.removal, flows.of_service(service));
  });
  const size_t members = std::erase_if(members_, [&](Member& member) {
    return member.removal && end("backend", member.label(), *member.removal, flows.of_member(member));
  });
  if (services + members == 0) return false;
  composition_ = new_composition();
  return true;
}

bool Model::tell_removed() {
  bool changed = false;
  for (size_t i = 0; i < members_.size(); i++) {
    const auto& removal = members_[i].removal;
    if (removal) changed |= set_leaving(i, journal_->now() >= leaving_from(removal->since, removal->deadline));
  }
  return changed;
}

void Model::move_times(SystemTime::duration by) {
  const auto move = [by](Removal& removal) {
    if (removal.empty_since) *removal.empty_since += by;
    if (removal.is_absolute) return;
    removal.since += by;
    removal.deadline += by;
  };
  for (Member& member : members_) {
    if (member.removal) move(*member.removal);
    if (member.recovering_since) *member.recovering_since += by;
  }
  for (RemovedService& service : removed_services_) move(service.removal);
  for (Placement& placement : placements_) placement.tiers.move_times(by);
}

void Model::forget_idle_removals(const FlowCounts& flows) {
  if (has_peers_) return;
  std::erase_if(removed_services_, [&](const RemovedService& service) { return flows.of_service(service) == 0; });
  std::erase_if(members_, [&](const Member& member) { return member.removal && flows.of_member(member) == 0; });
  composition_ = new_composition();
}

std::string Model::id_fault() const {
  const auto removed = static_cast<size_t>(
      std::ranges::count_if(members_, [](const Member& member) { return member.removal.has_value(); }));
  const auto words = [](size_t wanted, size_t draining, std::string_view what, size_t most) {
    return fmt::format(
        "{} {}s of the file, and {} that left it and may still have open sessions, are more than the data plane has "
        "ids for ({}); wait for these to end (\"sluicectl status\" shows them), or set on_removal = \"reset\" in their "
        "pool",
        wanted, what, draining, most);
  };
  if (members_.size() > channel::kMaxBackends) {
    return words(members_.size() - removed, removed, "backend", channel::kMaxBackends);
  }
  if (services_.size() + removed_services_.size() > channel::kMaxServices) {
    return words(services_.size(), removed_services_.size(), "service", channel::kMaxServices);
  }
  return "";
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// How a model goes on with what the data plane has in use and nobody has told of: the state directory is gone, or it is
// another node's, or of an earlier day. Flows are bound to an address and a port, as in take_over.cc.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "controlplane/model/leaving.h"
#include "controlplane/model/model.h"

namespace sluice::control {

namespace {

using EndpointOrder = std::pair<config::IpAddress, uint16_t>;

bool is_at(const InUse::Backend& backend, const Member& member) {
  return backend.address == member.address && backend.port == member.port;
}

}  // namespace

bool Model::recognise(const InUse& there, const std::unordered_set<uint64_t>& given_up) {
  std::unordered_set<uint64_t> known = given_up;
  for (const Member& member : members_) known.insert(member.key);
  bool changed = take_keys(there, known);
  std::map<EndpointOrder, size_t> removed;
  for (const Member& member : members_) removed[{member.address, member.port}] += member.removal ? 1 : 0;
  for (const InUse::Backend& backend : there.backends) {
    if (!known.insert(backend.key).second) continue;
    leave_over(backend, ++removed[{backend.address, backend.port}]);
    changed = true;
  }
  for (const ServiceState& service : services_) known.insert(service.key);
  for (const RemovedService& service : removed_services_) known.insert(service.key);
  for (const InUse::Service& service : there.services) {
    if (!known.insert(service.key).second) continue;
    leave_over(service);
    changed = true;
  }
  if (changed) composition_ = new_composition();
  return changed | speak_from(there.local_addresses);
}

bool Model::take_keys(const InUse& there, std::unordered_set<uint64_t>& known) {
  std::unordered_map<uint64_t, const InUse::Backend*> by_key;
  for (const InUse::Backend& backend : there.backends) by_key.emplace(backend.key, &backend);
  std::vector<uint64_t> before;
  for (const Member& member : members_) before.push_back(member.key);
  // By a key that is another endpoint's, flows would go to the wrong server.
  for (Member& member : members_) {
    const auto found = by_key.find(member.key);
    if (found == by_key.end() || is_at(*found->second, member)) continue;
    known.erase(member.key);
    do {
      member.key = backend_key(member.pool, member.name, member.endpoint(), fmt::format("{:x}", member.key));
    } while (by_key.contains(member.key) || !known.insert(member.key).second);
  }
  std::map<EndpointOrder, std::vector<uint64_t>> unknown;
  for (const InUse::Backend& backend : there.backends) {
    if (!known.contains(backend.key)) unknown[{backend.address, backend.port}].push_back(backend.key);
  }
  for (Member& member : members_) {
    const auto at = unknown.find({member.address, member.port});
    if (by_key.contains(member.key) || at == unknown.end() || at->second.empty()) continue;
    member.key = at->second.back();
    at->second.pop_back();
    known.insert(member.key);
  }
  size_t others = 0;
  for (size_t i = 0; i < before.size(); i++) others += members_[i].key != before[i] ? 1 : 0;
  if (others == 0) return false;
  for (Placement& placement : placements_) placement.table_weights.clear();  // tables name members by key
  journal_->record(
      Severity::kWarning, "control", "state",
      fmt::format("the data plane knows {} of our backends by other names: their sessions go on, by address "
                  "and port",
                  others));
  return true;
}

Removal Model::removal_of_unknown(const std::string& pool) const {
  const auto rule = removal_rules_.find(pool);
  const SystemTime now = journal_->now();
  const auto deadline = rule == removal_rules_.end() ? RemovalRule{}.deadline : rule->second.deadline;
  return {.since = now, .deadline = now + deadline, .empty_since = {}};
}

void Model::leave_over(const InUse::Backend& backend, size_t number) {
  const auto service = std::ranges::find(services_, backend.sole_service, &ServiceState::key);
  std::string pool = service == services_.end() ? "" : service->config.pool;
  Member out;
  out.removal = removal_of_unknown(pool);
  // That it was in this pool is likely, and not enough for a pool to cut what leaves it.
  const auto rule = removal_rules_.find(pool);
  if (rule != removal_rules_.end() && rule->second.on_removal == config::OnRemoval::kDrain) out.pool = std::move(pool);
  out.key = backend.key;
  out.name = backend.address.to_string() + (number == 1 ? "" : fmt::format("#{}", number));
  out.address = backend.address;
  out.port = backend.port;
  out.since = out.removal->since;
  out.leaving = out.since >= leaving_from(out.removal->since, out.removal->deadline);
  out.health = Health::kUp;
  out.health_reason = "not checked";
  if (backend.next_hop) take_next_hop(out, *backend.next_hop);
  journal_->record(Severity::kWarning, "backend", out.label(),
                   "the data plane has it from an earlier process, and no file names it: " + reason_of(*out.removal));
  members_.push_back(std::move(out));
}

void Model::leave_over(const InUse::Service& service) {
  RemovedService out{{service.config, kNoPlacement, service.key}, removal_of_unknown("")};
  journal_->record(Severity::kWarning, "service", out.config.name,
                   "the data plane has it from an earlier process, and no file names it: " + reason_of(out.removal));
  removed_services_.push_back(std::move(out));
}

bool Model::speak_from(const std::vector<LocalAddress>& addresses) {
  std::vector<LocalAddress> ours = local_addresses_;
  for (const LocalAddress& address : addresses) {
    const auto place = std::ranges::lower_bound(ours, address);
    if ((place == ours.end() || *place != address) && ours.size() < channel::kMaxLocals) ours.insert(place, address);
  }
  return ours != local_addresses_ && set_local_addresses(std::move(ours));
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/discovery.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "controlplane/base/kept_state.h"
#include "controlplane/discovery/kept_pools.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr size_t kMostNames = 10;  // in one event

std::string names_of(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kMostNames);
  const std::string more = shown == names.size() ? "" : fmt::format(" and {} more", names.size() - shown);
  return fmt::format("{}{}", fmt::join(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown), ", "), more);
}

std::string in_words(const Belief& belief) {
  std::vector<std::string> parts;
  const auto part = [&](const std::vector<std::string>& names, std::string_view what) {
    if (!names.empty()) parts.push_back(fmt::format("{} {}: {}", names.size(), what, names_of(names)));
  };
  part(belief.joined, "joined");
  part(belief.changed, "changed");
  part(belief.left, "left");
  return fmt::format("{}", fmt::join(parts, "; "));
}

/// What the members of a pool say of themselves; nobody does: a document of nobody.
std::expected<PoolMembers, std::string> members_of(const PoolDocuments& documents, const std::string& pool) {
  const auto found = documents.find(pool);
  return found == documents.end() ? PoolMembers() : found->second;
}

/// Of a source that has no leases.
std::expected<PoolMembers, std::string> all_of(const std::expected<std::string, std::string>& document) {
  if (!document) return std::unexpected(document.error());
  return PoolMembers{.document = *document, .leaving = {}, .fault = ""};
}

/// Whether two backends cannot both be members.
bool collide(const config::Backend& a, const config::Backend& b) {
  return a.name == b.name || (a.address == b.address && a.port == b.port);
}

bool is_known(const DiscoveredPool& pool, const config::Backend& backend) {
  const auto has = [&](const DiscoveredBackends& backends) {
    return std::ranges::any_of(backends, [&](const auto& each) { return collide(each.second.backend, backend); });
  };
  return std::ranges::any_of(pool.in_file, [&](const config::Backend& each) { return collide(each, backend); }) ||
         has(pool.found) || has(pool.by_hand);
}

void append(config::Pool& pool, const DiscoveredBackends& backends) {
  for (const auto& [name, discovered] : backends) {
    const auto is_taken = [&](const config::Backend& each) { return collide(each, discovered.backend); };
    if (std::ranges::none_of(pool.backends, is_taken)) pool.backends.push_back(discovered.backend);
  }
}

}  // namespace

Discovery::Discovery(boost::asio::io_context& io, Journal& journal, const std::string& directory, GoOver go_over)
    : io_(io), journal_(journal), path_(directory + "/backends.json"), go_over_(std::move(go_over)) {}

config::Config complete(config::Config config, const DiscoveredPools& pools) {
  for (config::Pool& pool : config.pools) {
    std::erase_if(pool.backends, [](const config::Backend& each) { return each.origin != config::Origin::kFile; });
    const auto known = pools.find(pool.name);
    if (known == pools.end()) continue;
    append(pool, known->second.by_hand);
    if (pool.discover) append(pool, known->second.found);
  }
  return config;
}

bool adds_backends(const DiscoveredPools& known) {
  return std::ranges::any_of(known, [](const auto& entry) {
    const DiscoveredPool& pool = entry.second;
    return !pool.by_hand.empty() || (pool.discover && !pool.found.empty());
  });
}

void Discovery::start(const std::vector<config::Pool>& pools) {
  restore();
  follow(known_for(pools));
}

DiscoveredPools Discovery::known_for(const std::vector<config::Pool>& pools) const {
  DiscoveredPools out;
  for (const config::Pool& pool : pools) {
    DiscoveredPool& known = out[pool.name];
    if (const auto before = pools_.find(pool.name); before != pools_.end()) known = before->second;
    const bool is_another = std::exchange(known.discover, pool.discover) != pool.discover;
    known.panic_share = pool.panic_share;
    known.in_file.clear();
    for (const config::Backend& backend : pool.backends) {
      if (backend.origin == config::Origin::kFile) known.in_file.push_back(backend);
    }
    if (!known.discover) {
      known.found.clear();
      known.lost.clear();
      known.fault.clear();
      known.read.reset();
    } else if (const std::string file = known.file();
               !file.empty() && (is_another || !known.read || !known.fault.empty())) {
      known.stamp = stamp_of(file);
      const auto belief = belief_of(known, all_of(read_regular_file(file)), journal_.now());
      known.fault = belief ? belief->fault : belief.error();
      if (belief) take(*belief, journal_.now(), known);
    } else if (known.is_registered() && registered_ && (is_another || !known.read)) {
      const auto belief = belief_of(known, members_of(*registered_, pool.name), journal_.now());
      known.fault = belief ? belief->fault : belief.error();
      if (belief) take(*belief, journal_.now(), known);
    }
  }
  return out;
}

void Discovery::follow(DiscoveredPools known) {
  std::swap(pools_, known);
  for (const auto& [name, before] : known) {
    if (!pools_.contains(name) && !before.by_hand.empty())
      journal_.record(Severity::kWarning, "discovery", name,
                      "the pool is gone, and with it what was added to it by hand");
  }
  for (auto& [name, pool] : pools_) {
    const auto before = known.find(name);
    const std::string fault = std::exchange(pool.fault, before == known.end() ? "" : before->second.fault);
    if (fault.empty()) {
      pool.fault.clear();
    } else {
      refuse(name, fault);
    }
    const size_t missing = pool.missing();
    if (missing > (before == known.end() ? 0 : before->second.missing()))
      tell_missing(name, "see sluicectl discovered");
  }
  watch_names();
  save();
}

void Discovery::watch_names() {
  std::erase_if(watches_, [&](const auto& each) {
    const auto pool = pools_.find(each.first);
    return pool == pools_.end() || pool->second.discover != each.second.discover;
  });
  for (const auto& [name, pool] : pools_) {
    if (!pool.discover || pool.discover->dns.empty() || watches_.contains(name)) continue;
    auto told = [this, name](const std::expected<std::string, std::string>& document) { hear(name, all_of(document)); };
    watches_.emplace(name, Watched{*pool.discover, std::make_unique<DnsWatch>(io_, *pool.discover, std::move(told))});
  }
}

void Discovery::tick() {
  for (const Entry& entry : pools_) look(entry);
}

// --- Sources ---

void Discovery::look(const Entry& entry) {
  const auto& [name, pool] = entry;
  const std::string file = pool.file();
  if (file.empty()) return;
  const auto stamp = stamp_of(file);
  if (stamp && stamp == pool.stamp) return;
  pools_[name].stamp = stamp;
  hear(name, all_of(read_regular_file(file)));
}

void Discovery::hear_fleet(const std::expected<PoolDocuments, std::string>& told) {
  if (told) registered_ = *told;
  for (const Entry& entry : pools_) {
    const auto& [name, pool] = entry;
    if (!pool.is_registered()) continue;
    hear(name, told ? members_of(*told, name) : std::unexpected(told.error()));
  }
}

void Discovery::hear(const std::string& name, const std::expected<PoolMembers, std::string>& members) {
  const DiscoveredPool& pool = pools_[name];
  const auto belief = belief_of(pool, members, journal_.now());
  if (!belief) return refuse(name, belief.error());
  DiscoveredPool next = pool;
  take(*belief, journal_.now(), next);
  if (const std::string fault = change(name, std::move(next)); !fault.empty()) return refuse(name, fault);
  if (const std::string words = in_words(*belief); !words.empty())
    journal_.record(Severity::kInfo, "discovery", name, words);
  if (!belief->missing.empty()) tell_missing(name, names_of(belief->missing));
  if (!belief->fault.empty()) refuse(name, belief->fault);
}

void Discovery::tell_missing(const std::string& name, const std::string& which) const {
  const DiscoveredPool& pool = pools_.at(name);
  journal_.record(
      Severity::kError, "discovery", name,
      fmt::format("{} vanished at once from {} and are kept: {}; if they have really left: sluicectl backend "
                  "accept {}",
                  pool.missing(), pool.source(), which, name));
}

void Discovery::refuse(const std::string& name, const std::string& fault) {
  DiscoveredPool& pool = pools_[name];
  if (fault == std::exchange(pool.fault, fault)) return;
  journal_.record(Severity::kError, "discovery", name,
                  fmt::format("refused, the {} backends of before stay: {}", pool.found.size(), fault));
}

// --- By hand ---

Discovery::Done Discovery::add(const std::string& name, const std::string& text) {
  const auto pool = pools_.find(name);
  if (pool == pools_.end()) return std::unexpected("there is no pool \"" + name + "\"");
  auto told = backends_from("backend", fmt::format(R"({{"backends": [{}]}})", text), config::Origin::kByHand);
  if (!told) return std::unexpected(told.error());
  if (told->size() != 1) return std::unexpected("backend: is not one");
  const std::string added = told->begin()->first;
  if (is_known(pool->second, told->begin()->second.backend))
    return std::unexpected(fmt::format("{}/{}: its name or endpoint is there already", name, added));
  DiscoveredPool next = pool->second;
  next.by_hand.merge(*told);
  return change_by_hand(name, std::move(next), "added by hand: " + added);
}

Discovery::Done Discovery::remove(const std::string& name, const std::string& backend) {
  const auto pool = pools_.find(name);
  if (pool == pools_.end() || !pool->second.by_hand.contains(backend))
    return std::unexpected(fmt::format("{}/{} was not added by hand", name, backend));
  DiscoveredPool next = pool->second;
  next.by_hand.erase(backend);
  return change_by_hand(name, std::move(next), "removed by hand: " + backend);
}

Discovery::Done Discovery::accept(const std::string& name) {
  const auto pool = pools_.find(name);
  const size_t missing = pool == pools_.end() ? 0 : pool->second.missing();
  if (missing == 0) return std::unexpected(fmt::format("nothing is missing in pool \"{}\"", name));
  DiscoveredPool next = pool->second;
  std::erase_if(next.found, [](const auto& each) { return each.second.missing; });
  next.lost.clear();
  return change_by_hand(name, std::move(next), fmt::format("accepted by hand that {} have left", missing));
}

Discovery::Done Discovery::change_by_hand(const std::string& name, DiscoveredPool next, std::string words) {
  if (std::string fault = change(name, std::move(next)); !fault.empty()) return std::unexpected(std::move(fault));
  journal_.record(Severity::kInfo, "discovery", name, std::move(words));
  return save();
}

// --- What is known ---

std::string Discovery::change(const std::string& name, DiscoveredPool next) {
  DiscoveredPool& pool = pools_[name];
  std::swap(pool, next);
  const bool is_other = next.found != pool.found || next.by_hand != pool.by_hand;
  std::string fault = is_other ? go_over_(pools_) : "";
  if (fault.empty()) {
    save();
  } else {
    std::swap(pool, next);
  }
  return fault;
}

std::string Discovery::save() {
  json pools = to_json(pools_);
  if (pools == kept_) return "";
  std::string warning = keep_state(journal_, path_, text_of(pools));
  if (warning.empty()) kept_ = std::move(pools);
  return warning;
}

void Discovery::restore() {
  auto kept =
      kept_state(journal_, path_, pools_from, "backends that were discovered or added by hand are not known any more");
  if (kept) pools_ = std::move(*kept);
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/discovered_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "config/choices.h"
#include "config/load.h"
#include "controlplane/discovery/kept_names.h"

namespace sluice::control {

using nlohmann::json;

namespace {

// Three lease times of sluice-register: those of servers that lost their way to etcd together end within one and a bit.
constexpr std::chrono::seconds kLostAtOnce{30};

bool is_named_by_the_dns(const DiscoveredPool& pool) {
  return pool.discover && !pool.discover->dns.empty();
}

/// Those who are known, but for those who leave.
DiscoveredBackends who_stay(DiscoveredBackends known, const std::set<std::string>& leaving) {
  std::erase_if(known, [&](const auto& each) { return leaving.contains(each.first); });
  return known;
}

/// Who was lost so lately that others may belong to the same loss; that is not over while somebody is missing.
std::set<std::string> lost_lately(const DiscoveredPool& pool, SystemTime now) {
  std::set<std::string> out;
  for (const auto& [name, when] : pool.lost) {
    const bool is_lately = when <= now && now - when < kLostAtOnce;  // not of a clock that was set back
    if (is_lately || pool.missing() > 0) out.insert(name);
  }
  return out;
}

}  // namespace

std::string DiscoveredPool::file() const {
  return discover ? discover->file : "";
}

bool DiscoveredPool::is_registered() const {
  return discover && discover->etcd;
}

std::string DiscoveredPool::source() const {
  if (!discover) return "";
  if (!discover->file.empty()) return "file:" + discover->file;
  if (discover->etcd) return "etcd";
  return fmt::format("dns:{} {}", config::name_of(discover->type), discover->dns);
}

size_t DiscoveredPool::missing() const {
  return static_cast<size_t>(std::ranges::count_if(found, [](const auto& each) { return each.second.missing; }));
}

std::expected<DiscoveredBackends, std::string> backends_from(const std::string& path, const std::string& text,
                                                             config::Origin origin) {
  auto backends = config::read_backends(path, text);
  if (!backends) {
    std::vector<std::string>& faults = backends.error();
    const std::string more = faults.size() == 1 ? "" : fmt::format(" (and {} more)", faults.size() - 1);
    return std::unexpected(faults.front() + more);
  }
  const json document = json::parse(text);
  DiscoveredBackends out;
  for (size_t i = 0; i < backends->size(); i++) {
    config::Backend& backend = (*backends)[i];
    backend.origin = origin;
    const std::string name = backend.name;
    Discovered discovered{std::move(backend), document["backends"][i].dump()};
    if (!out.emplace(name, std::move(discovered)).second)
      return std::unexpected(
          fmt::format("{}: backends[{}].name: \"{}\" stands twice; allowed: each name once", path, i, name));
  }
  return out;
}

std::expected<Belief, std::string> belief_of(const DiscoveredPool& pool,
                                             const std::expected<PoolMembers, std::string>& members, SystemTime now) {
  if (!members) return std::unexpected(members.error());
  const std::string file = pool.file();
  auto told = members->fault.empty()
                  ? backends_from(file.empty() ? pool.source() : file, members->document, config::Origin::kDiscovered)
                  : who_stay(pool.found, members->leaving);
  if (told && is_named_by_the_dns(pool)) told = keep_names(pool.found, std::move(*told));
  if (!told) return std::unexpected(std::move(told.error()));
  Belief out = believe(pool.found, std::move(*told),
                       {.others = pool.in_file.size() + pool.by_hand.size(),
                        .panic_share = pool.panic_share,
                        .leaving = members->leaving,
                        .lost = lost_lately(pool, now)});
  out.fault = members->fault;
  return out;
}

void take(const Belief& belief, SystemTime now, DiscoveredPool& pool) {
  const std::set<std::string> lately = lost_lately(pool, now);
  pool.found = belief.backends;
  std::erase_if(pool.lost,
                [&](const auto& each) { return !lately.contains(each.first) || pool.found.contains(each.first); });
  if (pool.is_registered()) {
    for (const std::string& name : belief.lost) pool.lost.emplace(name, now);
  }
  if (!belief.fault.empty()) return;
  pool.read = now;
  pool.fault.clear();
}

}  // namespace sluice::control

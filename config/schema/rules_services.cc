// SPDX-License-Identifier: Apache-2.0
//
// Rules over `pools` and `services`: names, references, endpoints, tables.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "config/bounds.h"
#include "config/choices.h"
#include "config/file/suggest.h"
#include "config/schema/rules.h"

namespace sluice::config {

namespace {

bool is_set(const IpAddress& address) {
  return address != IpAddress{};
}

std::string endpoint(const IpAddress& address, unsigned port) {
  return fmt::format("{} port {}", address.to_string(), port);
}

std::string pool_path(size_t pool) {
  return fmt::format("pools[{}]", pool);
}

std::string backend_path(size_t pool, size_t backend) {
  return fmt::format("pools[{}].backends[{}]", pool, backend);
}

template <class T>
std::vector<std::string> names(const std::vector<T>& things) {
  std::vector<std::string> out;
  for (const T& each : things)
    if (!each.name.empty()) out.push_back(each.name);
  return out;
}

// A name that refers to one of `things`; "" refers to nothing.
template <class T>
void check_reference(const std::string& name, const std::vector<T>& things, std::string_view kind,
                     const std::string& path, Findings& findings) {
  const auto known = names(things);
  if (name.empty() || !findings.sound(path) || std::ranges::find(known, name) != known.end()) return;
  findings.add(path, fmt::format("there is no {} \"{}\"{}; allowed: {}", kind, name, did_you_mean(name, known),
                                 quoted_list(known)));
}

// Names within one list.
template <class T>
void check_names(const std::vector<T>& things, const std::string& list, std::string_view kind, Findings& findings) {
  FirstSeen<std::string> seen;
  for (size_t i = 0; i < things.size(); i++) {
    const std::string path = fmt::format("{}[{}].name", list, i);
    if (things[i].name.empty()) continue;
    if (const auto first = seen.put(things[i].name, path))
      findings.add(path, fmt::format("\"{}\" is the name of another {}, on {}; allowed: a name of its own",
                                     things[i].name, kind, findings.where(*first, path)));
  }
}

void check_members(const Pool& pool, size_t index, Findings& findings) {
  FirstSeen<std::pair<IpAddress, std::optional<uint16_t>>> seen;
  for (size_t i = 0; i < pool.backends.size(); i++) {
    const Backend& backend = pool.backends[i];
    const std::string path = backend_path(index, i) + ".address";
    if (!is_set(backend.address) || !findings.sound(backend_path(index, i) + ".port")) continue;
    if (const auto first = seen.put({backend.address, backend.port}, path))
      findings.add(path, fmt::format("{} is in this pool already, on {}; allowed: each endpoint once",
                                     backend.address.to_string(), findings.where(*first, path)));
  }
}

void check_discover(const Config& config, const Discover& discover, const std::string& path, Findings& findings) {
  if (!findings.sound(path + ".file") || !findings.sound(path + ".dns") || !findings.sound(path + ".etcd")) return;
  const int sources = (discover.file.empty() ? 0 : 1) + (discover.dns.empty() ? 0 : 1) + (discover.etcd ? 1 : 0);
  if (sources != 1)
    findings.add(path, fmt::format("names {}; allowed: one of `file`, `dns` and `etcd`",
                                   sources == 0 ? "no source" : "more than one source"));
  if (discover.etcd && !config.fleet.etcd)
    findings.add(path + ".etcd", "true, and there is none; allowed: with `fleet.etcd`");
}

// --- One service against its pool ---

struct ServiceView {
  const Service& service;
  const Pool& pool;
  size_t pool_index;
  std::string path;  // of the service
};

/// Whether packets reach the backend as the client sent them, and its answers do not pass us.
bool is_one_way(Forwarding forwarding) {
  return forwarding != Forwarding::kNat && forwarding != Forwarding::kFullnat;
}

void check_one_way(const ServiceView& view, Findings& findings) {
  if (!is_one_way(view.service.forwarding)) return;
  const std::string_view mode = name_of(view.service.forwarding);
  if (view.service.proxy != Proxy::kNone)
    findings.add(view.path + ".proxy",
                 fmt::format("no header can be put into a connection of which one half is seen (forwarding = \"{}\"); "
                             "allowed: \"none\", the backend sees the client's own address",
                             mode));
  if (view.service.syn_proxy == SynProxy::kAlways)
    findings.add(
        view.path + ".syn_proxy",
        fmt::format("\"always\" needs both halves of a connection to go through us (forwarding = \"{}\" sees one); "
                    "allowed: \"off\"",
                    mode));
  for (size_t i = 0; i < view.pool.backends.size(); i++) {
    const Backend& backend = view.pool.backends[i];
    const std::string path = backend_path(view.pool_index, i) + ".port";
    if (!backend.port || *backend.port == view.service.port || !findings.sound(view.path + ".port")) continue;
    if (findings.sound(path))
      findings.add(path,
                   fmt::format("{} is not port {} of service \"{}\", whose forwarding = \"{}\" leaves the port as "
                               "it is; allowed: {}, or none",
                               *backend.port, view.service.port, view.service.name, mode, view.service.port));
  }
}

void check_family(const ServiceView& view, Findings& findings) {
  if (!is_set(view.service.vip) || is_one_way(view.service.forwarding)) return;
  for (const Backend& backend : view.pool.backends) {
    if (!is_set(backend.address) || backend.address.is_v4() == view.service.vip.is_v4()) continue;
    const auto family = [](const IpAddress& address) { return address.is_v4() ? "IPv4" : "IPv6"; };
    return findings.add(
        view.path + ".vip",
        fmt::format("{} is {}, but backend \"{}\" of pool \"{}\" is {} ({}); allowed with forwarding = "
                    "\"{}\": one family",
                    view.service.vip.to_string(), family(view.service.vip), backend.name, view.pool.name,
                    backend.address.to_string(), family(backend.address), name_of(view.service.forwarding)));
  }
}

void check_table(const ServiceView& view, Findings& findings) {
  const std::string path = view.path + ".table_size";
  const uint32_t size = view.service.table_size;
  if (!findings.sound(path)) return;
  if (const uint32_t prime = next_prime(size); prime != size)
    findings.add(path, fmt::format("{} is not a prime; allowed: a prime from {} to {}, the next is {}", size,
                                   kMinTableSize, kMaxTableSize, prime));
  const auto backends = static_cast<uint32_t>(view.pool.backends.size());
  if (size < backends)
    findings.add(path, fmt::format("{} is less than the {} backends of pool \"{}\"; allowed: a prime of at least {}",
                                   size, backends, view.pool.name, next_prime(backends)));
}

void check_mss(const ServiceView& view, Findings& findings) {
  const uint16_t mss = view.service.mss;
  if (mss == 0 || mss >= kMinMss) return;
  findings.add(view.path + ".mss", fmt::format("{} is less than every host takes; allowed: 0 (as announced), or {} to "
                                               "{} bytes",
                                               mss, kMinMss, kMaxMss));
}

void check_no_backend(const ServiceView& view, Findings& findings) {
  if (view.service.on_no_backend != OnNoBackend::k421 || view.service.port != kImplicitTlsPort) return;
  if (!findings.sound(view.path + ".on_no_backend")) return;
  findings.add(view.path + ".on_no_backend",
               "\"421\" is plain text, and on port 465 clients wait for TLS; allowed: \"reset\", \"silence\"");
}

// Two members of a pool, one with a port of its own, may meet at the port of a service.
void check_meeting(const ServiceView& view, Findings& findings) {
  if (!findings.sound(view.path + ".port")) return;
  FirstSeen<std::pair<IpAddress, uint16_t>> seen;
  for (size_t i = 0; i < view.pool.backends.size(); i++) {
    const Backend& backend = view.pool.backends[i];
    const std::string path = backend_path(view.pool_index, i) + ".address";
    const uint16_t port = backend.port.value_or(view.service.port);
    if (!is_set(backend.address) || !findings.sound(backend_path(view.pool_index, i) + ".port")) continue;
    const auto first = seen.put({backend.address, port}, path);
    if (first && findings.sound(path))
      findings.add(path, fmt::format("{} is the endpoint of another backend, on {}, for service \"{}\"; allowed: each "
                                     "endpoint once",
                                     endpoint(backend.address, port), findings.where(*first, path), view.service.name));
  }
}

// --- All services together ---

void check_endpoints(const Config& config, Findings& findings) {
  FirstSeen<std::pair<IpAddress, uint16_t>> seen;
  for (size_t i = 0; i < config.services.size(); i++) {
    const Service& service = config.services[i];
    const std::string path = fmt::format("services[{}]", i);
    if (!is_set(service.vip) || !findings.sound(path + ".port")) continue;
    if (const auto first = seen.put({service.vip, service.port}, path))
      findings.add(path, fmt::format("{} is that of another service, on {}; allowed: one service per vip and port",
                                     endpoint(service.vip, service.port), findings.where(*first, path)));
  }
}

// The kernel owns a VIP on the twin, so no backend can be reached at it, whatever the port.
void check_vips(const Config& config, Findings& findings) {
  std::map<IpAddress, std::string> vips;
  for (size_t i = 0; i < config.services.size(); i++)
    if (is_set(config.services[i].vip)) vips.try_emplace(config.services[i].vip, fmt::format("services[{}].vip", i));
  for (size_t p = 0; p < config.pools.size(); p++) {
    for (size_t b = 0; b < config.pools[p].backends.size(); b++) {
      const IpAddress& address = config.pools[p].backends[b].address;
      const auto vip = vips.find(address);
      if (vip == vips.end()) continue;
      const std::string path = backend_path(p, b) + ".address";
      findings.add(path, fmt::format("{} is the VIP of a service, on {}; allowed: an address of the mail server itself",
                                     address.to_string(), findings.where(vip->second, path)));
    }
  }
}

// What the channel calls a backend is a member of a pool at a port under a check.
void check_backend_count(const Config& config, Findings& findings) {
  std::set<std::tuple<std::string, uint16_t, std::string>> kinds;
  std::set<std::tuple<std::string, std::string, uint16_t, std::string>> with_port;  // the same to every service
  size_t backends = 0;
  for (const Service& service : config.services_and_routes()) {
    const Pool* pool = config.find_pool(service.pool);
    if (pool == nullptr) continue;
    const std::string check = service.check.empty() ? pool->check : service.check;
    if (!kinds.emplace(pool->name, service.port, check).second) continue;
    for (const Backend& backend : pool->backends) {
      const uint16_t port = backend.port.value_or(0);
      // One with a port of its own is the same to several services; the others differ by the service's.
      backends += !backend.port || with_port.emplace(pool->name, backend.name, port, check).second ? 1 : 0;
    }
  }
  if (backends > kMaxBackends)
    findings.add("services", fmt::format("{} backends, counted once for each port and check; allowed: at most {}",
                                         backends, kMaxBackends));
}

void check_idle_timeout(const Config& config, const Service& service, const std::string& path, Findings& findings) {
  const uint32_t timeout = service.idle_timeout.value_or(kMinEstablishedSeconds);
  if (timeout >= kMinEstablishedSeconds || config.dataplane.timers.force || !findings.sound(path)) return;
  findings.add(path, fmt::format("{} cuts sessions that are well, which may be silent for 10 minutes (RFC 5321 section "
                                 "4.5.3.2); allowed: {} s and more, or less with dataplane.timers.force = true",
                                 timeout, kMinEstablishedSeconds));
}

// What the clients of a route find has to hold together as well as what others do.
void check_pools_of_routes(const Config& config, Findings& findings) {
  for (size_t i = 0; i < config.sources.routes.size(); i++) {
    const Route& route = config.sources.routes[i];
    const std::string path = fmt::format("sources.routes[{}]", i);
    check_reference(route.pool, config.pools, "pool", path + ".pool", findings);
    const Pool* pool = config.find_pool(route.pool);
    const auto service = std::ranges::find(config.services, route.service, &Service::name);
    if (pool == nullptr || service == config.services.end()) continue;
    const ServiceView view{*service, *pool, static_cast<size_t>(pool - config.pools.data()),
                           fmt::format("services[{}]", service - config.services.begin())};
    check_family(view, findings);
    check_one_way(view, findings);
    check_table(view, findings);
    check_meeting(view, findings);
  }
}

}  // namespace

void check_pools(const Config& config, Findings& findings) {
  if (config.pools.empty() && findings.sound("pools"))
    findings.add("pools", "no pool is defined; allowed: at least one");
  check_names(config.pools, "pools", "pool", findings);
  for (size_t i = 0; i < config.pools.size(); i++) {
    const Pool& pool = config.pools[i];
    const std::string list = pool_path(i) + ".backends";
    check_reference(pool.check, config.checks, "check", pool_path(i) + ".check", findings);
    check_names(pool.backends, list, "backend of this pool", findings);
    check_members(pool, i, findings);
    if (!findings.sound(list)) continue;
    if (pool.discover) {  // who knows how many there will be
      check_discover(config, *pool.discover, pool_path(i) + ".discover", findings);
      continue;
    }
    if (pool.backends.empty()) findings.add(list, "the pool has no backend; allowed: at least one, or `discover`");
    if (!pool.backends.empty() && pool.min_healthy > pool.backends.size())
      findings.add(pool_path(i) + ".min_healthy", fmt::format("{} is more than the pool has backends; allowed: 0 to {}",
                                                              pool.min_healthy, pool.backends.size()));
  }
}

void check_services(const Config& config, Findings& findings) {
  if (config.services.empty() && findings.sound("services"))
    findings.add("services", "no service is defined; allowed: at least one");
  check_names(config.services, "services", "service", findings);
  for (size_t i = 0; i < config.services.size(); i++) {
    const Service& service = config.services[i];
    const std::string path = fmt::format("services[{}]", i);
    check_reference(service.pool, config.pools, "pool", path + ".pool", findings);
    check_reference(service.check, config.checks, "check", path + ".check", findings);
    const Pool* pool = config.find_pool(service.pool);
    if (pool == nullptr) continue;
    const ServiceView view{service, *pool, static_cast<size_t>(pool - config.pools.data()), path};
    check_family(view, findings);
    check_one_way(view, findings);
    check_table(view, findings);
    check_mss(view, findings);
    check_no_backend(view, findings);
    check_meeting(view, findings);
    check_idle_timeout(config, service, path + ".idle_timeout", findings);
  }
  check_pools_of_routes(config, findings);
  check_endpoints(config, findings);
  check_vips(config, findings);
  check_backend_count(config, findings);
}

}  // namespace sluice::config

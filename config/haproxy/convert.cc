// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "config/haproxy/warnings.h"
#include "config/imports/names.h"
#include "config/schema/text_rules.h"

namespace sluice::config::haproxy {

using imports::check_name;
using imports::DraftBackend;
using imports::DraftPool;
using imports::DraftService;
using imports::Names;

namespace {

constexpr Milliseconds kEstablished{7'440'000};  // our default, RFC 5382 REQ-5
constexpr Milliseconds kLongestTimer{604'800'000};
constexpr uint32_t kLastTier = 7;
constexpr size_t kMostServices = 1024;  // with more, our loader refuses the result
constexpr size_t kMostNamed = 1 << 16;  // ranges make many of few bytes
constexpr const char* kExampleV4 = "192.0.2.25";
constexpr const char* kExampleV6 = "2001:db8::25";

std::optional<Milliseconds> within(const std::optional<Milliseconds>& value, Milliseconds least, Milliseconds most) {
  if (!value) return std::nullopt;
  return std::clamp(*value, least, most);
}

bool knows_tls(CheckType type) {
  return type == CheckType::kSmtps;
}

bool may_take_traffic(const Server& server) {
  return !server.settings.disabled && server.settings.weight != 0U;
}

/// The port that the first server gets a service's connections at.
uint16_t server_port(const Balanced& backend, uint16_t service_port) {
  return backend.servers.front().at.port.value_or(service_port);
}

class Converter {
 public:
  Converter(const std::vector<Balanced>& proxies, const Vips& vips, Remarks& remarks)
      : proxies_(proxies), vips_(vips), remarks_(remarks) {
    for (const Balanced& proxy : proxies)
      if (proxy.has_servers) backends_.emplace(proxy.name, &proxy);
    for (const Balanced& proxy : proxies)
      for (const Bind& bind : proxy.binds)
        for (uint32_t port = bind.at.port; port <= bind.at.last_port && named_.size() < kMostNamed; port++)
          if (!bind.at.implied) named_.emplace(vip_of(bind), port, bind.at.address.has_value());
  }

  Draft run() {
    for (const Balanced& proxy : proxies_)
      if (!proxy.binds.empty()) convert_frontend(proxy);
    for (const Balanced& proxy : proxies_)
      if (proxy.has_servers && !used_.contains(&proxy))
        remarks_.leave_out(proxy.line,
                           fmt::format("backend {}: no frontend leads to it by default_backend", proxy.name));
    drop_ports_of_services();
    return std::move(draft_);
  }

 private:
  // --- Frontends ---

  void convert_frontend(const Balanced& proxy) {
    const Balanced* backend = backend_of(proxy);
    if (backend == nullptr) return;
    for (Bind bind : proxy.binds)
      for (uint32_t port = bind.at.port; port <= bind.at.last_port && draft_.services.size() <= kMostServices; port++) {
        bind.at.port = static_cast<uint16_t>(port);
        convert_bind(proxy, *backend, bind);
      }
  }

  const Balanced* backend_of(const Balanced& proxy) {
    if (!proxy.servers.empty() && proxy.default_backend.empty()) return &proxy;
    const auto found = backends_.find(proxy.default_backend);
    if (proxy.default_backend.empty()) {
      remarks_.leave_out(proxy.line, fmt::format("{}: it has neither servers nor a default_backend", proxy.name));
    } else if (found == backends_.end()) {
      remarks_.leave_out(proxy.default_backend_line,
                         fmt::format("default_backend {}: there is none in TCP mode", proxy.default_backend));
    } else if (found->second->servers.empty()) {
      used_.insert(found->second);
      remarks_.leave_out(proxy.default_backend_line,
                         fmt::format("backend {}: it has no server that can be converted", proxy.default_backend));
    } else {
      return found->second;
    }
    return nullptr;
  }

  /// Whether another bind names the address and port of `bind` more closely: that one gets the connections.
  bool outdone(const Bind& bind, const std::string& vip) const {
    if (bind.at.address) return false;
    return named_.contains({vip, bind.at.port, true}) ||
           (bind.at.implied && named_.contains({vip, bind.at.port, false}));
  }

  void convert_bind(const Balanced& proxy, const Balanced& backend, const Bind& bind) {
    used_.insert(&backend);
    DraftService service{.vip = vip_of(bind),
                         .port = bind.at.port,
                         .scheduler = backend.scheduler,
                         .mss = bind.mss,
                         .vip_made_up = made_up(bind)};
    if (outdone(bind, service.vip)) {
      if (!bind.at.implied) leave_out(bind, "another bind names that address, and comes first");
      return;
    }
    if (!endpoints_.emplace(service.vip, service.port).second) return leave_out(bind, "it has a service already");
    const DraftPool* pool = pool_of(backend, bind.at.v6);
    if (pool == nullptr)
      return leave_out(bind, fmt::format("no server of {} has an IPv{} address, and `nat` keeps the family",
                                         backend.name, bind.at.v6 ? 6 : 4));
    const bool one = proxy.binds.size() == 1 && proxy.binds.front().at.port == proxy.binds.front().at.last_port;
    service.name = service_names_.take(one ? proxy.name : fmt::format("{}-{}", proxy.name, service.port));
    service.pool = pool->name;
    service.check = check_of_service(backend, *pool, service.port);
    const ServerSettings& first = backend.servers.front().settings;
    service.proxy = first.proxy();
    service.keep_when_down = !first.reset_when_down;
    if (service.vip_made_up)
      remarks_.to_do(bind.line, fmt::format("vip of service {}: HAProxy listened on every address; {} is an example",
                                            service.name, service.vip));
    warn_of_service(proxy, backend, bind, remarks_);
    if (told_of_.emplace(&backend, bind.at.v6, bind.tls || bind.at.port == kSubmissions).second)
      warn_of_servers(backend, bind, remarks_);
    keep_long_timeouts(proxy, backend);
    draft_.services.push_back(std::move(service));
  }

  /// Says so once of a range of ports, which may be long: of the first.
  void leave_out(const Bind& bind, const std::string& why) {
    const std::tuple range(bind.line, bind.at.last_port, bind.at.v6);
    if (std::exchange(left_out_, range) == range) return;
    remarks_.leave_out(bind.line, fmt::format("{} port {}: {}", vip_of(bind), bind.at.port, why));
  }

  bool made_up(const Bind& bind) const { return !bind.at.address && !(bind.at.v6 ? vips_.v6 : vips_.v4); }

  std::string vip_of(const Bind& bind) const {
    if (bind.at.address) return bind.at.address->to_string();
    const auto& given = bind.at.v6 ? vips_.v6 : vips_.v4;
    return given ? given->to_string() : bind.at.v6 ? kExampleV6 : kExampleV4;
  }

  void keep_long_timeouts(const Balanced& proxy, const Balanced& backend) {
    const auto client = proxy.timeouts.find("client"), server = backend.timeouts.find("server");
    if (client == proxy.timeouts.end() || server == backend.timeouts.end()) return;
    const Milliseconds shorter = std::min(client->second.value, server->second.value);
    if (shorter > std::max(kEstablished, draft_.established.value_or(kEstablished)))
      draft_.established = std::min(shorter, kLongestTimer);
  }

  // --- Pools ---

  const DraftPool* pool_of(const Balanced& backend, bool v6) {
    if (const auto known = pools_.find({&backend, v6}); known != pools_.end()) {
      const std::optional<size_t>& index = known->second;
      return index ? &draft_.pools[*index] : nullptr;
    }
    const auto in_family = [v6](const Server& server) { return server.at.address.is_v4() != v6; };
    const auto members = std::ranges::count_if(backend.servers, in_family);
    if (members == 0) return pools_[{&backend, v6}] = std::nullopt, nullptr;
    const bool both = members != std::ssize(backend.servers);
    DraftPool pool{.name = pool_names_.take(backend.name + (both && v6 ? "6" : "")), .check = check_of(backend)};
    Names names;
    uint32_t spares = 0;
    std::map<std::pair<std::string, uint16_t>, const Server*> endpoints;
    for (const Server& server : backend.servers) {
      if (!in_family(server)) continue;
      const auto [known, fresh] =
          endpoints.emplace(std::pair(server.at.address.to_string(), server.at.port.value_or(0)), &server);
      if (!fresh) {
        remarks_.warn(server.line, fmt::format("server {}: server {} has its address and port already, and gets one "
                                               "share of connections, not two: raise its weight",
                                               server.name, known->second->name));
        continue;
      }
      pool.backends.push_back(backend_of_server(backend, server, names, pool));
      if (server.settings.backup) pool.backends.back().tier = tier_of_spare(backend, server, spares);
    }
    pools_[{&backend, v6}] = draft_.pools.size();
    draft_.pools.push_back(std::move(pool));
    return &draft_.pools.back();
  }

  /// HAProxy uses the first of the backups that it can, or all of them with `option allbackups`. `spares`: those
  /// before.
  uint32_t tier_of_spare(const Balanced& backend, const Server& server, uint32_t& spares) {
    if (backend.all_backups) return 1;
    if (may_take_traffic(server)) spares++;
    if (spares > kLastTier)
      remarks_.warn(server.line, fmt::format("backup: there are {} tiers for backups, so that this one shares the last "
                                             "of them with others; HAProxy used one after the other",
                                             kLastTier));
    return std::clamp(spares, 1U, kLastTier);
  }

  DraftBackend backend_of_server(const Balanced& backend, const Server& server, Names& names, DraftPool& pool) {
    const ServerSettings& settings = server.settings;
    DraftBackend out{.name = names.take(server.name),
                     .address = server.at.address.to_string(),
                     .port = server.at.port,
                     .weight = settings.weight,
                     .max_connections = settings.max_connections};
    const bool weighted =
        std::ranges::any_of(backend.servers, [](const Server& each) { return each.settings.weight.has_value(); });
    if (weighted && !out.weight) out.weight = 1;  // HAProxy's default
    if (settings.disabled) out.weight = 0;
    take_slow_start(server, pool);
    out.agent = agent_of(server, pool);
    warn_of_difference(server, backend.servers.front(), remarks_);
    return out;
  }

  /// Ours belongs to the pool: the longest of its servers'.
  void take_slow_start(const Server& server, DraftPool& pool) {
    const auto own = within(server.settings.slow_start, Milliseconds{1000}, Milliseconds{3'600'000});
    if (!own) return;
    if (pool.slow_start && pool.slow_start != own)
      remarks_.leave_out(server.line, "its own slowstart: the longest is that of the whole pool");
    pool.slow_start = std::max(pool.slow_start.value_or(*own), *own);
  }

  /// "ADDRESS:PORT" of a server's agent, "" if it has none.
  std::string agent_of(const Server& server, DraftPool& pool) {
    const ServerSettings& settings = server.settings;
    if (!settings.agent) return "";
    if (!settings.agent_port) {
      remarks_.leave_out(server.line, "agent-check without agent-port");
      return "";
    }
    if (const auto interval = within(settings.agent_interval, Milliseconds{100}, Milliseconds{3'600'000}))
      pool.agent_interval = interval;
    const IpAddress address = IpAddress::parse(settings.agent_address).value_or(server.at.address);
    return address.is_v4() ? fmt::format("{}:{}", address.to_string(), *settings.agent_port)
                           : fmt::format("[{}]:{}", address.to_string(), *settings.agent_port);
  }

  /// A port that is that of every service of its pool need not be written.
  void drop_ports_of_services() {
    std::map<std::string, std::set<uint16_t>> ports;
    for (const DraftService& service : draft_.services) ports[service.pool].insert(service.port);
    for (DraftPool& pool : draft_.pools)
      for (DraftBackend& backend : pool.backends)
        if (ports[pool.name].size() == 1 && backend.port == *ports[pool.name].begin()) backend.port.reset();
  }

  // --- Checks ---

  /// The check of a backend's servers, made when it is first asked for; "" if they have none.
  std::string check_of(const Balanced& backend) {
    if (const auto known = checks_.find(&backend); known != checks_.end()) return known->second;
    const auto checked =
        std::ranges::find_if(backend.servers, [](const Server& server) { return server.settings.check; });
    std::string name;
    if (checked == backend.servers.end()) {
      remarks_.warn(backend.line,
                    fmt::format("no server of {} is checked: one that has died keeps getting its share", backend.name));
    } else {
      DraftCheck check = check_draft(backend, *checked);
      warn_of_check(backend, *checked, check, remarks_);
      name = check.name;
      draft_.checks.push_back(std::move(check));
    }
    return checks_[&backend] = name;
  }

  DraftCheck check_draft(const Balanced& backend, const Server& checked) {
    const ServerSettings& settings = checked.settings;
    const CheckPlan& plan = backend.check;
    DraftCheck out{.name = check_names_.take(check_name(Names().take(backend.name))),
                   .type = plan.type,
                   .helo = plan.helo,
                   .expect = plan.expect,
                   .reject = plan.reject,
                   .rise = settings.rise,
                   .fall = settings.fall,
                   .soft_is_down = plan.type != CheckType::kSmtps};
    if (settings.check_tls && !knows_tls(out.type)) out.type = CheckType::kSmtps;
    out.port = plan.port ? plan.port : settings.check_port;
    if (sends_header(plan, settings)) out.proxy = settings.proxy_v2 ? Proxy::kV2 : Proxy::kV1;
    out.interval = within(settings.interval, Milliseconds{100}, Milliseconds{3'600'000});
    out.fast_interval = within(settings.fast_interval, Milliseconds{100}, out.interval.value_or(Milliseconds{5000}));
    out.connect_timeout = within(timeout_of(backend, "connect"), Milliseconds{10}, Milliseconds{300'000});
    out.reply_timeout = within(timeout_of(backend, "check"), Milliseconds{10}, Milliseconds{600'000});
    if (!out.helo.empty() && !host_rule().wrong(out.helo).empty()) {
      remarks_.leave_out(backend.line,
                         fmt::format("the check's name \"{}\" {}", out.helo, host_rule().wrong(out.helo)));
      out.helo.clear();
    }
    return out;
  }

  /// Whether the check's connection begins with a PROXY header: as the traffic's does unless it goes to a port of its
  /// own.
  static bool sends_header(const CheckPlan& plan, const ServerSettings& settings) {
    const bool as_traffic = settings.check_proxy || (settings.proxy() != Proxy::kNone && !settings.check_port);
    return plan.proxy || (as_traffic && (!plan.connects || plan.connects_as_traffic));
  }

  static std::optional<Milliseconds> timeout_of(const Balanced& proxy, const std::string& which) {
    const auto found = proxy.timeouts.find(which);
    if (found == proxy.timeouts.end() || found->second.value.count() == 0) return std::nullopt;
    return found->second.value;
  }

  /// A service's own check, where the pool's cannot be right; else "".
  std::string check_of_service(const Balanced& backend, const DraftPool& pool, uint16_t port) {
    const auto check = std::ranges::find(draft_.checks, pool.check, &DraftCheck::name);
    if (check == draft_.checks.end() || check->type == CheckType::kTcp || check->port) return "";
    const bool implicit = server_port(backend, port) == kSubmissions;
    if (implicit == knows_tls(check->type)) return "";
    if (!implicit) return "";  // TLS asked for on a port of its own choice: the file's word stands
    std::string& name = tls_checks_[pool.check];
    if (name.empty()) {
      name = check_names_.take(pool.check + "-tls");
      DraftCheck tls = *check;
      tls.name = name;
      tls.type = CheckType::kSmtps;
      draft_.checks.push_back(std::move(tls));
      remarks_.warn(
          backend.line,
          fmt::format("the check looked for a greeting on 465, where TLS comes first; check {} does it right", name));
    }
    return name;
  }

  const std::vector<Balanced>& proxies_;
  const Vips& vips_;
  Remarks& remarks_;
  Draft draft_;
  std::map<std::string, const Balanced*> backends_;
  std::map<std::pair<const Balanced*, bool>, std::optional<size_t>> pools_;  // place in draft_.pools
  std::map<const Balanced*, std::string> checks_;
  std::map<std::string, std::string> tls_checks_;  // by the check that they replace on 465
  std::set<const Balanced*> used_;
  std::tuple<unsigned, uint16_t, bool> left_out_;  // the last range of ports of which that was said
  std::set<std::pair<std::string, uint16_t>> endpoints_;
  std::set<std::tuple<const Balanced*, bool, bool>> told_of_;  // backends, by what their services have in common
  std::set<std::tuple<std::string, uint16_t, bool>> named_;    // VIPs and ports of binds, and whether by their address
  Names service_names_, pool_names_, check_names_;
};

}  // namespace

Draft convert(const std::vector<Balanced>& proxies, const Vips& vips, Remarks& remarks) {
  return Converter(proxies, vips, remarks).run();
}

}  // namespace sluice::config::haproxy

// SPDX-License-Identifier: Apache-2.0
#include "config/schema/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "config/bounds.h"

namespace sluice::config {

void fill_in(Config& config, const Findings& findings) {
  for (Port& port : config.dataplane.ports)
    if (port.twin.empty() && !port.name.empty()) port.twin = "sl-" + port.name;
  for (Check& check : config.checks)
    if (!findings.given(fmt::format("checks.{}.fast_interval", check.name)))
      check.fast_interval = std::min(check.fast_interval, check.interval);
  for (Check& check : config.checks)
    if (check.verify && !findings.given(fmt::format("checks.{}.certificate_action", check.name)))
      check.certificate_action = CertificateAction::kDown;
  for (Check& check : config.checks) {
    const size_t first_label = check.server_name.find('.');
    if ((check.mta_sts || check.tlsa) && check.mail_domain.empty() && first_label != std::string::npos)
      check.mail_domain = check.server_name.substr(first_label + 1);
  }
  for (size_t i = 0; i < config.services.size(); i++) {
    Service& service = config.services[i];
    const bool given = findings.given(fmt::format("services[{}].on_no_backend", i));
    if (!given && config.clients_speak_first(service)) service.on_no_backend = OnNoBackend::kReset;
    const bool sees_both_ways = service.forwarding == Forwarding::kNat || service.forwarding == Forwarding::kFullnat;
    if (!sees_both_ways && service.syn_proxy == SynProxy::kAuto) service.syn_proxy = SynProxy::kOff;
  }
  for (Limit& limit : config.sources.limits)
    if (limit.burst == 0) limit.burst = 2 * limit.per_second;
  if (config.control.state.empty()) config.control.state = config.state_directory();
  if (config.control.api.empty()) config.control.api = config.runtime_directory() + "/control.sock";
}

namespace {

/// Whether only this host can reach "ADDRESS:PORT".
bool is_loopback(const std::string& listen) {
  return listen.starts_with("127.") || listen.starts_with("[::1]:");
}

}  // namespace

void check_control(const Config& config, Findings& findings) {
  const std::string& http = config.control.http;
  const Control& control = config.control;
  const bool others_may_read = !control.token_file.empty() || !control.read_token_file.empty() ||
                               (control.tls && !control.tls->client_ca_file.empty());
  if (findings.sound("control.http") && !http.empty() && !is_loopback(http) && !others_may_read)
    findings.add("control.http",
                 fmt::format("{} can be reached by others; allowed: an address of this host alone, such as "
                             "\"127.0.0.1:9125\", or any address beside a `token_file`, a `read_token_file` or a "
                             "`tls.client_ca_file`",
                             http));
  if (control.tls) {
    for (const auto& [name, value] :
         {std::pair("cert_file", &control.tls->cert_file), {"key_file", &control.tls->key_file}}) {
      const std::string path = std::string("control.tls.") + name;
      if (value->empty() && findings.given(path) && findings.sound(path))
        findings.add(path, "names no file; allowed: an absolute path");
    }
  }
  if (!control.token_file.empty() && control.token_file == control.read_token_file)
    findings.add("control.read_token_file", "is `token_file` too; allowed: another file, with another token");
  const std::string path = "instance";
  if (config.channel_socket().size() > kMaxSocketPathBytes)
    findings.add(path, fmt::format("makes {} longer than the path of a Unix socket can be; allowed: {} bytes in all, "
                                   "with a shorter instance or SLUICE_RUNTIME_DIR",
                                   config.channel_socket(), kMaxSocketPathBytes));
  if (config.control.api == config.channel_socket())
    findings.add("control.api",
                 fmt::format("{} is the socket of the data plane; allowed: any other path", config.control.api));
}

namespace {

/// What is looked up in the DNS takes a name.
void check_mail_security(const Check& check, const std::string& path, Findings& findings) {
  if (!findings.sound(path + ".server_name")) return;
  for (const auto& [name, wanted] : {std::pair("tlsa", check.tlsa), {"mta_sts", check.mta_sts}}) {
    if (!wanted) continue;
    const std::string at = path + "." + name;
    if (check.server_name.empty())
      findings.add(at, "true, and there is no name to look up; allowed: with the servers' name as `server_name`");
    else if (IpAddress::parse(check.server_name))
      findings.add(at, fmt::format("true, and `server_name` is the address {}; allowed: with a name, which the DNS "
                                   "can be asked for",
                                   check.server_name));
  }
  if (check.mta_sts && check.mail_domain.empty() && !check.server_name.empty() && findings.sound(path + ".mail_domain"))
    findings.add(path + ".mta_sts",
                 fmt::format("true, and {} is of no domain; allowed: with `mail_domain`", check.server_name));
}

}  // namespace

void check_checks(const Config& config, Findings& findings) {
  for (const Check& check : config.checks) {
    const std::string path = "checks." + check.name;
    check_mail_security(check, path, findings);
    if (check.verify && check.server_name.empty() && findings.sound(path + ".server_name"))
      findings.add(path + ".verify",
                   "true, and there is no name to hold the certificate against: anybody's would do; allowed: with the "
                   "servers' name, or address, as `server_name`");
    if (!findings.sound(path + ".interval") || check.fast_interval <= check.interval) continue;
    findings.add(path + ".fast_interval", fmt::format("{:g} is longer than the interval; allowed: at most {:g}",
                                                      static_cast<double>(check.fast_interval.count()) / 1000,
                                                      static_cast<double>(check.interval.count()) / 1000));
  }
}

void check_announce(const Config& config, Findings& findings) {
  constexpr uint32_t kFirstOfKernel = 253, kLastOfKernel = 255;  // default, main, local
  const Announce& announce = config.announce;
  const std::string path = "announce.table";
  if (announce.table >= kFirstOfKernel && announce.table <= kLastOfKernel && findings.sound(path))
    findings.add(path, fmt::format("{} is a table of the kernel's; allowed: one of our own, neither 253, 254 nor 255",
                                   announce.table));
  const std::string draining = "announce.draining_metric";
  if (announce.draining_metric <= announce.metric && findings.sound(draining) && findings.sound("announce.metric"))
    findings.add(draining,
                 fmt::format("{} is not above the metric, {}: the least is preferred; allowed: {}",
                             announce.draining_metric, announce.metric,
                             announce.metric == UINT32_MAX ? "any, with a lower metric"
                                                           : fmt::format("{} and more", announce.metric + 1)));
}

namespace {

void check_etcd(const Etcd& etcd, Findings& findings) {
  const std::string path = "fleet.etcd";
  if (etcd.endpoints.empty() && findings.sound(path + ".endpoints"))
    findings.add(path, "has no `endpoints`; allowed: where at least one of its members is");
  if (!findings.sound(path + ".cert_file") || !findings.sound(path + ".key_file")) return;
  if (etcd.cert_file.empty() != etcd.key_file.empty())
    findings.add(path, fmt::format("has `{}` alone; allowed: `cert_file` and `key_file`, or neither",
                                   etcd.cert_file.empty() ? "key_file" : "cert_file"));
}

void check_peer_addresses(const Config& config, Findings& findings) {
  std::set<IpAddress> seen;
  for (const IpAddress& address : config.fleet.peers.addresses) {
    const auto add = [&](std::string_view what) {
      findings.add("fleet.peers.addresses", fmt::format("{} {}", address.to_string(), what));
    };
    if (!seen.insert(address).second) add("stands twice; allowed: each address once");
    if (std::ranges::any_of(config.services, [&](const Service& service) { return service.vip == address; }))
      add("is a VIP; allowed: what the other nodes have on their networks with mail servers");
  }
}

}  // namespace

void check_fleet(const Config& config, Findings& findings) {
  if (config.fleet.etcd) check_etcd(*config.fleet.etcd, findings);
  const Peers& peers = config.fleet.peers;
  const std::string path = "fleet.peers";
  const bool wanted = findings.given(path + ".listen") || findings.given(path + ".to") ||
                      findings.given(path + ".key_file") || findings.given(path + ".addresses");
  if (!wanted || !findings.sound(path + ".listen") || !findings.sound(path + ".to")) return;
  if (!peers.listen) return findings.add(path, "has no `listen`; allowed: with `listen`, `to` and `key_file`");
  if (peers.to.empty()) return findings.add(path, "has nobody in `to`; allowed: the addresses of the other nodes");
  if (peers.key_file.empty())
    findings.add(path,
                 "has no `key_file`: anybody could speak for a node; allowed: with `listen`, `to` and `key_file`");
  for (size_t i = 0; i < peers.to.size(); i++) {
    const SocketAddress& to = peers.to[i];
    const std::string at = path + ".to";
    if (to == *peers.listen)
      findings.add(at, fmt::format("{} is where this node listens; allowed: the other nodes", to.to_string()));
    if (to.address.is_v4() != peers.listen->address.is_v4())
      findings.add(at, fmt::format("{} is of another family than listen, {}; allowed: one of them for all",
                                   to.to_string(), peers.listen->to_string()));
    if (std::find(peers.to.begin(), peers.to.begin() + static_cast<ptrdiff_t>(i), to) !=
        peers.to.begin() + static_cast<ptrdiff_t>(i))
      findings.add(at, fmt::format("{} stands twice; allowed: each node once", to.to_string()));
  }
  check_peer_addresses(config, findings);
}

void check_rules(const Config& config, Findings& findings) {
  check_dataplane(config, findings);
  check_control(config, findings);
  check_checks(config, findings);
  check_pools(config, findings);
  check_services(config, findings);
  check_limits(config, findings);
  check_routes(config, findings);
  check_announce(config, findings);
  check_fleet(config, findings);
}

uint32_t next_prime(uint32_t n) {
  const auto is_prime = [](uint32_t candidate) {
    if (candidate < 4) return candidate >= 2;
    for (uint32_t divisor = 2; uint64_t{divisor} * divisor <= candidate; divisor++)
      if (candidate % divisor == 0) return false;
    return true;
  };
  while (!is_prime(n)) n++;
  return n;
}

}  // namespace sluice::config

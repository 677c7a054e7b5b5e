// SPDX-License-Identifier: Apache-2.0
//
// The DNS, where the configuration has names that are looked up: members of pools, etcd's endpoints, and what domains
// publish (TLSA, MX, MTA-STS). Names that are only shown to servers or expected of them are not asked for.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

namespace {

constexpr uint16_t kDnsPort = 53;
constexpr size_t kMostServers = 3;  // of resolv.conf (resolv.conf(5), MAXNS)

using Servers = std::vector<DnsServer>;

struct Name {
  std::string setting;  // that has it
  std::string name;
  std::vector<DnsType> types;  // one of these is enough
  Servers servers;             // to ask; none: those of resolv.conf
  bool is_needed = true;       // mail servers are unknown without it
};

/// The host of "https://etcd1.example:2379"; "" if it is an address.
std::string host_of(const std::string& endpoint) {
  std::string out = endpoint.substr(endpoint.find("://") == std::string::npos ? 0 : endpoint.find("://") + 3);
  out = out.substr(0, out.find('/'));
  if (out.starts_with('[') || config::IpAddress::parse(out.substr(0, out.rfind(':')))) return "";
  return out.substr(0, out.rfind(':'));
}

/// Whether the machine's own file knows it. Only etcd's endpoints are looked for there.
bool is_in_hosts(const Machine& machine, const std::string& host) {
  std::istringstream lines(machine.text("/etc/hosts").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    words >> word;  // the address
    while (words >> word)
      if (word == host) return true;
  }
  return false;
}

void add_discovered(const config::Config& config, std::vector<Name>& out) {
  for (const config::Pool& pool : config.pools) {
    if (!pool.discover || pool.discover->dns.empty()) continue;
    const config::Discover& discover = *pool.discover;
    const DnsType type = discover.type == config::DnsType::kA      ? DnsType::kA
                         : discover.type == config::DnsType::kAaaa ? DnsType::kAaaa
                                                                   : DnsType::kSrv;
    Servers servers;
    servers.reserve(discover.servers.size());
    for (const config::SocketAddress& server : discover.servers) servers.push_back({server, ""});
    out.push_back({"pools." + pool.name + ".discover", discover.dns, {type}, std::move(servers)});
  }
}

void add_published(const config::Config& config, std::vector<Name>& out) {
  for (const config::Check& check : config.checks) {
    const std::string setting = "checks." + check.name;
    if (check.tlsa && !check.server_name.empty())
      out.push_back({setting + ".tlsa", check.server_name, {DnsType::kA, DnsType::kAaaa}, {}, false});
    if (check.tlsa && !check.mail_domain.empty())
      out.push_back({setting + ".tlsa", check.mail_domain, {DnsType::kMx}, {}, false});
    if (check.mta_sts && !check.mail_domain.empty())
      out.push_back({setting + ".mta_sts", "_mta-sts." + check.mail_domain, {DnsType::kTxt}, {}, false});
  }
  std::set<std::string> seen;
  for (const config::Service& service : config.services_and_routes()) {
    const auto pool = std::ranges::find(config.pools, service.pool, &config::Pool::name);
    const std::string own = pool == config.pools.end() ? "" : pool->check;
    const config::Check* check = config.find_check(service.check.empty() ? own : service.check);
    if (check == nullptr || !check->tlsa || check->server_name.empty()) continue;
    const std::string name = fmt::format("_{}._tcp.{}", service.port, check->server_name);
    if (seen.insert(name).second) out.push_back({"checks." + check->name + ".tlsa", name, {DnsType::kTlsa}, {}, false});
  }
}

std::vector<Name> names_in(const Patient& patient) {
  std::vector<Name> out;
  add_discovered(patient.config, out);
  if (const auto& etcd = patient.config.fleet.etcd) {
    for (const std::string& endpoint : etcd->endpoints) {
      const std::string host = host_of(endpoint);
      if (!host.empty() && !is_in_hosts(patient.machine, host))
        out.push_back({"fleet.etcd.endpoints", host, {DnsType::kA, DnsType::kAaaa}, {}});
    }
  }
  add_published(patient.config, out);
  return out;
}

/// Those of /etc/resolv.conf. Whatever is wrong with it stands in the report.
Servers resolvers(const Machine& machine, Report& report) {
  const std::string advice = "name the resolvers in /etc/resolv.conf, readable by all: nameserver 10.0.0.53";
  const auto text = machine.text("/etc/resolv.conf");
  if (!text) {
    report.fail("resolv.conf", "there is no /etc/resolv.conf that can be read, and names are to be looked up", advice);
    return {};
  }
  Servers out;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line) && out.size() < kMostServers;) {
    std::istringstream words(line);
    std::string word, address;
    words >> word >> address;
    if (word != "nameserver") continue;
    const size_t scope = std::min(address.find('%'), address.size());
    const auto parsed = config::IpAddress::parse(address.substr(0, scope));
    if (parsed) out.push_back({{*parsed, kDnsPort}, scope == address.size() ? "" : address.substr(scope + 1)});
  }
  if (out.empty())
    report.fail("resolv.conf", "/etc/resolv.conf names no resolver, and names are to be looked up", advice);
  return out;
}

/// What the first server says that says anything; notes which are silent.
DnsSaid ask(const Machine& machine, const Servers& servers, const std::string& name, DnsType type,
            std::map<DnsServer, bool>& answers) {
  DnsSaid out;
  for (const DnsServer& server : servers) {
    const auto known = answers.find(server);
    if (known != answers.end() && !known->second) continue;  // once is enough to wait for
    const DnsSaid said = machine.ask_dns(server, name, type);
    answers[server] = said.what != DnsSaid::What::kSilent;
    if (said.what == DnsSaid::What::kSilent) continue;
    out = said;
    if (said.what != DnsSaid::What::kFault) return out;
  }
  return out;
}

void report_name(const Name& name, const DnsSaid& said, Report& report) {
  std::vector<std::string_view> types;
  types.reserve(name.types.size());
  for (const DnsType type : name.types) types.push_back(name_of(type));
  const std::string found =
      said.what == DnsSaid::What::kNone
          ? fmt::format("the DNS has no {} record of it ({})", fmt::join(types, " or "), name.setting)
          : fmt::format("the resolvers answer {} ({})", said.fault, name.setting);
  const std::string topic = "name " + name.name;
  if (name.is_needed)
    report.fail(topic, found, "publish it, or correct the setting");
  else
    report.warn(topic, found, "publish it, or leave the setting out: nothing can be held against it");
}

/// Those that have not answered. As long as others do, it only costs time.
void report_resolvers(const std::map<DnsServer, bool>& answers, Report& report) {
  const auto count =
      static_cast<size_t>(std::ranges::count(answers, true, [](const auto& each) { return each.second; }));
  for (const auto& [server, answered] : answers) {
    if (answered) continue;
    const std::string topic = "resolver " + server.to_string();
    const std::string found = "does not answer";
    if (count == 0)
      report.fail(topic, found, "start it, let UDP port 53 pass, or name another");
    else
      report.warn(topic, found + ", others do", "start it, or leave it out: each question to it takes that long");
  }
  if (count != 0) report.ok("resolvers", fmt::format("{} answer", count));
}

}  // namespace

void examine_names(const Patient& patient, Report& report) {
  const std::vector<Name> names = names_in(patient);
  if (names.empty()) return;
  const bool any_default = std::ranges::any_of(names, [](const Name& name) { return name.servers.empty(); });
  const Servers usual = any_default ? resolvers(patient.machine, report) : Servers{};
  std::map<DnsServer, bool> answers;
  size_t good = 0;
  for (const Name& name : names) {
    const Servers& servers = name.servers.empty() ? usual : name.servers;
    DnsSaid said;
    for (const DnsType type : name.types) {
      if (said.what != DnsSaid::What::kRecords) said = ask(patient.machine, servers, name.name, type, answers);
    }
    if (said.what == DnsSaid::What::kRecords) good++;
    if (said.what == DnsSaid::What::kNone || said.what == DnsSaid::What::kFault) report_name(name, said, report);
  }
  report_resolvers(answers, report);
  if (good != 0) report.ok("names", fmt::format("the DNS has records of {}", good));
}

}  // namespace sluice::ctl

// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/proxies.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/haproxy/check_steps.h"

namespace sluice::config::haproxy {

namespace {

// --- Lines of a proxy ---

/// What of a bind line has no place here, and why. The rest is TLS, of which `ssl` tells, or tunes HAProxy's own
/// socket.
std::string_view why_left_out_of_bind(std::string_view word) {
  constexpr std::string_view kProxied = "clients are expected to come with their own address";
  static const std::map<std::string_view, std::string_view> kReasons{
      {"accept-proxy", kProxied},
      {"accept-netscaler-cip", kProxied},
      {"maxconn", "limits belong to backends, as max_connections"},
      {"interface", "a service is had at every port that faces clients"},
      {"namespace", "a service is had at every port that faces clients"},
      {"defer-accept", "it waits for the client's first word, and an SMTP client waits for the greeting"},
      {"transparent", "a VIP is one address"}};
  const auto known = kReasons.find(word);
  return known == kReasons.end() ? "" : known->second;
}

void read_bind(const Line& line, Balanced& proxy, Remarks& remarks) {
  Bind bind{.line = line.number};
  bool v6only = false;
  for (size_t i = 2; i < line.words.size(); i++) {
    const std::string& word = line.words[i];
    v6only |= word == "v6only";
    bind.tls |= word == "ssl";
    if (word == "mss") bind.mss = parse_number(line.word(i + 1), 1, 65495);
    if (const std::string_view why = why_left_out_of_bind(word); !why.empty())
      remarks.leave_out(line.number, fmt::format("{}: {}", word, why));
  }
  const std::string& addresses = line.word(1);
  for (size_t begin = 0; begin <= addresses.size();) {
    const size_t end = std::min(addresses.find(',', begin), addresses.size());
    const auto found = parse_bind(std::string_view(addresses).substr(begin, end - begin), v6only);
    begin = end + 1;
    if (!found) {
      remarks.leave_out(line.number, fmt::format("bind {}", found.error()));
      continue;
    }
    for (const Listening& at : *found) {
      bind.at = at;
      proxy.binds.push_back(bind);
    }
  }
}

void read_server(const Line& line, Balanced& proxy, Remarks& remarks) {
  const auto at = parse_server_address(line.word(2));
  if (!at) return remarks.leave_out(line.number, fmt::format("server {}: {}", line.word(1), at.error()));
  Server server{.line = line.number, .name = line.word(1), .at = *at, .settings = proxy.server_defaults};
  read_server_settings(line, 3, server.settings, remarks);
  proxy.servers.push_back(std::move(server));
}

void read_balance(const Line& line, Balanced& proxy, Remarks& remarks) {
  static const std::map<std::string_view, Scheduler> kSchedulers{{"roundrobin", Scheduler::kWrr},
                                                                 {"static-rr", Scheduler::kWrr},
                                                                 {"leastconn", Scheduler::kLeastConn},
                                                                 {"source", Scheduler::kSource},
                                                                 // The less loaded of two that are drawn.
                                                                 {"random", Scheduler::kLeastConn},
                                                                 {"random(1)", Scheduler::kMaglev}};
  auto known = kSchedulers.find(line.word(1));
  if (known == kSchedulers.end()) known = kSchedulers.find(line.word(1).substr(0, line.word(1).find('(')));
  proxy.scheduler = Scheduler::kWrr;
  if (known == kSchedulers.end())
    return remarks.leave_out(line.number, fmt::format("balance {}: taken as roundrobin", line.word(1)));
  proxy.scheduler = known->second;
}

void read_timeout(const Line& line, Balanced& proxy, Remarks& remarks) {
  static constexpr std::array<std::string_view, 4> kTaken{"client", "server", "connect", "check"};
  const auto value = parse_time(line.word(2));
  if (!value) return remarks.leave_out(line.number, fmt::format("timeout {}: not a time", line.rest(1)));
  if (std::ranges::find(kTaken, line.word(1)) == kTaken.end())
    return remarks.leave_out(line.number, fmt::format("timeout {}: see dataplane.timers", line.word(1)));
  proxy.timeouts[line.word(1)] = {line.number, *value};
}

void lead_to(const Line& line, Balanced& proxy) {
  proxy.default_backend = line.word(1);
  proxy.default_backend_line = line.number;
}

void read_default_backend(const Line& line, Balanced& proxy, Remarks&) {
  if (!proxy.rules_end) lead_to(line, proxy);
}

void read_use_backend(const Line& line, Balanced& proxy, Remarks& remarks) {
  if (line.words.size() > 2)
    return remarks.leave_out(line.number, "use_backend: there are no rules by connection or content");
  if (!proxy.rules_end) lead_to(line, proxy);
  proxy.rules_end = true;
}

void read_default_server(const Line& line, Balanced& proxy, Remarks& remarks) {
  read_server_settings(line, 1, proxy.server_defaults, remarks);
}

void read_tcp_request(const Line& line, Balanced& proxy, Remarks& remarks) {
  if (line.word(1) == "inspect-delay") {
    if (const auto delay = parse_time(line.word(2))) proxy.inspect_delay = {line.number, *delay};
    return;
  }
  remarks.leave_out(line.number, "tcp-request: there are no rules by connection or content");
}

void read_option(const Line& line, Balanced& proxy, Remarks& remarks) {
  if (is_check_option(line)) return;  // read before
  if (line.word(1) == "allbackups") {
    proxy.all_backups = true;
    return;
  }
  if (line.word(1) == "redispatch")
    return remarks.leave_out(
        line.number,
        "option redispatch: a connection that a server refuses is not tried at another: the client "
        "is reset, and comes again");
  // They tune or log a proxy's own connections, of which there are none here.
  static constexpr std::array<std::string_view, 18> kWithoutMeaning{
      "tcplog",       "dontlognull",        "dontlog-normal",    "log-health-checks",
      "logasap",      "clitcpka",           "srvtcpka",          "tcpka",
      "splice-auto",  "splice-request",     "contstats",         "splice-response",
      "socket-stats", "tcp-smart-accept",   "tcp-smart-connect", "nolinger",
      "abortonclose", "log-separate-errors"};
  if (std::ranges::find(kWithoutMeaning, line.word(1)) != kWithoutMeaning.end()) return remarks.pass_over();
  remarks.leave_out(line.number, fmt::format("option {}: it has no counterpart", line.rest(1)));
}

void read_no(const Line& line, Balanced& proxy, Remarks& remarks) {
  if (line.word(1) == "option" && line.word(2) == "allbackups") {
    proxy.all_backups = false;
  } else {
    remarks.pass_over();
  }
}

using Reader = void (*)(const Line&, Balanced&, Remarks&);

const std::map<std::string_view, Reader>& readers() {
  static const std::map<std::string_view, Reader> kReaders{
      {"bind", read_bind},
      {"server", read_server},
      {"balance", read_balance},
      {"timeout", read_timeout},
      {"default_backend", read_default_backend},
      {"option", read_option},
      {"use_backend", read_use_backend},
      {"no", read_no},
      {"default-server", read_default_server},
      {"tcp-request", read_tcp_request},
      {"tcp-check",
       [](const Line& line, Balanced& proxy, Remarks& remarks) { read_check_step(line, proxy.check, remarks); }}};
  return kReaders;
}

/// Why a line is left out that is not read, or "" if nothing is lost with it.
std::string why_left_out(const std::string& keyword) {
  static const std::map<std::string_view, std::string_view> kReasons{
      {"log", ""},
      {"log-format", ""},
      {"log-tag", ""},
      {"description", ""},
      {"retries", "a client's next attempt is placed anew"},
      {"maxconn", "limits belong to backends, as max_connections"},
      {"fullconn", "max_connections does not vary"},
      {"acl", "there are no rules by connection or content"},
      {"use-server", "there are no rules by connection or content"},
      {"stick-table", "scheduler = \"source\" keeps a client at its backend"},
      {"stick", "scheduler = \"source\" keeps a client at its backend"},
      {"hash-type", "the hash is Maglev's"},
      {"source", "the mail server sees the client's own address"},
      {"server-template", "write each server with its address"},
      {"dispatch", "write a pool"},
      {"stats", "see sluicectl, and control.http"},
      {"email-alert", "alert on the metrics"}};
  const auto known = kReasons.find(keyword);
  return std::string(known == kReasons.end() ? "it has no counterpart" : known->second);
}

void read_proxy_line(const Line& line, Balanced& proxy, Remarks& remarks) {
  if (const auto reader = readers().find(line.word(0)); reader != readers().end())
    return reader->second(line, proxy, remarks);
  const std::string why = why_left_out(line.word(0));
  if (why.empty()) {
    remarks.pass_over();
  } else {
    remarks.leave_out(line.number, fmt::format("{}: {}", line.word(0), why));
  }
}

/// What holds for the whole section, wherever in it it stands; of several the last.
void read_first(const std::vector<Line>& lines, Balanced& proxy) {
  for (const Line& line : lines) {
    const std::string& word = line.word(0);
    if (word == "mode") proxy.tcp = line.word(1) == "tcp";
    if (word == "disabled") proxy.disabled = true;
    if (word == "enabled") proxy.disabled = false;
  }
}

void read_lines(const std::vector<Line>& lines, Balanced& proxy, Remarks& remarks) {
  static constexpr std::array<std::string_view, 3> kReadFirst{"mode", "disabled", "enabled"};
  for (const Line& line : lines)
    if (line.word(0) == "option") read_check_option(line, proxy.check, remarks);
  for (const Line& line : lines)
    if (std::ranges::find(kReadFirst, line.word(0)) == kReadFirst.end()) read_proxy_line(line, proxy, remarks);
}

// --- Sections ---

void read_global(const Section& section, Remarks& remarks) {
  for (const Line& line : section.lines) {
    const std::string& word = line.word(0);
    if (word == "nbthread" || word == "nbproc")
      remarks.leave_out(line.number, fmt::format("{}: see dataplane.workers", word));
    else if (word == "maxconn")
      remarks.leave_out(line.number, "maxconn: see dataplane.flow_capacity");
    else
      remarks.pass_over();
  }
}

/// The defaults that a section names by `from`, or else the newest.
class Defaults {
 public:
  Balanced of(const Section& section, Remarks& remarks) const {
    const auto& words = section.head.words;
    const auto from = std::ranges::find(words, "from");
    if (words.end() - from < 2) return newest_;
    const auto named = by_name_.find(*(from + 1));
    if (named != by_name_.end()) return named->second;
    remarks.leave_out(section.head.number, fmt::format("there are no defaults \"{}\"", *(from + 1)));
    return {};
  }

  void add(const Section& section, Remarks& remarks) {
    const auto& words = section.head.words;
    const bool derived = std::ranges::find(words, "from") != words.end();
    Balanced read = derived ? of(section, remarks) : Balanced{};
    read_first(section.lines, read);
    read_lines(section.lines, read, remarks);
    read.check.inherited = true;
    newest_ = read;
    if (words.size() > 1 && words[1] != "from") by_name_[words[1]] = read;
  }

 private:
  Balanced newest_;
  std::map<std::string, Balanced> by_name_;
};

Balanced read_proxy(const Section& section, const Defaults& defaults, Remarks& remarks) {
  Balanced out = defaults.of(section, remarks);
  out.line = section.head.number;
  out.name = section.head.word(1);
  out.has_servers = section.head.word(0) != "frontend";
  read_first(section.lines, out);
  if (out.tcp && !out.disabled) read_lines(section.lines, out, remarks);
  return out;
}

void keep_if_tcp(Balanced proxy, const Section& section, std::vector<Balanced>& out, Remarks& remarks) {
  const std::string what = fmt::format("{} {}", section.head.word(0), proxy.name);
  if (proxy.disabled) return remarks.leave_out(proxy.line, what + " is disabled");
  if (!proxy.tcp) return remarks.leave_out(proxy.line, what + " is not in TCP mode");
  out.push_back(std::move(proxy));
}

}  // namespace

std::vector<Balanced> read_proxies(const std::vector<Section>& sections, Remarks& remarks) {
  std::vector<Balanced> out;
  Defaults defaults;
  for (const Section& section : sections) {
    const std::string& kind = section.head.word(0);
    if (kind == "global") {
      read_global(section, remarks);
    } else if (kind == "defaults") {
      defaults.add(section, remarks);
    } else if (kind == "frontend" || kind == "listen" || kind == "backend") {
      keep_if_tcp(read_proxy(section, defaults, remarks), section, out, remarks);
    } else {
      remarks.leave_out(section.head.number, fmt::format("section {}: it has no counterpart", section.head.rest(0)));
    }
  }
  return out;
}

}  // namespace sluice::config::haproxy

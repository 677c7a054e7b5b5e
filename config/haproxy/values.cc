// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/values.h"

#include <fmt/format.h>

#include <charconv>
#include <functional>
#include <map>
#include <utility>

namespace sluice::config::haproxy {

namespace {

constexpr Milliseconds kLongest{0x7fffffff};
constexpr uint32_t kMostPorts = 100;  // of a range

/// "HOST:PORT" at the last colon; no port where nothing follows, or where the whole is an address.
std::pair<std::string, std::string> split_port(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || text.ends_with(']')) return {text, ""};
  if (const auto whole = IpAddress::parse(text);
      whole && !whole->is_v4() && text.find('.') == std::string::npos && !IpAddress::parse(text.substr(0, colon)))
    return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

std::string without_brackets(const std::string& host) {
  return host.size() > 2 && host.front() == '[' && host.back() == ']' ? host.substr(1, host.size() - 2) : host;
}

/// Takes "ipv4@" and its kin off. Returns the family it demands: 4, 6, or 0.
std::expected<int, std::string> take_prefix(std::string& text) {
  if (text.starts_with('/')) return std::unexpected("a Unix socket is no address that mail clients connect to");
  const size_t at = text.find('@');
  if (at == std::string::npos) return 0;
  const std::string prefix = text.substr(0, at);
  text.erase(0, at + 1);
  if (prefix == "ipv4" || prefix == "tcp4") return 4;
  if (prefix == "ipv6" || prefix == "tcp6") return 6;
  if (prefix == "tcp") return 0;
  return std::unexpected(fmt::format("\"{}@\" is no TCP address", prefix));
}

/// "25" or "25-27" -> the first and the last.
std::expected<std::pair<uint16_t, uint16_t>, std::string> parse_ports(const std::string& text) {
  const size_t dash = text.find('-');
  const auto first = parse_number(text.substr(0, dash), 1, 65535);
  const auto last = dash == std::string::npos ? first : parse_number(text.substr(dash + 1), 1, 65535);
  if (!first || !last || *last < *first) return std::unexpected(fmt::format("\"{}\" is no port from 1 to 65535", text));
  if (*last - *first >= kMostPorts)
    return std::unexpected(
        fmt::format("a range of more than {} ports, \"{}\": write a service for each that is used", kMostPorts, text));
  return std::pair(static_cast<uint16_t>(*first), static_cast<uint16_t>(*last));
}

}  // namespace

std::optional<Milliseconds> parse_time(std::string_view text) {
  static const std::map<std::string_view, double> kUnits{
      {"us", 0.001}, {"ms", 1}, {"", 1}, {"s", 1000}, {"m", 60'000.0}, {"h", 3'600'000.0}, {"d", 86'400'000.0}};
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto unit = kUnits.find(text.substr(digits));
  const auto number = parse_number(text.substr(0, digits), 0, UINT32_MAX);
  if (!number || unit == kUnits.end()) return std::nullopt;
  const double ms = *number * unit->second;
  if (ms > static_cast<double>(kLongest.count())) return std::nullopt;
  return Milliseconds(static_cast<int64_t>(ms));
}

std::expected<std::vector<Listening>, std::string> parse_bind(std::string_view given, bool v6only) {
  std::string text(given);
  const auto family = take_prefix(text);
  if (!family) return std::unexpected(family.error());
  const auto [host, port_text] = split_port(text);
  if (port_text.empty()) return std::unexpected(fmt::format("\"{}\" has no port from 1 to 65535", given));
  const auto ports = parse_ports(port_text);
  if (!ports) return std::unexpected(ports.error());
  const std::string bare = without_brackets(host);
  const bool every = bare.empty() || bare == "*" || bare == "0.0.0.0" || bare == "::";
  const auto address = every ? std::nullopt : IpAddress::parse(bare);
  if (!every && !address) return std::unexpected(fmt::format("\"{}\" is not a numeric address", bare));
  const bool v6 = every ? *family == 6 || bare == "::" : !address->is_v4();
  std::vector out{Listening{.address = address, .v6 = v6, .port = ports->first, .last_port = ports->second}};
  if (every && v6 && !v6only)
    out.push_back({.v6 = false, .implied = true, .port = ports->first, .last_port = ports->second});
  return out;
}

std::expected<ServerAddress, std::string> parse_server_address(const std::string& given) {
  std::string text = given;
  if (const auto family = take_prefix(text); !family) return std::unexpected(family.error());
  const auto [host, port_text] = split_port(text);
  const auto address = IpAddress::parse(without_brackets(host));
  if (!address)
    return std::unexpected(fmt::format("\"{}\" is not a numeric address: look it up, and write what it is", host));
  if (port_text.empty() || port_text == "0" || port_text == "+0" || port_text == "-0")
    return ServerAddress{*address, {}};
  if (port_text.front() == '+' || port_text.front() == '-')
    return std::unexpected(fmt::format("\"{}\" counts from the client's port: write a pool for each port", port_text));
  const auto port = parse_number(port_text, 1, 65535);
  if (!port) return std::unexpected(fmt::format("\"{}\" is not a port from 1 to 65535", port_text));
  return ServerAddress{*address, static_cast<uint16_t>(*port)};
}

// --- Settings of a server ---

namespace {

/// A setting's effect. `value` is the word after it for those that take one. Returns what is wrong with the value, or
/// "".
using Effect = std::function<std::string(ServerSettings&, const std::string& value)>;

struct Setting {
  bool takes_value = false;
  Effect effect;
};

Effect turns(bool ServerSettings::* member, bool value) {
  return [=](ServerSettings& settings, const std::string&) {
    settings.*member = value;
    return std::string();
  };
}

template <class T>
Effect number(std::optional<T> ServerSettings::* member, uint32_t least, uint32_t most) {
  return [=](ServerSettings& settings, const std::string& value) {
    const auto parsed = parse_number(value, least, most);
    if (parsed) settings.*member = static_cast<T>(*parsed);
    return parsed ? "" : fmt::format("not a number from {} to {}", least, most);
  };
}

Effect time(std::optional<Milliseconds> ServerSettings::* member) {
  return [=](ServerSettings& settings, const std::string& value) {
    const auto parsed = parse_time(value);
    if (parsed) settings.*member = parsed;
    return std::string(parsed ? "" : "not a time");
  };
}

const std::map<std::string_view, Setting>& settings_of_server() {
  using S = ServerSettings;
  static const std::map<std::string_view, Setting> kSettings{
      {"check", {false, turns(&S::check, true)}},
      {"no-check", {false, turns(&S::check, false)}},
      {"check-ssl", {false, turns(&S::check_tls, true)}},
      {"no-check-ssl", {false, turns(&S::check_tls, false)}},
      {"backup", {false, turns(&S::backup, true)}},
      {"no-backup", {false, turns(&S::backup, false)}},
      {"send-proxy", {false, turns(&S::proxy_v1, true)}},
      {"no-send-proxy", {false, turns(&S::proxy_v1, false)}},
      {"send-proxy-v2", {false, turns(&S::proxy_v2, true)}},
      {"no-send-proxy-v2", {false, turns(&S::proxy_v2, false)}},
      {"check-send-proxy", {false, turns(&S::check_proxy, true)}},
      {"no-check-send-proxy", {false, turns(&S::check_proxy, false)}},
      {"agent-check", {false, turns(&S::agent, true)}},
      {"no-agent-check", {false, turns(&S::agent, false)}},
      {"disabled", {false, turns(&S::disabled, true)}},
      {"enabled", {false, turns(&S::disabled, false)}},
      {"no-ssl", {false, turns(&S::tls, false)}},
      {"weight", {true, number(&S::weight, 0, 256)}},
      {"maxconn", {true, number(&S::max_connections, 0, 10'000'000)}},
      {"rise", {true, number(&S::rise, 1, 100)}},
      {"fall", {true, number(&S::fall, 1, 100)}},
      {"port", {true, number(&S::check_port, 1, 65535)}},
      {"agent-port", {true, number(&S::agent_port, 1, 65535)}},
      {"agent-addr",
       {true,
        [](S& s, const std::string& value) {
          const bool numeric = IpAddress::parse(value).has_value();
          s.agent_address = numeric ? value : "";
          return std::string(numeric ? "" : "not a numeric address, so that the server's own is taken");
        }}},
      {"inter", {true, time(&S::interval)}},
      {"fastinter", {true, time(&S::fast_interval)}},
      {"slowstart", {true, time(&S::slow_start)}},
      {"agent-inter", {true, time(&S::agent_interval)}},
      {"on-marked-down",
       {true,
        [](S& s, const std::string& value) {
          s.reset_when_down = value == "shutdown-sessions";
          return std::string(s.reset_when_down ? "" : "only shutdown-sessions is known");
        }}},
  };
  return kSettings;
}

/// Settings that go without: whether each takes a value, and why it is left out.
const std::map<std::string_view, std::pair<bool, std::string_view>>& settings_left_out() {
  constexpr std::string_view kTls = "TLS to the server is not made here: packets pass as they are";
  constexpr std::string_view kTlsInHeader =
      "TLS is not terminated, so the header cannot tell of it: taken as send-proxy-v2";
  constexpr std::string_view kNames = "addresses are written, not looked up";
  constexpr std::string_view kObserve = "servers are watched as they answer: see `passive` of a pool";
  constexpr std::string_view kHttp = "it belongs to HTTP";
  static const std::map<std::string_view, std::pair<bool, std::string_view>> kLeftOut{
      {"downinter", {true, "a backend that is down is probed at `interval`"}},
      {"ssl", {false, kTls}},
      {"verify", {true, kTls}},
      {"ca-file", {true, kTls}},
      {"crt", {true, kTls}},
      {"sni", {true, kTls}},
      {"check-sni", {true, "write server_name in the check"}},
      {"alpn", {true, kTls}},
      {"resolvers", {true, kNames}},
      {"resolve-prefer", {true, kNames}},
      {"init-addr", {true, kNames}},
      {"observe", {true, kObserve}},
      {"error-limit", {true, kObserve}},
      {"on-error", {true, kObserve}},
      {"on-marked-up", {true, "sessions stay where they are when a backend comes back"}},
      {"maxqueue", {true, "there is no queue: a connection beyond max_connections goes to another backend"}},
      {"minconn", {true, "max_connections does not vary"}},
      {"agent-send", {true, "nothing is sent to the agent"}},
      {"cookie", {true, kHttp}},
      {"id", {true, "a backend is known by its name"}},
      {"track", {true, "each backend has its own check"}},
      {"addr", {true, "a check goes to the backend's own address"}},
      {"source", {true, "the mail server sees the client's own address"}},
      {"tfo", {false, "TCP options are the client's own"}},
      {"send-proxy-v2-ssl", {false, kTlsInHeader}},
      {"send-proxy-v2-ssl-cn", {false, kTlsInHeader}},
      {"proxy-v2-options", {true, "the header carries addresses alone"}},
      {"pool-max-conn", {true, kHttp}},
  };
  return kLeftOut;
}

}  // namespace

void read_server_settings(const Line& line, size_t first, ServerSettings& settings, Remarks& remarks) {
  for (size_t i = first; i < line.words.size(); i++) {
    const std::string& name = line.words[i];
    if (const auto known = settings_of_server().find(name); known != settings_of_server().end()) {
      const std::string value = known->second.takes_value ? line.word(++i) : "";
      if (const std::string wrong = known->second.effect(settings, value); !wrong.empty())
        remarks.leave_out(line.number, fmt::format("{} \"{}\": {}", name, value, wrong));
      continue;
    }
    const auto left_out = settings_left_out().find(name);
    if (left_out == settings_left_out().end()) {
      remarks.leave_out(line.number, fmt::format("{}: not known to the import", name));
      continue;
    }
    if (left_out->second.first) i++;
    settings.tls |= name == "ssl";
    settings.proxy_v2 |= name.starts_with("send-proxy-v2-ssl");
    remarks.leave_out(line.number, fmt::format("{}: {}", name, left_out->second.second));
  }
}

}  // namespace sluice::config::haproxy

// SPDX-License-Identifier: Apache-2.0
//
// Single values of a haproxy.cfg: addresses, times, the settings of a server line.
#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "config/haproxy/file.h"
#include "config/imports/draft.h"
#include "config/imports/numbers.h"
#include "config/model.h"

namespace sluice::config::haproxy {

using imports::Milliseconds;
using imports::parse_number;

/// Where a frontend listens.
struct Listening {
  std::optional<IpAddress> address;  // none: every address of its family
  bool v6 = false;
  bool implied = false;              // IPv4 beside every IPv6 address: a bind that names IPv4 comes before it
  uint16_t port = 0, last_port = 0;  // a range
};

/// What an address of a `bind` line names ("192.0.2.25:25", "*:587", "[::]:25-27"): one, or two with every IPv6
/// address, which Linux takes for IPv4, too, unless it is `v6only`. An error says why it cannot be converted.
std::expected<std::vector<Listening>, std::string> parse_bind(std::string_view text, bool v6only);

/// What a `server` line names: address and, if given and not that of the client's connection, port.
struct ServerAddress {
  IpAddress address;
  std::optional<uint16_t> port;
};
std::expected<ServerAddress, std::string> parse_server_address(const std::string& text);

/// "50s", "5m", "500" (milliseconds). Nothing if it is no time, or one of more than 24 days, which HAProxy refuses.
std::optional<Milliseconds> parse_time(std::string_view text);

/// What stands on a `server` or `default-server` line, as far as it can be converted.
struct ServerSettings {
  bool check = false;
  bool check_tls = false;
  bool tls = false;
  bool backup = false;
  bool disabled = false;
  bool reset_when_down = false;
  bool proxy_v1 = false, proxy_v2 = false;  // each can be switched off by itself
  bool check_proxy = false;
  std::optional<uint32_t> weight, max_connections, rise, fall;
  std::optional<uint16_t> check_port, agent_port;
  std::string agent_address;
  bool agent = false;
  std::optional<Milliseconds> interval, fast_interval, slow_start, agent_interval;

  /// The header that it gets.
  Proxy proxy() const { return proxy_v2 ? Proxy::kV2 : proxy_v1 ? Proxy::kV1 : Proxy::kNone; }
};

/// Takes the settings of `line` from word `first` on; they come on top of those that `settings` has.
void read_server_settings(const Line& line, size_t first, ServerSettings& settings, Remarks& remarks);

}  // namespace sluice::config::haproxy

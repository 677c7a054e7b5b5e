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
#include "config/model.h"

namespace sluice::config::haproxy {

using Milliseconds = std::chrono::milliseconds;

/// Where a frontend listens.
struct Listening {
  std::optional<IpAddress> address;  // none: every address of its family
  bool v6 = false;
  uint16_t port = 0;
};

/// What an address of a `bind` line names ("192.0.2.25:25", "*:587", "[::]:25"): one, or with `v4v6` and every IPv6
/// address two. An error says why it cannot be converted.
std::expected<std::vector<Listening>, std::string> parse_bind(std::string_view text, bool v4v6);

/// What a `server` line names: address and, if given, port.
struct ServerAddress {
  IpAddress address;
  std::optional<uint16_t> port;
};
std::expected<ServerAddress, std::string> parse_server_address(const std::string& text);

/// "50s", "5m", "500" (milliseconds). Nothing if it is no time, or one of more than 24 days, which HAProxy refuses.
std::optional<Milliseconds> parse_time(std::string_view text);

/// A whole number within bounds.
std::optional<uint32_t> parse_number(std::string_view text, uint32_t least, uint32_t most);

/// What stands on a `server` or `default-server` line, as far as it can be converted.
struct ServerSettings {
  bool check = false;
  bool check_tls = false;
  bool backup = false;
  bool reset_when_down = false;
  Proxy proxy = Proxy::kNone;
  Proxy check_proxy = Proxy::kNone;
  std::optional<uint32_t> weight, max_connections, rise, fall;
  std::optional<uint16_t> check_port, agent_port;
  std::string agent_address;
  bool agent = false;
  std::optional<Milliseconds> interval, fast_interval, slow_start, agent_interval;
};

/// Takes the settings of `line` from word `first` on; they come on top of those that `settings` has.
void read_server_settings(const Line& line, size_t first, ServerSettings& settings, Remarks& remarks);

}  // namespace sluice::config::haproxy

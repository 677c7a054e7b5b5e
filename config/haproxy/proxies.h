// SPDX-License-Identifier: Apache-2.0
//
// The frontends, backends and listens of a haproxy.cfg, each with what it has from its defaults.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/haproxy/file.h"
#include "config/haproxy/values.h"
#include "config/model.h"

namespace sluice::config::haproxy {

struct Bind {
  unsigned line = 0;
  Listening at;
  bool tls = false;  // HAProxy terminated TLS there
  std::optional<uint32_t> mss;
};

struct Server {
  unsigned line = 0;
  std::string name;
  ServerAddress at;
  ServerSettings settings;
};

struct Timeout {
  unsigned line = 0;
  Milliseconds value{};
};

/// What `option ...` and `tcp-check` lines ask of a server. Without any, `type` is the bare handshake.
struct CheckPlan {
  bool by_steps = false;   // `option tcp-check`
  bool inherited = false;  // from defaults: the first step of a section's own replaces them all
  bool after_hello = false;
  bool connects = false;  // a step of its own says how: then no header is sent but by what it says
  bool connects_as_traffic = false;
  bool proxy = false;
  CheckType type = CheckType::kTcp;
  std::string helo, expect, reject;
  std::optional<uint16_t> port;
};

/// A section that HAProxy calls a proxy.
struct Balanced {
  unsigned line = 0;
  std::string name;
  bool has_servers = false;  // a listen or a backend
  bool tcp = true;
  bool disabled = false;
  std::vector<Bind> binds;
  std::vector<Server> servers;
  std::string default_backend;
  unsigned default_backend_line = 0;
  bool rules_end = false;                 // a use_backend without a condition was read: it is the default
  bool all_backups = false;               // else only the first of the backups that can is used
  Scheduler scheduler = Scheduler::kWrr;  // HAProxy's default is roundrobin
  ServerSettings server_defaults;
  CheckPlan check;
  std::map<std::string, Timeout> timeouts;  // "client", "server", "connect", "check"
  std::optional<Timeout> inspect_delay;
};

/// Everything that balances TCP. What cannot be taken over is in `remarks`, by line.
std::vector<Balanced> read_proxies(const std::vector<Section>& sections, Remarks& remarks);

}  // namespace sluice::config::haproxy

// SPDX-License-Identifier: Apache-2.0
//
// The virtual servers of a keepalived.conf, with their real servers and what checks these.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/imports/draft.h"
#include "config/keepalived/file.h"
#include "config/model.h"

namespace sluice::config::keepalived {

using imports::Milliseconds;

struct Listener {
  IpAddress vip;
  uint16_t port = 0;
};

/// Settings that stand on a virtual server, a real server or a checker: the innermost counts.
struct Timing {
  std::optional<Milliseconds> delay_loop, connect_timeout, before_retry;
  std::optional<uint32_t> retry;

  /// Whether the line was one of them.
  bool take(const Block& block, Remarks& remarks);
};

struct Checker {
  unsigned line = 0;
  CheckType type = CheckType::kTcp;
  Timing timing;
  std::optional<uint16_t> port;
  std::string helo;

  bool is_like(const Checker& other) const { return type == other.type && port == other.port && helo == other.helo; }
};

struct RealServer {
  unsigned line = 0;
  IpAddress address;
  std::optional<uint16_t> port;
  uint32_t weight = 1;
  std::optional<uint32_t> most;  // connections
  bool keeps_sessions = false;   // when it fails
  std::vector<Checker> checkers;
};

struct VirtualServer {
  unsigned line = 0;
  std::string name;
  std::vector<Listener> listeners;
  std::string scheduler = "wlc";
  std::set<std::string> flags;  // "sh-port", "mh-port"
  Forwarding forwarding = Forwarding::kNat;
  bool is_tcp = true;
  bool keeps_sessions = false;
  std::optional<unsigned> persistent;  // the line that says so
  bool persists_prefix = false;
  Timing timing;
  std::vector<RealServer> servers;
  std::optional<RealServer> sorry;
};

/// Those over TCP that listen somewhere, each with a real server at least; the rest is left out with a remark.
std::vector<VirtualServer> read_virtual_servers(const std::vector<Block>& blocks, Remarks& remarks);

}  // namespace sluice::config::keepalived

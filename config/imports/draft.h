// SPDX-License-Identifier: Apache-2.0
//
// A configuration of ours in the making: what an import found, and nothing that is a default.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"

namespace sluice::config::imports {

using Milliseconds = std::chrono::milliseconds;

struct DraftCheck {
  std::string name;
  CheckType type = CheckType::kTcp;
  Proxy proxy = Proxy::kNone;
  std::string helo, expect, reject;
  std::optional<uint16_t> port;
  std::optional<Milliseconds> interval, fast_interval, connect_timeout, reply_timeout;
  std::optional<uint32_t> rise, fall;
  bool soft_is_down = false;  // 4xx counts as any other failure
};

struct DraftBackend {
  std::string name, address;
  std::optional<uint16_t> port;
  std::optional<uint32_t> weight, max_connections;
  std::optional<uint32_t> tier;
  std::string agent;  // "ADDRESS:PORT"
};

struct DraftPool {
  std::string name, check;
  std::optional<Milliseconds> slow_start, agent_interval;
  std::vector<DraftBackend> backends;
};

struct DraftService {
  std::string name, vip, pool, check;
  uint16_t port = 0;
  Scheduler scheduler = Scheduler::kWrr;
  HashOn hash_on = HashOn::kConnection;
  Forwarding forwarding = Forwarding::kNat;
  Proxy proxy = Proxy::kNone;
  std::optional<uint32_t> mss;
  bool keep_when_down = true;
  bool vip_made_up = false;
};

struct Draft {
  std::vector<DraftCheck> checks;
  std::vector<DraftPool> pools;
  std::vector<DraftService> services;
  std::optional<Milliseconds> established;  // only if longer than our default
};

/// The draft as a configuration file. Its first line says that `command` made it, of the file `origin`.
std::string write_draft(const Draft& draft, const std::string& origin, const std::string& command);

}  // namespace sluice::config::imports

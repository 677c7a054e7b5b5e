// SPDX-License-Identifier: Apache-2.0
//
// What no single line of the table of settings can say: defaults that follow from other settings, names that stand
// twice, references, and settings that contradict each other. Faults go into the findings, at the setting
// that has to change.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "config/file/findings.h"
#include "config/model.h"

namespace sluice::config {

/// Fills in the defaults that depend on other settings.
void fill_in(Config& config, const Findings& findings);

void check_dataplane(const Config& config, Findings& findings);
void check_control(const Config& config, Findings& findings);
void check_checks(const Config& config, Findings& findings);
void check_pools(const Config& config, Findings& findings);
void check_services(const Config& config, Findings& findings);
void check_limits(const Config& config, Findings& findings);
void check_routes(const Config& config, Findings& findings);
void check_announce(const Config& config, Findings& findings);
void check_fleet(const Config& config, Findings& findings);

/// All of the above.
void check_rules(const Config& config, Findings& findings);

/// The least prime >= n.
uint32_t next_prime(uint32_t n);

/// Finds what stands twice: remembers under which path each key was first seen.
template <class Key>
class FirstSeen {
 public:
  /// The path under which `key` was seen before, if it was.
  std::optional<std::string> put(const Key& key, const std::string& path) {
    const auto [at, fresh] = first_.try_emplace(key, path);
    return fresh ? std::nullopt : std::optional(at->second);
  }

 private:
  std::map<Key, std::string> first_;
};

}  // namespace sluice::config

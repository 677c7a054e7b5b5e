// SPDX-License-Identifier: Apache-2.0
//
// What another configuration would change: settings, shares of new connections by the real tables, and how many open
// flows it would cut. Pure: a comparison of two configurations and of the models made of them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/model.h"

namespace sluice::control {

/// Open flows, as the data plane counts them; nothing while it does not.
struct FlowCounts {
  std::function<std::optional<uint64_t>(const Member&)> of_member;
  std::function<std::optional<uint64_t>(const ServiceState&)> of_service;
};

struct ReloadPlan {
  enum class What : uint8_t { kAdded, kRemoved, kChanged };
  struct Change {
    What what = What::kChanged;
    std::string kind;  // "service", "pool", "backend", "check", "control"
    std::string name;
    std::string text;  // "weight 100 -> 200, port 25 -> 26"; "" for what is added or removed
  };
  /// Of a service's new connections, what a backend gets.
  struct Share {
    std::string service;
    std::string backend;
    double before = 0;  // 0 to 1
    double after = 0;   // once backends that are new have passed their first checks
  };
  struct Cut {
    std::string what;  // "backend mta/mta1:25", "service relay"
    uint64_t flows = 0;
  };

  std::vector<Change> changes;
  std::vector<std::string> dataplane_restart;  // "dataplane.workers": left as they are until the process restarts
  std::vector<std::string> control_restart;
  std::vector<Share> shares;  // those that change
  std::vector<Cut> cuts;
  std::optional<uint64_t> flows_cut;  // in all; nothing while the data plane does not count

  bool is_empty() const { return changes.empty() && dataplane_restart.empty() && control_restart.empty(); }
  /// One line: "2 changes; 12 flows cut; dataplane.workers waits for a restart of the data plane".
  std::string summary() const;
};

/// From `running`, of which `model` was made, to `wanted`.
ReloadPlan plan_reload(const config::Config& running, const config::Config& wanted, const Model& model,
                       const FlowCounts& flows, SystemTime now);

/// `wanted`, but with what only a restart of either process can change left as in `running`.
config::Config without_restart(const config::Config& running, config::Config wanted);

}  // namespace sluice::control

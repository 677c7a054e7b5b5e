// SPDX-License-Identifier: Apache-2.0
//
// What another configuration would change: settings, shares of new connections by the real tables, and how many open
// flows it would cut. Pure: a comparison of two configurations and of the models made of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/model/model.h"

namespace sluice::control {

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
  /// What leaves the file and keeps its open flows until they end, or until the deadline.
  struct Drain {
    std::string what;  // as of a Cut
    uint64_t flows = 0;
    uint64_t deadline_s = 0;
  };
  /// What goes on with the open flows of something of another name.
  struct Move {
    std::string from;  // as of a Cut
    std::string to;
  };

  std::vector<Change> changes;
  std::vector<std::string> dataplane_restart;  // "dataplane.workers": left as they are until the process restarts
  std::vector<std::string> control_restart;
  std::vector<Share> shares;  // those that change
  std::vector<Cut> cuts;
  std::optional<uint64_t> flows_cut;  // in all; nothing while the data plane does not count
  std::vector<Drain> drains;
  std::optional<uint64_t> flows_draining;  // in all, as above
  std::vector<Move> moves;
  std::vector<std::string> warnings;  // "FILE:LINE: warning: ...": what is taken, and most likely a mistake
  std::string fault;                  // why it cannot be done; "" if it can

  bool is_empty() const {
    return changes.empty() && dataplane_restart.empty() && control_restart.empty() && cuts.empty() && drains.empty() &&
           moves.empty();
  }
  /// One line: "2 changes; 12 open flows cut; 3 go on to their end; dataplane.workers left until the data plane
  /// restarts".
  std::string summary() const;
};

/// From `running`, of which `model` was made, to `wanted`.
ReloadPlan plan_reload(const config::Config& running, const config::Config& wanted, const Model& model,
                       const FlowCounts& flows, SystemTime now);

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// The settings in which two configurations differ, in an operator's words: those that a reload changes, and those that
// only a restart does.
#pragma once

#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/changes/reload_plan.h"

namespace sluice::control {

/// What of a configuration the data plane reads when it starts, and then no more.
struct StartSettings {
  config::Dataplane dataplane;
  config::Fleet fleet;

  static StartSettings of(const config::Config& config) {
    StartSettings out{config.dataplane, config.fleet};
    out.fleet.zone.clear();  // which control alone looks at, as it does at etcd
    out.fleet.etcd.reset();
    return out;
  }
  bool operator==(const StartSettings&) const = default;
};

std::vector<ReloadPlan::Change> config_changes(const config::Config& running, const config::Config& wanted);

/// "dataplane.workers", "fleet": left as they are until the data plane restarts.
std::vector<std::string> dataplane_differences(const config::Config& running, const config::Config& wanted);
/// "control.http": likewise control.
std::vector<std::string> control_differences(const config::Config& running, const config::Config& wanted);
/// `wanted`, but with what only a restart of either process can change left as in `running`.
config::Config without_restart(const config::Config& running, config::Config wanted);

}  // namespace sluice::control

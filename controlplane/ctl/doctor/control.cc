// SPDX-License-Identifier: Apache-2.0
//
// Whether control runs, and has its data plane.
#include <nlohmann/json.hpp>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

void examine_control(const Patient& patient, Report& report) {
  if (patient.status == nullptr)
    return report.warn("control", "does not answer: what it knows of servers is not in this report",
                       "systemctl start sluice-control@" + patient.config.instance);
  const nlohmann::json& dataplane = patient.status->at("dataplane");
  if (dataplane.at("connected").get<bool>())
    report.ok("data plane", "control is connected to it");
  else
    report.fail("data plane", "control is not connected to it: " + dataplane.at("reason").get<std::string>(),
                "systemctl status sluice-dataplane@" + patient.config.instance);
}

}  // namespace sluice::ctl

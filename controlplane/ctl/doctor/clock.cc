// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

void examine_clock(const Patient& patient, Report& report) {
  if (patient.machine.clock_is_synchronised()) return report.ok("clock", "is synchronised");
  report.warn("clock", "nobody keeps it right: certificates, warm-up and records go by it",
              "run chrony, ntpd or systemd-timesyncd");
}

}  // namespace sluice::ctl

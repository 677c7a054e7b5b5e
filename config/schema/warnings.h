// SPDX-License-Identifier: Apache-2.0
//
// What is taken as it stands and most likely is not what was meant: it can never work, or works otherwise than it
// reads. Warnings go into the findings of a file that has no fault. They look at nothing but the file.
#pragma once

#include "config/file/findings.h"
#include "config/model.h"

namespace sluice::config {

void warn_of_dataplane(const Config& config, Findings& findings);
void warn_of_checks(const Config& config, Findings& findings);
void warn_of_pools(const Config& config, Findings& findings);
void warn_of_services(const Config& config, Findings& findings);
void warn_of_fleet(const Config& config, Findings& findings);
void warn_of_what_is_unused(const Config& config, Findings& findings);

/// All of the above.
void add_warnings(const Config& config, Findings& findings);

}  // namespace sluice::config

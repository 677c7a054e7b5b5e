// SPDX-License-Identifier: Apache-2.0
//
// Groups of the table of settings (settings.h) that are declared in files of their own.
#pragma once

#include "config/model.h"
#include "config/schema/schema.h"

namespace sluice::config {

Group<Dataplane> dataplane_settings();
Group<Sources> sources_settings();
Group<Announce> announce_settings();
Group<Records> records_settings();
Group<Fleet> fleet_settings();

}  // namespace sluice::config

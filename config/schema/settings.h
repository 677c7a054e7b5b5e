// SPDX-License-Identifier: Apache-2.0
//
// The table of all settings: the one place where a setting is declared.
#pragma once

#include "config/model.h"
#include "config/schema/schema.h"

namespace sluice::config {

/// The settings of the whole file. Built on first use.
const Group<Config>& settings();

/// Those of a document of discovered members.
const Group<Pool>& discovered_settings();

}  // namespace sluice::config

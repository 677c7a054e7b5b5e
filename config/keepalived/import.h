// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl import keepalived`: the virtual servers of a keepalived.conf, which are IPVS's, as a configuration of
// ours.
#pragma once

#include <string>
#include <string_view>

#include "config/imports/imported.h"

namespace sluice::config::keepalived {

/// Converts `text`, which came from the file `name`. Does not throw on bad input; time and memory are linear in its
/// size, up to what our own file allows.
imports::Imported import(const std::string& name, std::string_view text);

}  // namespace sluice::config::keepalived

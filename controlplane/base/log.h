// SPDX-License-Identifier: Apache-2.0
//
// The program's log: one line per message on standard error, as text or as JSON.
#pragma once

#include "config/model.h"

namespace sluice::control {

/// Sets up spdlog's default logger. Call once, before anything is logged.
void set_up_log(config::LogLevel level, config::LogFormat format);

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl import haproxy`: a TCP-mode haproxy.cfg for SMTP as a configuration of ours.
#pragma once

#include <string>
#include <string_view>

#include "config/haproxy/convert.h"
#include "config/haproxy/file.h"
#include "config/imports/imported.h"

namespace sluice::config::haproxy {

using imports::Imported;

/// Converts `text`, which came from the file `name`. Does not throw on bad input; time and memory are linear in its
/// size, up to what our own file allows.
Imported import(const std::string& name, std::string_view text, const Vips& vips = {});

}  // namespace sluice::config::haproxy

// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl import haproxy`: a TCP-mode haproxy.cfg for SMTP as a configuration of ours.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "config/haproxy/convert.h"
#include "config/haproxy/file.h"

namespace sluice::config::haproxy {

struct Imported {
  std::string text;  // a file that our loader takes; "" if nothing could be converted
  std::vector<Remark> remarks;
  std::string failure;  // why `text` is empty
};

/// Converts `text`, which came from the file `name`. Does not throw on bad input; time and memory are linear in its
/// size, up to what our own file allows.
Imported import(const std::string& name, std::string_view text, const Vips& vips = {});

}  // namespace sluice::config::haproxy

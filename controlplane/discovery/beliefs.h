// SPDX-License-Identifier: Apache-2.0
//
// What of a source's word is believed. Backends that join, and what changes of those that are known, are taken as they
// are: they pass their checks before they get traffic. Of backends that leave, more than a share at once is taken for a
// fault of the source, and they stay. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "config/model.h"

namespace sluice::control {

/// A backend that is not in the file.
struct Discovered {
  config::Backend backend;
  std::string json;      // what told of it, for the state directory
  bool missing = false;  // its source does not name it any more, and is not believed

  friend bool operator==(const Discovered&, const Discovered&) = default;
};

/// By name, which is that of the backend.
using DiscoveredBackends = std::map<std::string, Discovered>;

struct Belief {
  DiscoveredBackends backends;
  std::vector<std::string> joined, changed, left;
  std::vector<std::string> missing;  // that were not missing before
};

/// What is known from now on, after a source said `told`. `others` is how many backends the pool has beside those of
/// this source; more than `panic_share` (0 to 1) of them all together, or all of the source's, may not leave at once.
Belief believe(const DiscoveredBackends& known, DiscoveredBackends told, size_t others, double panic_share);

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// What of a source's word is believed. Backends that join, and what changes of those that are known, are taken as they
// are: they pass their checks before they get traffic. So is that backends leave which said so themselves, as long as
// anybody is left. Of others that leave, more than a share at once is taken for a fault of the source, and they stay.
// Pure.
#pragma once

#include <cstddef>
#include <map>
#include <set>
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
  std::vector<std::string> lost;     // those of `left` who did not say that they would
  std::vector<std::string> missing;  // that were not missing before
  std::string fault;                 // why of what the source said no more than who leaves is taken; "" = all is
};

/// By what a source is judged.
struct Measure {
  size_t others = 0;              // backends that the pool has beside those of this source
  double panic_share = 0;         // of all of them, 0 to 1: more than this may not be lost
  std::set<std::string> leaving;  // who say themselves that they leave; they do not count where the pool would be empty
  std::set<std::string> lost;     // who were lost before, so lately that they count as lost at once with others
};

/// What is known from now on, after a source said `told`. Those who leave without having said so are lost. They are not
/// believed to have left if with them more are lost than may be, or if nobody would be left.
Belief believe(const DiscoveredBackends& known, DiscoveredBackends told, const Measure& measure);

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// A change of a key that operators share: it is made only if nobody has made another since the key was looked at. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

struct FencedChange {
  std::string name;                  // of the key, below the prefix
  int64_t revision = 0;              // of what it holds; 0 = there is none
  std::optional<std::string> value;  // JSON that names its "who" and "node"; nothing: the key goes
  std::optional<std::chrono::seconds> lasts = std::nullopt;  // after this, etcd lets it go by itself
};

/// Why changes were not made: which of the keys is not what it was, and whose word it is now. Nothing if all are as
/// they should be: an answer was lost, and the change made twice.
std::optional<std::string> conflict_in(const std::vector<FencedChange>& changes, const std::string& prefix,
                                       const std::vector<etcd::Record>& now);

/// "root (uid 0) at edge1", as the value of a key says.
std::string author_of(const std::string& value);

}  // namespace sluice::control

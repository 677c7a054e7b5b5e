// SPDX-License-Identifier: Apache-2.0
//
// What operators wish for backends on all nodes: the key PREFIX/wishes/POOL/BACKEND or PREFIX/wishes/POOL/BACKEND:PORT
// holds one. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/changes/by_hand.h"
#include "controlplane/fleet/etcd_messages.h"
#include "controlplane/fleet/fenced_change.h"

namespace sluice::control {

struct WishChange {
  std::string name;          // "mta/mta1", "mta/mta1:25"
  int64_t revision = 0;      // of what is wished now; 0 = nothing is
  std::optional<Wish> wish;  // nothing: no more
};

/// What the keys below `prefix`, "/sluice/mx/wishes/", say; and which of them make no sense: these wish for nothing.
struct WishListing {
  Wishes wishes;
  std::vector<std::string> faults;
};
WishListing wishes_in(const std::vector<etcd::Record>& records, const std::string& prefix);

/// As etcd has it.
FencedChange fenced(const WishChange& change);

}  // namespace sluice::control

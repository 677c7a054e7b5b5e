// SPDX-License-Identifier: Apache-2.0
//
// What operators wish for backends on all nodes: the key PREFIX/wishes/POOL/BACKEND or PREFIX/wishes/POOL/BACKEND:PORT
// holds one. A change is made only if nobody has made another since it was looked at.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/changes/by_hand.h"
#include "controlplane/fleet/etcd_messages.h"

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

/// Makes all of these changes or none, and then tells `told` of all keys as they are. `done`: what came of it; the
/// error says why not, or who was faster. Neither is called before this returns.
void change_wishes(boost::asio::io_context& io, const config::Etcd& etcd, const std::string& prefix,
                   std::vector<WishChange> changes, std::function<void(const etcd::Listing&)> told,
                   std::function<void(std::expected<void, std::string>)> done);

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// Watches which addresses the kernel has, on whatever interface of this network namespace: what comes for one of them
// is the kernel's. Main lcore only.
#pragma once

#include <vector>

#include "dataplane/base/shared_memory.h"
#include "dataplane/worker/own_addresses.h"

namespace sluice {

class AddressWatch {
 public:
  /// Tells `own` of the addresses that are there, and later of those that come and go. Throws SetupError if the kernel
  /// gives no netlink socket.
  explicit AddressWatch(OwnAddresses& own);

  /// Readable when something has changed; poll() then looks.
  int descriptor() const { return notifications_.get(); }
  void poll();

 private:
  void survey();

  OwnAddresses& own_;
  Descriptor notifications_;
  bool too_many_ = false;
};

}  // namespace sluice

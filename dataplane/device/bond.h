// SPDX-License-Identifier: Apache-2.0
//
// Several devices as one, by DPDK's bonding driver (rte_net_bond): one member at a time (active-backup), or all that
// the switch has taken in by LACP (IEEE 802.1AX), flows spread over them by addresses and ports. The driver learns of a
// link by interrupts that not every card sends, and of a kernel interface's never; so members are asked here, and the
// active one is chosen here: it stays as long as it has a link. Main lcore only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dataplane/device/link.h"
#include "dataplane/device/open_device.h"
#include "dataplane/device/options.h"

namespace sluice {

class Bond {
 public:
  struct Member {
    OpenedDevice opened;
    LinkState link;
    bool carries = false;  // packets go through it
  };

  /// Opens the members and binds them. Throws SetupError.
  Bond(const std::string& port, const BondOptions& options);
  /// Closes all of them. The bond has to be stopped.
  ~Bond();
  Bond(const Bond&) = delete;
  Bond& operator=(const Bond&) = delete;

  uint16_t id() const { return id_; }
  bool is_lacp() const { return lacp_; }
  std::span<const Member> members() const { return members_; }

  /// Asks each member for its link and, with active-backup, goes over to the first that has one if the active one has
  /// lost it. Returns whether others carry than before. For a bond that is started.
  bool watch();
  /// As of the last watch(): up if any member carries; with the speed of those that do.
  LinkState link() const;

 private:
  void choose_active();
  bool is_carrying(const Member& member) const;

  bool lacp_;
  std::string name_;  // DPDK's
  uint16_t id_ = 0;
  std::vector<Member> members_;
};

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// Several devices as one, by DPDK's bonding driver (rte_net_bond): one member at a time (active-backup), or all that
// the switch has taken in by LACP (IEEE 802.1AX), flows spread over them by addresses and ports. The link of a kernel
// interface is asked for; that of a card with an interrupt for it is what the last one said, as DPDK asks such a card
// no more. The active one is chosen here: it stays as long as it has a link. A member whose card is missing when we
// start, or is taken away, is one without a link. Main lcore only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/device/card_events.h"
#include "dataplane/device/link.h"
#include "dataplane/device/open_device.h"
#include "dataplane/device/options.h"

namespace sluice {

class Bond {
 public:
  struct Member {
    OpenedDevice opened;
    std::unique_ptr<CardEvents> events;  // null = its card is not there
    LinkState link;
    bool carries = false;  // packets go through it

    bool is_there() const { return events != nullptr; }
  };

  /// Opens the members and binds them; says which cards are missing, of which one at least has to be there. Throws
  /// SetupError.
  Bond(const std::string& port, const BondOptions& options);
  /// Closes all of them. The bond has to be stopped.
  ~Bond();
  Bond(const Bond&) = delete;
  Bond& operator=(const Bond&) = delete;

  uint16_t id() const { return id_; }
  bool is_lacp() const { return lacp_; }
  std::span<const Member> members() const { return members_; }

  /// Asks each member for its link and, with active-backup, goes over to the first that has one if the chosen one has
  /// lost it. What the driver does meanwhile by itself it takes back when the chosen one has its link again. Returns
  /// whether others carry than before. For a bond that is started.
  bool watch();
  /// Closes the cards that the kernel asks back, but for the last one. `wait_a_round` returns when each worker has
  /// asked the bond for packets once more since it was called. Returns the devices that were closed.
  std::vector<std::string> let_go(const std::function<void()>& wait_a_round);
  /// Whether every card that is left is asked back.
  bool is_asked_back() const;
  /// As of the last watch(): up if any member carries; with the speed of those that do.
  LinkState link() const;

 private:
  void add(const std::string& port, const std::string& device);
  void choose_active();
  void close(Member& member, const std::function<void()>& wait_a_round);
  bool is_carrying(const Member& member) const;

  bool lacp_;
  std::string name_;  // DPDK's
  uint16_t id_ = 0;
  uint16_t chosen_ = 0;  // of the members, with active-backup: the one that the driver was told
  std::vector<Member> members_;
};

}  // namespace sluice

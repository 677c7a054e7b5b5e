// SPDX-License-Identifier: Apache-2.0
//
// A network device under DPDK, or a bond of several: opened by its device string, set up by a PortPlan, closed at the
// end.
#pragma once

#include <rte_mempool.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/contract/ports.h"
#include "dataplane/device/bond.h"
#include "dataplane/device/card_events.h"
#include "dataplane/device/link.h"
#include "dataplane/device/memory_plan.h"
#include "dataplane/device/options.h"
#include "dataplane/device/port_plan.h"

namespace sluice {

class Device {
 public:
  /// Opens the port's device. Throws SetupError.
  explicit Device(const PortOptions& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  uint16_t id() const { return id_; }
  const std::string& driver() const { return driver_; }
  MacAddress mac() const { return mac_; }
  uint16_t mtu() const { return mtu_; }
  const PortOptions& options() const { return options_; }
  DeviceCapabilities capabilities() const;
  /// Asked for at every call (link_of()); of a bond, as of its last watch().
  LinkState link() const;
  /// The devices of which it is made, or null if it is one.
  Bond* bond() { return bond_.get(); }
  const Bond* bond() const { return bond_.get(); }
  /// Whether the driver has frames of its own to send (LACP), which leave when it is asked to transmit, if only
  /// nothing.
  bool has_own_frames() const { return bond_ != nullptr && bond_->is_lacp(); }
  /// Whether the kernel waits for us to close it, or the last that is left of a bond: the process has to end.
  bool is_asked_back() const { return bond_ != nullptr ? bond_->is_asked_back() : events_->is_asked_back(); }
  /// What one queue pair draws on a pool.
  QueueDemand queue_demand() const;

  /// Sets up queues and starts: not to steer, if that is what keeps it from starting. `pools`: by queue. Throws
  /// SetupError.
  void start(const PortPlan& plan, std::span<rte_mempool* const> pools);
  /// Tells a device that has been started to put packets before the worker that has their flow. `queues`: of each class
  /// of flows. Returns what was refused, for the log; empty: nothing. Throws SetupError if it does not run after that.
  std::string steer(const PortPlan& plan, std::span<rte_mempool* const> pools, std::span<const uint16_t> queues);
  /// Multicast frames have to come in: neighbour discovery depends on them.
  void accept_multicast();
  /// "net_af_xdp0 (net_af_xdp), MAC ..., MTU 1500": for the log.
  std::string describe() const;

 private:
  bool is_to_steer(const PortPlan& plan) const { return plan.steering.steers && refused_.empty(); }
  void start_or_fail(const PortPlan& plan, std::span<rte_mempool* const> pools);
  void prepare(const PortPlan& plan, std::span<rte_mempool* const> pools);
  void configure(const PortPlan& plan);
  int try_configure(const PortPlan& plan, bool steers);
  void set_up_receive_queue(uint16_t queue, unsigned socket, const PortPlan& plan, rte_mempool* pool);
  void choose_mtu(uint16_t most);
  void set_mtu();
  /// Whose frames come in, and how the card is to behave, as configured.
  void set_manners();
  void set_flow_control();
  [[noreturn]] void fail(const std::string& what, int error) const;

  PortOptions options_;
  std::unique_ptr<Bond> bond_;
  std::string interface_;  // of the kernel, under the device; "" = none, or a bond's
  std::string driver_;
  uint16_t id_ = 0;
  uint16_t mtu_ = 1500;
  uint16_t receive_descriptors_ = 0;
  uint16_t transmit_descriptors_ = 0;
  MacAddress mac_;
  bool started_ = false;
  std::string refused_;                 // of what would make it steer; it is configured without, then
  std::unique_ptr<CardEvents> events_;  // null: a bond's members have their own
};

/// "02:00:00:00:00:01".
std::string to_string(const MacAddress& mac);

}  // namespace sluice

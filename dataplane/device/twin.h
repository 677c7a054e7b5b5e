// SPDX-License-Identifier: Apache-2.0
//
// A port's kernel twin: a TAP interface with the port's MAC and MTU. What the kernel sends on it
// leaves by the port; what the worker punts arrives on it. The kernel computes checksums in full and cuts to the
// MTU itself: the TAP offers it no offloads. Its carrier follows the card's link. It goes with the process; if somebody
// deletes it meanwhile, it can be made anew. DPDK's own TAP driver is not under it, as that takes no MTU above 1504.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <cstdint>
#include <span>
#include <string>

#include "dataplane/base/shared_memory.h"
#include "dataplane/contract/address.h"

namespace sluice {

struct TwinOptions {
  uint16_t port_index = 0;  // of dataplane.ports
  std::string port;         // its name
  std::string interface;
  MacAddress mac;
  uint16_t mtu = 1500;
  uint16_t vlan = 0;  // the port's: its tag is put on what leaves untagged and taken off what arrives; 0 = none
};

struct TwinCounters {
  uint64_t to_kernel = 0;
  uint64_t from_kernel = 0;
  uint64_t lost_to_kernel = 0;
  uint64_t lost_from_kernel = 0;
};

class Twin {
 public:
  /// Makes the interface and sets it up. `pool` lends the buffers. Throws SetupError.
  Twin(const TwinOptions& options, rte_mempool* pool);
  ~Twin();
  Twin(const Twin&) = delete;
  Twin& operator=(const Twin&) = delete;

  /// Whether the interface is there, by whatever name.
  bool is_there() const;
  /// It is gone from the kernel, which takes some tens of milliseconds.
  void close();
  /// Makes it anew; its addresses and routes are lost. False if that cannot be done now; what is given to it meanwhile
  /// is lost.
  bool renew();

  /// Gives the interface the port's MAC address again if it has another: udev (MACAddressPolicy=persistent), which
  /// looks at each new interface, may change it after us. Returns whether it had one.
  bool restore_mac();

  /// Readable when the kernel has sent something; another one after renew(). Who waits on it says so: take() does not
  /// ask the kernel before.
  int descriptor() const { return tap_.get(); }
  void note_readable() { is_readable_ = true; }
  /// Gives packets to the kernel; they are freed in any case.
  void give(std::span<rte_mbuf*> mbufs);
  /// Takes what the kernel sent, with `mbuf->port` set to the port's index. Returns how many.
  uint16_t take(std::span<rte_mbuf*> mbufs);
  /// Whether the kernel sees a carrier on the interface: routing daemons and control go by it. True on success.
  bool set_carrier(bool up);
  void count_lost_from_kernel(uint64_t n) { counters_.lost_from_kernel += n; }

  const TwinOptions& options() const { return options_; }
  const TwinCounters& counters() const { return counters_; }

 private:
  void open();
  /// Null: there is none, or no buffer for it.
  rte_mbuf* read_frame();
  [[noreturn]] void fail(const std::string& what, int error) const;

  TwinOptions options_;
  rte_mempool* pool_;
  TwinCounters counters_;
  Descriptor tap_;
  bool is_readable_ = false;
  rte_mbuf* spare_ = nullptr;  // for the next frame
};

}  // namespace sluice

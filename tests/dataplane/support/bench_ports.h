// SPDX-License-Identifier: Apache-2.0
//
// Devices made of rings (DPDK's net_ring) and an EAL without huge pages, for tests that drive a worker
// with crafted frames.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <cstdint>
#include <vector>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {

/// Starts the EAL once per process, without huge pages, PCI or files. Aborts if it cannot.
void start_eal();

/// A pool of `count` mbufs that lives as long as the process.
rte_mempool* make_pool(unsigned count);

/// A new mbuf with the frame in it.
rte_mbuf* make_mbuf(rte_mempool* pool, const Bytes& frame);

/// A device whose receive and transmit sides are rings: of each queue one.
class RingPort {
 public:
  explicit RingPort(rte_mempool* pool, uint32_t queues = 1);
  ~RingPort();
  RingPort(const RingPort&) = delete;
  RingPort& operator=(const RingPort&) = delete;

  uint16_t device() const { return device_; }
  /// Puts a frame before the receiver.
  void arrive(const Bytes& frame) { arrive(0, make_mbuf(pool_, frame)); }
  void arrive(uint32_t queue, rte_mbuf* mbuf);
  rte_mempool* pool() const { return pool_; }
  /// Everything transmitted since the last call.
  std::vector<Bytes> take();

 private:
  rte_mempool* pool_;
  std::vector<rte_ring*> receive_;
  std::vector<rte_ring*> transmit_;
  uint16_t device_;
};

/// The frames in a ring of mbufs, freed.
std::vector<Bytes> drain(rte_ring* ring);

}  // namespace sluice::testing

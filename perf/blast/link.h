// SPDX-License-Identifier: Apache-2.0
//
// One end of a wire: a device's only queue pair, with a queue of frames that wait to be sent. What a device does not
// take at once is offered again, so that the generator's own limits are not counted as the tested box's losses.
#pragma once

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/contract/address.h"

namespace sluice::blast {

class Link {
 public:
  static constexpr uint32_t kBurst = 32;

  /// Over a started device.
  Link(uint16_t device, const MacAddress& mac, rte_mempool* pool) : device_(device), mac_(mac), pool_(pool) {}

  const MacAddress& mac() const { return mac_; }

  /// Up to kBurst frames; the caller frees them.
  std::span<rte_mbuf*> receive() {
    const uint16_t n = rte_eth_rx_burst(device_, 0, received_.data(), kBurst);
    return {received_.data(), n};
  }

  /// An empty frame, or null where there is none: counted.
  rte_mbuf* make() {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool_);
    if (mbuf == nullptr) unsent_++;
    return mbuf;
  }

  /// Queues a frame, which is sent by flush() at the latest. A full queue drops it: counted.
  void send(rte_mbuf* mbuf) {
    if (waiting_ == queue_.size()) flush();
    if (waiting_ == queue_.size()) {
      unsent_++;
      rte_pktmbuf_free(mbuf);
      return;
    }
    queue_[waiting_++] = mbuf;
  }

  void flush() {
    if (waiting_ == 0) return;
    const uint16_t sent = rte_eth_tx_burst(device_, 0, queue_.data(), static_cast<uint16_t>(waiting_));
    waiting_ -= sent;
    for (uint32_t i = 0; i < waiting_; i++) queue_[i] = queue_[i + sent];
  }

  /// Whether the device lags behind: no time to begin anything new.
  bool is_congested() const { return waiting_ > queue_.size() / 2; }

  /// Frames that the generator could not send.
  uint64_t unsent() const { return unsent_; }

 private:
  uint16_t device_;
  MacAddress mac_;
  rte_mempool* pool_;
  uint32_t waiting_ = 0;
  uint64_t unsent_ = 0;
  std::array<rte_mbuf*, kBurst> received_;
  std::array<rte_mbuf*, 512> queue_;
};

}  // namespace sluice::blast

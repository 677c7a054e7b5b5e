// SPDX-License-Identifier: Apache-2.0
//
// What befalls a card while it runs, as its driver and the kernel tell. Noted by a thread of EAL's, read by main; none
// of it passes by itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace sluice {

class CardEvents {
 public:
  /// Of DPDK's device `id`, which has to outlive it.
  explicit CardEvents(uint16_t id);
  /// Waits for a thread that notes something right now. Not to be called by that.
  ~CardEvents();
  CardEvents(const CardEvents&) = delete;
  CardEvents& operator=(const CardEvents&) = delete;

  /// Why the card is of no use any more; "" = it is.
  std::string trouble() const;
  /// The kernel is to remove the card (hot unplug, another driver), and waits until nobody has it open. Packets pass
  /// until then.
  bool is_asked_back() const { return asked_back_.load(std::memory_order_relaxed); }

 private:
  uint16_t id_;
  std::string name_;  // the bus's
  std::atomic<bool> needs_reset_{false};
  std::atomic<bool> removed_{false};
  std::atomic<bool> asked_back_{false};
};

}  // namespace sluice

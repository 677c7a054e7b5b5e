// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/card_events.h"

#include <rte_dev.h>
#include <rte_ethdev.h>

#include <cerrno>
#include <thread>

namespace sluice {
namespace {

void note(void* flag) {
  static_cast<std::atomic<bool>*>(flag)->store(true, std::memory_order_relaxed);
}

/// RTE_ETH_EVENT_INTR_RESET and _RMV. `flag`: the std::atomic<bool> to be set.
int note_of_driver(uint16_t, rte_eth_event_type, void* flag, void*) {
  note(flag);
  return 0;
}

/// VFIO's request to close the card comes as RTE_DEV_EVENT_REMOVE.
void note_of_bus(const char*, rte_dev_event_type event, void* flag) {
  if (event == RTE_DEV_EVENT_REMOVE) note(flag);
}

/// `unregister` does nothing while EAL's thread runs the callback, which writes to what is about to go.
template <typename Unregister>
void until_done(Unregister unregister) {
  while (unregister() == -EAGAIN) std::this_thread::yield();
}

}  // namespace

CardEvents::CardEvents(uint16_t id) : id_(id) {
  rte_eth_dev_info info{};
  if (rte_eth_dev_info_get(id, &info) == 0 && info.device != nullptr) name_ = rte_dev_name(info.device);
  rte_eth_dev_callback_register(id_, RTE_ETH_EVENT_INTR_RESET, note_of_driver, &needs_reset_);
  rte_eth_dev_callback_register(id_, RTE_ETH_EVENT_INTR_RMV, note_of_driver, &removed_);
  if (!name_.empty()) rte_dev_event_callback_register(name_.c_str(), note_of_bus, &asked_back_);
}

CardEvents::~CardEvents() {
  if (!name_.empty())
    until_done([this] { return rte_dev_event_callback_unregister(name_.c_str(), note_of_bus, &asked_back_); });
  until_done(
      [this] { return rte_eth_dev_callback_unregister(id_, RTE_ETH_EVENT_INTR_RMV, note_of_driver, &removed_); });
  until_done(
      [this] { return rte_eth_dev_callback_unregister(id_, RTE_ETH_EVENT_INTR_RESET, note_of_driver, &needs_reset_); });
}

std::string CardEvents::trouble() const {
  if (removed_.load(std::memory_order_relaxed)) return "the card is gone";
  if (is_asked_back()) return "the kernel takes the card away";
  if (needs_reset_.load(std::memory_order_relaxed)) {
    return "the card has to be reset, as its host tells; restart sluice-dataplane";
  }
  return "";
}

}  // namespace sluice

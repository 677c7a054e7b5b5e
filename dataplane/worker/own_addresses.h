// SPDX-License-Identifier: Apache-2.0
//
// The addresses that the kernel has on its interfaces: what is for one of them is the kernel's. Written by the main
// lcore alone, read by all workers: two tables, of which the one that is not in use is filled and then takes the
// other's place. A worker that is just looking while both are exchanged may miss an address for that one packet.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/contract/address.h"
#include "dataplane/contract/placement.h"

namespace sluice {

class OwnAddresses {
 public:
  static constexpr uint32_t kMax = 2048;

  /// Replaces all of them. Those beyond kMax are left out.
  void set(std::span<const Address> addresses) noexcept {
    const uint32_t next = 1 - in_use_.load(std::memory_order_relaxed);
    for (Slot& slot : tables_[next]) put(slot, Address{});
    for (const Address& address : addresses.first(std::min<size_t>(addresses.size(), kMax))) insert(next, address);
    in_use_.store(next, std::memory_order_release);  // pairs with the load in contains(): the table is filled
  }

  bool contains(const Address& address) const noexcept {
    const Table& table = tables_[in_use_.load(std::memory_order_acquire)];
    for (uint32_t i = slot_of(address);; i = (i + 1) & kSlotMask) {
      const Address found = get(table[i]);
      if (found == Address{}) return false;
      if (found == address) return true;
    }
  }

 private:
  static constexpr uint32_t kSlots = 4 * kMax;  // load at most 1/4
  static constexpr uint32_t kSlotMask = kSlots - 1;

  struct Slot {
    std::atomic<uint64_t> first, second;  // an address; `::` = free
  };
  using Table = std::array<Slot, kSlots>;

  static uint32_t slot_of(const Address& address) noexcept {
    return static_cast<uint32_t>(hash_endpoint({address, Be16{}}, 0)) & kSlotMask;
  }
  static void put(Slot& slot, const Address& address) noexcept {
    std::array<uint64_t, 2> words;
    std::memcpy(words.data(), address.bytes.data(), sizeof words);
    slot.first.store(words[0], std::memory_order_relaxed);
    slot.second.store(words[1], std::memory_order_relaxed);
  }
  static Address get(const Slot& slot) noexcept {
    const std::array words{slot.first.load(std::memory_order_relaxed), slot.second.load(std::memory_order_relaxed)};
    Address out;
    std::memcpy(out.bytes.data(), words.data(), sizeof words);
    return out;
  }
  void insert(uint32_t table, const Address& address) noexcept {
    uint32_t i = slot_of(address);
    for (Address found; (found = get(tables_[table][i])) != Address{}; i = (i + 1) & kSlotMask) {
      if (found == address) return;
    }
    put(tables_[table][i], address);
  }

  std::array<Table, 2> tables_{};
  std::atomic<uint32_t> in_use_{0};
};

}  // namespace sluice

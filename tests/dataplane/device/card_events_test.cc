// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/card_events.h"

#include <gtest/gtest.h>
#include <rte_dev.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <thread>

#include "dataplane/device/device.h"
#include "tests/dataplane/support/bench_ports.h"

namespace sluice {
namespace {

TEST(CardEvents, NothingIsNotedWhereTheyWereWhenTheyAreGone) {
  testing::start_eal();
  const Device device({.name = "front", .device = "net_null29"});
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> told{0};
  std::jthread eal([&] {
    for (; !stop; told++) rte_dev_event_callback_process("net_null29", RTE_DEV_EVENT_REMOVE);
  });
  alignas(CardEvents) std::array<std::atomic<std::byte>, sizeof(CardEvents)> place{};
  bool is_written_to = false;
  for (int round = 0; round < 12 && !is_written_to; round++) {
    auto* events = new (place.data()) CardEvents(device.id());
    while (!events->is_asked_back()) std::this_thread::yield();
    std::destroy_at(events);
    for (auto& each : place) each = std::byte{0};
    const uint64_t until = told + 2;  // the one that runs may be of before
    while (told < until) std::this_thread::yield();
    is_written_to = std::ranges::any_of(place, [](const auto& each) { return each != std::byte{0}; });
  }
  stop = true;
  EXPECT_FALSE(is_written_to);
}

}  // namespace
}  // namespace sluice

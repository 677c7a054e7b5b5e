// SPDX-License-Identifier: Apache-2.0
//
// Two workers for the same packets, of which one has only its slow path.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

/// An inspection that nobody meets: with it, a worker takes its packets one at a time and by the slow path alone.
inline void take_slow_path(WorkerBench& bench) {
  channel::StartInspection inspection{};
  inspection.client = address("203.0.113.255");
  inspection.prefix_bits = 128;
  inspection.client_port = Be16::of(1);
  inspection.flags = channel::kInspectForTrace;
  inspection.service = channel::kNoService;
  inspection.backend = channel::kNoBackend;
  inspection.packets = 1;
  inspection.deadline_ms = bench.now_ms() + channel::kMaxInspectionMs / 2;
  bench.start_inspection(0, inspection);
}

/// Whether both have come to the same: what they counted but for the loop's own figures, and each flow to the bit.
inline void expect_same(WorkerBench& fast, WorkerBench& slow) {
  for (size_t i = 0; i < static_cast<size_t>(channel::Counter::kLoops); i++)
    EXPECT_EQ(fast.counter(static_cast<channel::Counter>(i)), slow.counter(static_cast<channel::Counter>(i)))
        << channel::kCounterInfo[i].name;
  const FlowTable& one = fast.worker().flows();
  const FlowTable& other = slow.worker().flows();
  ASSERT_EQ(one.used(), other.used());
  for (FlowIndex i = 0; i < one.used(); i++) {
    EXPECT_EQ(std::memcmp(&one[i], &other[i], sizeof(Flow)), 0) << "flow " << i;
    EXPECT_EQ(std::memcmp(&one.notes()[i], &other.notes()[i], sizeof(channel::SessionNotes)), 0) << "flow " << i;
  }
  EXPECT_EQ(std::memcmp(&fast.stats().services, &slow.stats().services, sizeof fast.stats().services), 0);
  EXPECT_EQ(std::memcmp(&fast.stats().backends, &slow.stats().backends, sizeof fast.stats().backends), 0);
}

}  // namespace sluice::testing

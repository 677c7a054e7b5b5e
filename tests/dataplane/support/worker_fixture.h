// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

inline const Endpoint kVip = endpoint("192.0.2.25", 25);
inline const Endpoint kOtherVip = endpoint("192.0.2.26", 25);
inline const Endpoint kVip6 = endpoint("2001:db8:25::25", 25);
inline const Endpoint kClient = endpoint("198.51.100.7", 40000);
inline const Endpoint kClient6 = endpoint("2001:db8:1::7", 40000);

inline Endpoint backend4(uint16_t id) {
  return endpoint("10.0.1." + std::to_string(10 + id), 2525);
}
inline Endpoint backend6(uint16_t id) {
  return endpoint("fd00:1::" + std::to_string(10 + id), 2525);
}

/// A bench with one v4 service (0) over backends 0..2 and one v6 service (1) over backends 3..5.
class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (uint16_t id = 0; id < 3; id++) bench_.put_backend(id, backend4(id));
    for (uint16_t id = 3; id < 6; id++) bench_.put_backend(id, backend6(id));
    bench_.put_service(0, kVip, {0, 1, 2, 0, 1, 2, 1});
    bench_.put_service(1, kVip6, {3, 4, 5, 3, 4, 5, 4});
    bench_.turn();
    ASSERT_EQ(bench_.counter(channel::Counter::kCommandsApplied), 10u);
  }

  void TearDown() override { bench_.expect_counter_law(); }

  WorkerBench bench_;
};

}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer's way in. A broken law aborts, as a sanitizer's finding does.
#include <gtest/gtest.h>

#include "tests/fuzz/worker_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  GTEST_FLAG_SET(break_on_failure, true);
  sluice::testing::play_input({data, bytes});
  return 0;
}

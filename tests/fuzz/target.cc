// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer's way in, to the function of inputs.h that PLAY names. A broken law aborts, so that libFuzzer keeps the
// input and prints it (GoogleTest's break_on_failure raises SIGTRAP, which libFuzzer does not catch).
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/fuzz/inputs.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  sluice::testing::PLAY({data, bytes});
  if (testing::Test::HasFailure()) std::abort();
  return 0;
}

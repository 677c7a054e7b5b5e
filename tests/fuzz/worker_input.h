// SPDX-License-Identifier: Apache-2.0
//
// One input of the fuzzer: some workers' set-up, and traffic for them.
#pragma once

#include <cstdint>
#include <span>

namespace sluice::testing {

/// Plays the traffic in `bytes` to fresh workers. After each of their turns the counter law has to hold, for each
/// worker, and at the end every packet buffer is back in the pool; what is not so fails the test that is running.
void play_input(std::span<const uint8_t> bytes);

}  // namespace sluice::testing

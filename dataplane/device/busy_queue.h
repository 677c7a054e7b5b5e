// SPDX-License-Identifier: Apache-2.0
//
// The kernel lets go of an AF_XDP queue a moment after the process that had it has ended, and the next one may be there
// sooner.
#pragma once

#include <chrono>
#include <thread>

namespace sluice {

/// What `set_up` returns (0, or what is wrong), after a pause and a second attempt if the first one fails. There is no
/// third: after two, the driver's memory of the queue is no good.
template <typename SetUp>
int set_up_once_free(SetUp set_up, std::chrono::milliseconds pause) {
  if (const int error = set_up(); error == 0) return error;
  std::this_thread::sleep_for(pause);
  return set_up();
}

}  // namespace sluice

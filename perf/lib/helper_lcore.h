// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>

namespace sluice::perf {

[[noreturn]] inline void give_up(const char* why) {
  fprintf(stderr, "error: %s\n", why);
  exit(1);
}

/// Runs jobs on another lcore, one at a time. It polls for them, so one begins within a fraction of a microsecond.
class HelperLcore {
 public:
  explicit HelperLcore(uint32_t lcore) : lcore_(lcore) {
    if (rte_eal_remote_launch(serve, this, lcore) != 0) give_up("the second lcore cannot be had");
  }
  ~HelperLcore() {
    stop_.store(true, std::memory_order_release);
    rte_eal_wait_lcore(lcore_);
  }
  HelperLcore(const HelperLcore&) = delete;

  void run(const std::function<void()>& job) {
    begin(job);
    wait();
  }
  /// `job` has to live until wait() returns.
  void begin(const std::function<void()>& job) { job_.store(&job, std::memory_order_release); }
  void wait() const {
    while (job_.load(std::memory_order_acquire) != nullptr) rte_pause();
  }

 private:
  static int serve(void* self) {
    auto& helper = *static_cast<HelperLcore*>(self);
    while (!helper.stop_.load(std::memory_order_acquire)) {
      const auto* job = helper.job_.load(std::memory_order_acquire);
      if (job == nullptr) {
        rte_pause();
        continue;
      }
      (*job)();
      helper.job_.store(nullptr, std::memory_order_release);
    }
    return 0;
  }

  uint32_t lcore_;
  std::atomic<const std::function<void()>*> job_{nullptr};
  std::atomic<bool> stop_{false};
};

}  // namespace sluice::perf

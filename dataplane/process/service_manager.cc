// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/service_manager.h"

#include <systemd/sd-daemon.h>

#include <utility>

namespace sluice {
namespace {

constexpr uint64_t kFeedsPerDeadline = 4;  // one that comes late is no death

}  // namespace

ServiceManager::ServiceManager(uint32_t workers, Loops loops) : loops_(std::move(loops)), seen_(workers, 0) {
  uint64_t deadline_us = 0;
  if (sd_watchdog_enabled(0, &deadline_us) > 0) feed_every_ms_ = deadline_us / 1000 / kFeedsPerDeadline;
}

void ServiceManager::ready() {
  sd_notify(0, "READY=1");
}

void ServiceManager::stopping() {
  sd_notify(0, "STOPPING=1");
}

void ServiceManager::poll(uint64_t now_ms) {
  if (feed_every_ms_ == 0 || now_ms - fed_ms_ < feed_every_ms_) return;
  if (!all_went_on()) return;  // looked at again at once: the first sign of life counts
  fed_ms_ = now_ms;
  for (uint32_t worker = 0; worker < seen_.size(); worker++) seen_[worker] = loops_(worker);
  sd_notify(0, "WATCHDOG=1");
}

bool ServiceManager::all_went_on() {
  for (uint32_t worker = 0; worker < seen_.size(); worker++) {
    if (loops_(worker) == seen_[worker]) return false;
  }
  return true;
}

}  // namespace sluice

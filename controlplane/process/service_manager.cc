// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/service_manager.h"

#include <systemd/sd-daemon.h>

#include <cstdint>

namespace sluice::control {
namespace {

constexpr uint64_t kFeedsPerDeadline = 4;  // one that comes late is no death

}  // namespace

ServiceManager::ServiceManager(boost::asio::io_context& io) : timer_(io) {
  uint64_t deadline_us = 0;
  if (sd_watchdog_enabled(0, &deadline_us) > 0)
    feed_every_ = std::chrono::microseconds(deadline_us / kFeedsPerDeadline);
}

void ServiceManager::ready() {
  sd_notify(0, "READY=1");
  if (feed_every_.count() != 0) feed();
}

void ServiceManager::stopping() {
  sd_notify(0, "STOPPING=1");
  timer_.cancel();
  feed_every_ = std::chrono::microseconds(0);
}

void ServiceManager::feed() {
  sd_notify(0, "WATCHDOG=1");
  timer_.expires_after(feed_every_);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled && feed_every_.count() != 0) feed();
  });
}

}  // namespace sluice::control

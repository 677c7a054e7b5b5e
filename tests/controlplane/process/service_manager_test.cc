// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/service_manager.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/notify_socket.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

TEST(ControlServiceManager, FeedsTheWatchdogAsLongAsTheLoopTurns) {
  const NotifySocket systemd(4000);  // us
  ASSERT_TRUE(systemd.bound());
  boost::asio::io_context io;
  ServiceManager manager(io);
  manager.ready();
  EXPECT_EQ(systemd.heard(), (std::vector<std::string>{"READY=1", "WATCHDOG=1"}));
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  size_t fed = 0;
  while (fed < 3 && std::chrono::steady_clock::now() < deadline) {
    io.run_one_for(100ms);
    fed += systemd.heard().size();
  }
  EXPECT_GE(fed, 3U);
  manager.stopping();
  EXPECT_EQ(systemd.heard().back(), "STOPPING=1");
  EXPECT_EQ(io.run(), 1U) << "the cancelled timer, and nothing after it";
  EXPECT_TRUE(systemd.heard().empty());
}

TEST(ControlServiceManager, KeepsTheLoopFreeOfTimersWithoutAWatchdog) {
  const NotifySocket systemd(0);
  boost::asio::io_context io;
  ServiceManager manager(io);
  manager.ready();
  EXPECT_EQ(io.run(), 0U);
}

}  // namespace
}  // namespace sluice::control

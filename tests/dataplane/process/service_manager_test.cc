// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/service_manager.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/notify_socket.h"

namespace sluice {
namespace {

using Words = std::vector<std::string>;

class DataplaneServiceManager : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(systemd_.bound()); }

  NotifySocket systemd_{1'000'000};  // to be fed every 250 ms
  std::vector<uint64_t> loops_{1, 1};
  ServiceManager manager_{2, [this](uint32_t worker) { return loops_[worker]; }};
};

TEST_F(DataplaneServiceManager, SaysWhenItIsReadyAndWhenItStops) {
  manager_.ready();
  manager_.stopping();
  EXPECT_EQ(systemd_.heard(), (Words{"READY=1", "STOPPING=1"}));
}

TEST_F(DataplaneServiceManager, IsFedWhileEveryWorkerGoesOn) {
  for (uint64_t now_ms = 10'000; now_ms < 11'000; now_ms += 10) {
    loops_[0]++;
    loops_[1]++;
    manager_.poll(now_ms);
  }
  EXPECT_EQ(systemd_.heard(), Words(4, "WATCHDOG=1"));
}

TEST_F(DataplaneServiceManager, IsNotFedWhileOneWorkerIsStuckAndIsAgainWhenItGoesOn) {
  manager_.poll(10'000);
  EXPECT_EQ(systemd_.heard().size(), 1U);
  for (uint64_t now_ms = 10'010; now_ms < 20'000; now_ms += 10) {
    loops_[0]++;
    manager_.poll(now_ms);
  }
  EXPECT_EQ(systemd_.heard(), Words());
  loops_[1]++;
  manager_.poll(20'000);
  EXPECT_EQ(systemd_.heard(), Words{"WATCHDOG=1"});
}

TEST(DataplaneServiceManagerAlone, SaysNothingWithoutAWatchdog) {
  const NotifySocket systemd(0);
  uint64_t loops = 0;
  ServiceManager manager(1, [&](uint32_t) { return ++loops; });
  for (uint64_t now_ms = 0; now_ms < 100'000; now_ms += 1000) manager.poll(now_ms);
  EXPECT_EQ(systemd.heard(), Words());
}

}  // namespace
}  // namespace sluice

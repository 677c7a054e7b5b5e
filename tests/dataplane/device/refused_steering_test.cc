// SPDX-License-Identifier: Apache-2.0
//
// Devices whose drivers take the order to steer when they are configured, and do not like it later. net_null plays
// them: what it is called with goes through here (ld --wrap).
#include <gtest/gtest.h>
#include <rte_ethdev.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/setup_error.h"
#include "dataplane/device/device.h"
#include "tests/dataplane/support/bench_ports.h"

namespace {

struct Driver {
  bool starts_steered = true;
  bool starts_at_all = true;
  bool takes_table = true;  // if not, it stops the device before it says so
  bool steered = false;     // as it was configured last
};
Driver* playing = nullptr;

}  // namespace

// NOLINTBEGIN: names are the linker's.
extern "C" {
int __real_rte_eth_dev_configure(uint16_t, uint16_t, uint16_t, const rte_eth_conf*);
int __real_rte_eth_dev_start(uint16_t);
int __real_rte_eth_dev_rss_reta_update(uint16_t, rte_eth_rss_reta_entry64*, uint16_t);

int __wrap_rte_eth_dev_configure(uint16_t id, uint16_t receive, uint16_t transmit, const rte_eth_conf* conf) {
  if (playing != nullptr) playing->steered = conf->rx_adv_conf.rss_conf.rss_key != nullptr;
  return __real_rte_eth_dev_configure(id, receive, transmit, conf);
}

int __wrap_rte_eth_dev_start(uint16_t id) {
  if (playing != nullptr && (!playing->starts_at_all || (playing->steered && !playing->starts_steered))) return -EINVAL;
  return __real_rte_eth_dev_start(id);
}

int __wrap_rte_eth_dev_rss_reta_update(uint16_t id, rte_eth_rss_reta_entry64* table, uint16_t entries) {
  if (playing == nullptr || playing->takes_table) return __real_rte_eth_dev_rss_reta_update(id, table, entries);
  rte_eth_dev_stop(id);
  return -ENOMEM;
}
}
// NOLINTEND

namespace sluice {
namespace {

class RefusedSteering : public ::testing::Test {
 protected:
  RefusedSteering() {
    testing::start_eal();
    static rte_mempool* pool = testing::make_pool(8191);
    pools_.assign(2, pool);
    static int next = 0;  // a name is taken for good
    const std::string name = "net_null_refusing" + std::to_string(next++) + ",size=64";
    device_ = std::make_unique<Device>(PortOptions{.name = "front", .device = name, .faces = Faces::kClients});
    playing = &driver_;
  }
  ~RefusedSteering() override { playing = nullptr; }

  static PortPlan plan() {
    PortPlan out{.receive_queues = 2, .transmit_queues = 2, .rss_types = kRssTcp};
    out.steering = {.steers = true, .types = kRssTcp, .key_bytes = 40, .table_entries = 128, .rules = Rules::kNone};
    return out;
  }
  bool receives() {
    std::array<rte_mbuf*, 4> mbufs{};
    const uint16_t received = rte_eth_rx_burst(device_->id(), 1, mbufs.data(), 4);
    rte_pktmbuf_free_bulk(mbufs.data(), received);
    return received != 0;
  }
  std::string refused() { return device_->steer(plan(), pools_, queues_); }

  Driver driver_;
  std::vector<rte_mempool*> pools_;
  std::vector<uint16_t> queues_{0, 1};
  std::unique_ptr<Device> device_;
};

TEST_F(RefusedSteering, IsNotThereWhereTheDriverTakesAllOfIt) {
  device_->start(plan(), pools_);
  EXPECT_TRUE(driver_.steered);
  EXPECT_EQ(refused(), "");
  EXPECT_TRUE(driver_.steered);
  EXPECT_TRUE(receives());
}

TEST_F(RefusedSteering, DoesNotKeepADeviceFromStarting) {
  driver_.starts_steered = false;
  device_->start(plan(), pools_);
  EXPECT_FALSE(driver_.steered);
  EXPECT_NE(refused().find("to start with RSS by one side: "), std::string::npos);
  EXPECT_TRUE(receives());
}

TEST_F(RefusedSteering, IsNotToBlameWhereADeviceDoesNotStartWithoutEither) {
  driver_.starts_at_all = false;
  EXPECT_THROW(device_->start(plan(), pools_), SetupError);
}

TEST_F(RefusedSteering, OfATableDoesNotLeaveADeviceStopped) {
  device_->start(plan(), pools_);
  driver_.takes_table = false;
  EXPECT_NE(refused().find("its redirection table: "), std::string::npos);
  EXPECT_TRUE(receives());
}

TEST_F(RefusedSteering, OfATableStartsADeviceAnewWithoutSteering) {
  device_->start(plan(), pools_);
  driver_.takes_table = driver_.starts_steered = false;
  EXPECT_NE(refused().find("its redirection table: "), std::string::npos);
  EXPECT_FALSE(driver_.steered);
  EXPECT_TRUE(receives());
}

TEST_F(RefusedSteering, OfATableIsSaidWhereADeviceDoesNotRunAfterIt) {
  device_->start(plan(), pools_);
  driver_.takes_table = driver_.starts_at_all = false;
  EXPECT_THROW(refused(), SetupError);
}

}  // namespace
}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// Devices under a real EAL, with drivers that need neither root nor hardware.
#include "dataplane/device/device.h"

#include <gtest/gtest.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/setup_error.h"
#include "dataplane/device/port_status.h"
#include "dataplane/packet/vlan_tag.h"
#include "dataplane/process/main_loop.h"
#include "dataplane/process/port_watch.h"
#include "tests/dataplane/support/bench_ports.h"

namespace sluice {
namespace {

/// What opening the device says; "" if it opens.
std::string refusal(const std::string& device) {
  try {
    const Device opened({.name = "front", .device = device});
    return "";
  } catch (const SetupError& error) {
    return error.what();
  }
}

TEST(Device, OpensPlansAndReceives) {
  testing::start_eal();
  const std::array<rte_mempool*, 1> pools{testing::make_pool(8191)};
  Device device({.name = "front", .device = "net_null0,size=64", .faces = Faces::kClients});
  EXPECT_EQ(device.driver(), "net_null");
  const PortPlan plan = plan_port(device.capabilities(), Faces::kClients, 1);
  EXPECT_EQ(plan.receive_queues, 1);
  device.start(plan, pools);
  std::array<rte_mbuf*, 32> mbufs{};
  ASSERT_EQ(rte_eth_rx_burst(device.id(), 0, mbufs.data(), 32), 32);
  EXPECT_EQ(mbufs[0]->pkt_len, 64u);
  EXPECT_EQ(rte_eth_tx_burst(device.id(), 0, mbufs.data(), 32), 32);
}

TEST(Device, RefusalNamesThePortAndWhatIsAllowed) {
  testing::start_eal();
  const struct {
    const char* device;
    const char* says;
  } cases[] = {
      {"net_nosuch0", "DPDK virtual device"},
      {"eth0", "DPDK virtual device"},
      {"0000:ff:1f.7", "is not there; `dpdk-devbind.py"},
      {"net_af_xdp9,iface=no-such-if", "no interface \"no-such-if\""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.device);
    const std::string said = refusal(c.device);
    EXPECT_NE(said.find("port front"), std::string::npos) << said;
    EXPECT_NE(said.find(c.says), std::string::npos) << said;
  }
}

TEST(Device, SecondOfTheSameNameIsRefused) {
  testing::start_eal();
  const Device first({.name = "front", .device = "net_null1"});
  EXPECT_NE(refusal("net_null1").find("is taken"), std::string::npos);
}

TEST(Device, StartsWithSeveralReceiveQueues) {
  testing::start_eal();
  const std::array<rte_mempool*, 2> pools{testing::make_pool(8191), testing::make_pool(8191)};
  Device device({.name = "front", .device = "net_null2"});
  const PortPlan plan = plan_port(device.capabilities(), Faces::kBoth, 2);
  ASSERT_TRUE(plan.drop_when_full);
  device.start(plan, pools);
  rte_eth_rxq_info queue{};
  if (rte_eth_rx_queue_info_get(device.id(), 1, &queue) != 0) return;  // the driver does not tell
  EXPECT_EQ(queue.conf.rx_drop_en, 1);
}

rte_mempool* shared_pool() {
  static rte_mempool* const pool = testing::make_pool(8191);
  return pool;
}

/// One member at a time, of drivers that take another's MAC address.
PortOptions bonded(std::vector<std::string> members, bool lacp = false) {
  return {.name = "front", .device = "bond", .bond = BondOptions{.lacp = lacp, .members = std::move(members)}};
}

std::string refusal_of(const PortOptions& options, rte_mempool* pool = nullptr) {
  try {
    Device device(options);
    const std::array<rte_mempool*, 1> pools{pool};
    if (pool != nullptr) device.start(plan_port(device.capabilities(), Faces::kBoth, 1), pools);
    return "";
  } catch (const SetupError& error) {
    return error.what();
  }
}

TEST(Device, BondIsOneDeviceOfWhichOneMemberCarries) {
  testing::start_eal();
  const std::array<rte_mempool*, 1> pools{shared_pool()};
  Device device(bonded({"net_null20,no-rx=1", "net_null21,no-rx=1"}));
  EXPECT_EQ(device.driver(), "net_bonding");
  EXPECT_FALSE(device.has_own_frames());
  EXPECT_EQ(device.queue_demand().receive_descriptors, 2U * kDescriptors) << "each member has queues of its own";
  device.start(plan_port(device.capabilities(), Faces::kBoth, 1), pools);
  ASSERT_NE(device.bond(), nullptr);
  EXPECT_TRUE(device.bond()->watch()) << "nobody carried before";
  EXPECT_FALSE(device.bond()->watch());
  EXPECT_TRUE(device.bond()->members()[0].carries);
  EXPECT_FALSE(device.bond()->members()[1].carries);
  EXPECT_TRUE(device.link().up);
  EXPECT_NE(device.describe().find("active-backup bond of net_null20 net_null21"), std::string::npos);
}

TEST(Device, LacpBondIsDownUntilASwitchTakesMembersIn) {
  testing::start_eal();
  const std::array<rte_mempool*, 1> pools{shared_pool()};
  Device device(bonded({"net_null22,no-rx=1", "net_null23,no-rx=1"}, true));
  EXPECT_TRUE(device.has_own_frames());
  device.start(plan_port(device.capabilities(), Faces::kBoth, 1), pools);
  EXPECT_FALSE(device.bond()->watch());
  EXPECT_FALSE(device.link().up);
  EXPECT_NE(device.link().trouble.find("LACP"), std::string::npos);
}

TEST(Device, MemberThatKeepsItsOwnMacIsRefused) {
  testing::start_eal();
  const std::string said = refusal_of(bonded({"net_ring_member0"}), shared_pool());
  EXPECT_NE(said.find("port front: its bond"), std::string::npos) << said;
  EXPECT_NE(said.find("has to take the bond's MAC address"), std::string::npos) << said;
}

TEST(Device, BondGoesOnWithoutAMemberThatIsMissing) {
  testing::start_eal();
  const std::array<rte_mempool*, 1> pools{shared_pool()};
  Device device(bonded({"0000:ff:1f.7", "net_null26,no-rx=1"}));
  EXPECT_EQ(device.queue_demand().receive_descriptors, kDescriptors) << "of the one that is there";
  device.start(plan_port(device.capabilities(), Faces::kBoth, 1), pools);
  EXPECT_TRUE(device.bond()->watch());
  EXPECT_FALSE(device.bond()->members()[0].link.up);
  EXPECT_TRUE(device.bond()->members()[1].carries);
  EXPECT_TRUE(device.link().up);
  EXPECT_STREQ(port_identity(device).members[0].device, "0000:ff:1f.7") << "its place stays its own";
  EXPECT_NE(refusal_of(bonded({"0000:ff:1f.7", "0000:ff:1f.6"})).find("\"0000:ff:1f.7\" is not there"),
            std::string::npos);
}

TEST(Device, BondGivesACardBackButNotTheLast) {
  testing::start_eal();
  const std::array<rte_mempool*, 1> pools{shared_pool()};
  Device device(bonded({"net_null27,no-rx=1", "net_null28,no-rx=1"}));
  device.start(plan_port(device.capabilities(), Faces::kBoth, 1), pools);
  Bond& bond = *device.bond();
  bond.watch();
  int waited = 0;
  const auto wait = [&] { waited++; };
  EXPECT_TRUE(bond.let_go(wait).empty());

  rte_dev_event_callback_process("net_null27", RTE_DEV_EVENT_REMOVE);
  EXPECT_TRUE(bond.watch()) << "the other one carries";
  EXPECT_EQ(bond.let_go(wait), std::vector<std::string>{"net_null27,no-rx=1"});
  EXPECT_EQ(waited, 1) << "for workers that may be asking it";
  uint16_t id = 0;
  EXPECT_NE(rte_eth_dev_get_port_by_name("net_null27", &id), 0) << "nobody has it open";
  EXPECT_FALSE(bond.watch());
  EXPECT_FALSE(bond.members()[0].is_there());
  EXPECT_TRUE(bond.members()[1].carries);
  EXPECT_FALSE(device.is_asked_back());

  rte_dev_event_callback_process("net_null28", RTE_DEV_EVENT_REMOVE);
  EXPECT_TRUE(bond.let_go(wait).empty()) << "there would be no port";
  EXPECT_TRUE(device.is_asked_back());
}

TEST(Device, PublishesTheMembersOfABond) {
  testing::start_eal();
  Device device(bonded({"net_null24", "net_null25,no-rx=1"}));
  const channel::PortStatus status = port_identity(device);
  EXPECT_STREQ(status.members[0].device, "net_null24");
  EXPECT_STREQ(status.members[1].device, "net_null25,no-rx=1");
  EXPECT_STREQ(status.members[2].device, "");
}

TEST(Device, TakesMtuAndDescriptorsAsConfigured) {
  testing::start_eal();
  PortOptions options{.name = "front", .device = "net_null30", .mtu = 9000, .receive_descriptors = 512};
  options.transmit_descriptors = 4096;
  const Device device(options);
  EXPECT_EQ(device.mtu(), 9000);
  EXPECT_EQ(device.queue_demand().receive_descriptors, 512u);
  EXPECT_EQ(device.queue_demand().transmit_descriptors, 4096u);
}

TEST(Device, SaysWhatADriverCannotDo) {
  testing::start_eal();
  rte_mempool* pool = shared_pool();
  PortOptions pausing{.name = "front", .device = "net_ring_pausing"};
  pausing.flow_control = FlowControl::kOff;
  EXPECT_NE(refusal_of(pausing, pool).find("leave `flow_control` out"), std::string::npos) << refusal_of(pausing, pool);
}

/// A started device whose transmit side is its receive side, and the watch over it.
class PortWatchTest : public ::testing::Test {
 protected:
  PortWatchTest() {
    testing::start_eal();
    pools_[0] = testing::make_pool(2047);
    static int next = 0;  // the driver's rings outlive the device, and their names with them
    const std::string device = "net_ring_watched" + std::to_string(next++);
    device_ = std::make_unique<Device>(PortOptions{.name = "back", .device = device, .twin = "slb0", .vlan = 7});
    device_->start(plan_port(device_->capabilities(), Faces::kBoth, 1), pools_);
    status_ = port_identity(*device_);
    watch_ = std::make_unique<PortWatch>(
        std::vector<PortWatch::Port>{{device_.get(), nullptr, &status_, proofs_}}, [](size_t) {}, [] {});
  }
  uint64_t counted(channel::PortCounter counter) const { return status_.counters[static_cast<size_t>(counter)]; }

  std::array<rte_mempool*, 1> pools_{};
  std::unique_ptr<Device> device_;
  channel::PortStatus status_{};
  std::vector<RssProof> proofs_ = std::vector<RssProof>(2);
  std::unique_ptr<PortWatch> watch_;
};

TEST_F(PortWatchTest, PublishesWhoThePortIs) {
  EXPECT_STREQ(status_.name, "back");
  EXPECT_STREQ(status_.twin, "slb0");
  EXPECT_STREQ(status_.driver, "net_ring");
  EXPECT_EQ(status_.mac, device_->mac());
  EXPECT_EQ(status_.vlan, 7);
  EXPECT_EQ(status_.mtu, 1500);
}

TEST_F(PortWatchTest, FollowsTheLinkInItsPeriod) {
  watch_->poll(0);
  EXPECT_EQ(status_.link_up, 1);
  EXPECT_EQ(status_.speed_mbps, 10'000u);
  EXPECT_EQ(status_.link_changes, 0u) << "the first look is no change";
  ASSERT_EQ(rte_eth_dev_set_link_down(device_->id()), 0);
  watch_->poll(PortWatch::kLinkPeriodMs - 1);
  EXPECT_EQ(status_.link_up, 1) << "not due yet";
  watch_->poll(PortWatch::kLinkPeriodMs);
  EXPECT_EQ(status_.link_up, 0);
  EXPECT_EQ(status_.link_changes, 1u);
  ASSERT_EQ(rte_eth_dev_set_link_up(device_->id()), 0);
  watch_->poll(2 * PortWatch::kLinkPeriodMs);
  EXPECT_EQ(status_.link_up, 1);
  EXPECT_EQ(status_.link_changes, 2u);
}

TEST_F(PortWatchTest, TellsOfAPortWhoseCardTheKernelAsksFor) {
  watch_->poll(0);
  EXPECT_EQ(watch_->asked_back(), nullptr);
  rte_eth_dev_info info{};
  rte_eth_dev_info_get(device_->id(), &info);
  rte_dev_event_callback_process(rte_dev_name(info.device), RTE_DEV_EVENT_ADD);
  EXPECT_EQ(watch_->asked_back(), nullptr);
  rte_dev_event_callback_process(rte_dev_name(info.device), RTE_DEV_EVENT_REMOVE);
  EXPECT_EQ(watch_->asked_back(), device_.get());
  watch_->poll(PortWatch::kLinkPeriodMs);
  EXPECT_EQ(status_.link_up, 0);
}

TEST_F(PortWatchTest, PublishesWhatTheCardCountsOnceASecond) {
  watch_->poll(0);
  std::array<rte_mbuf*, 3> mbufs{};
  for (rte_mbuf*& mbuf : mbufs) mbuf = testing::make_mbuf(pools_[0], testing::Bytes(64, 0x55));
  ASSERT_EQ(rte_eth_tx_burst(device_->id(), 0, mbufs.data(), 3), 3);
  ASSERT_EQ(rte_eth_rx_burst(device_->id(), 0, mbufs.data(), 3), 3);
  rte_pktmbuf_free_bulk(mbufs.data(), 3);
  watch_->poll(PortWatch::kCounterPeriodMs - 1);
  EXPECT_EQ(counted(channel::PortCounter::kSentPackets), 0u);
  watch_->poll(PortWatch::kCounterPeriodMs);
  EXPECT_EQ(counted(channel::PortCounter::kSentPackets), 3u);
  EXPECT_EQ(counted(channel::PortCounter::kReceivedPackets), 3u);
  EXPECT_EQ(counted(channel::PortCounter::kMissed), 0u);
}

TEST_F(PortWatchTest, PublishesWhatWorkersFindOfItsSteering) {
  uint64_t now_ms = 0;
  const auto look = [&] {
    watch_->poll(now_ms);
    now_ms += PortWatch::kCounterPeriodMs;
    return std::pair(status_.steering, status_.steering_fault);
  };
  using channel::Steering, channel::SteeringFault;
  EXPECT_EQ(look(), (std::pair{Steering::kUnproven, SteeringFault::kUnknown}));
  proofs_[0].misplaced[static_cast<size_t>(SteeringFault::kTable)] = 100;
  EXPECT_EQ(look(), (std::pair{Steering::kMisplaces, SteeringFault::kTable}));
  proofs_[1].misplaced[static_cast<size_t>(SteeringFault::kFields)] = 200;
  EXPECT_EQ(look(), (std::pair{Steering::kMisplaces, SteeringFault::kFields})) << "the fault is not frozen";
  EXPECT_EQ(status_.rss_misplaced, 300u);
  for (RssProof& proof : proofs_) proof.right = 1'000'000;
  EXPECT_EQ(look(), (std::pair{Steering::kSteers, SteeringFault::kUnknown}));
}

}  // namespace
}  // namespace sluice

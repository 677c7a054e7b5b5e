// SPDX-License-Identifier: Apache-2.0
//
// What the main lcore decides before it touches anything: lcores, EAL arguments, queues, memory. Tables of cases.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "dataplane/device/device_string.h"
#include "dataplane/device/eal_arguments.h"
#include "dataplane/device/lcore_plan.h"
#include "dataplane/device/memory_plan.h"
#include "dataplane/device/port_plan.h"

namespace sluice {
namespace {

using Cpus = std::vector<unsigned>;

TEST(LcorePlan, PlacesMainBesideTheWorkers) {
  const struct {
    const char* description;
    const char* lcores;
    Cpus available;
    Cpus worker_cpus;
    uint32_t workers;
    unsigned main_cpu;
    bool main_shares;
  } cases[] = {
      {"two CPUs, nothing said", "", {0, 1}, {1}, 1, 0, false},
      {"four CPUs, nothing said", "", {0, 1, 2, 3}, {1, 2, 3}, 3, 0, false},
      {"one CPU", "", {0}, {0}, 1, 0, true},
      {"the container has CPUs 4 to 7", "", {4, 5, 6, 7}, {5, 6}, 2, 4, false},
      {"worker on the first CPU", "0", {0, 1}, {0}, 1, 1, false},
      {"workers take all", "0-1", {0, 1}, {0, 1}, 2, 0, true},
      {"order is the workers'", "5,2-3", {0, 1, 2, 3, 4, 5}, {5, 2, 3}, 3, 0, false},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.description);
    const auto plan = plan_lcores(c.workers, c.lcores, c.available);
    ASSERT_TRUE(plan) << plan.error();
    EXPECT_EQ(plan->main_cpu, c.main_cpu);
    EXPECT_EQ(plan->worker_cpus, c.worker_cpus);
    EXPECT_EQ(plan->main_shares, c.main_shares);
  }
}

TEST(LcorePlan, RefusesWithWhatIsAllowed) {
  const struct {
    uint32_t workers;
    const char* lcores;
    const char* says;
  } cases[] = {
      {2, "", "lower workers"},         {1, "7", "available: 0,1"}, {2, "1", "names 1 CPUs for 2 workers"},
      {2, "1,1", "CPU 1 stands twice"}, {1, "one", "is no CPU"},    {1, "1,", "is no CPU"},
      {2, "1-0", "is no CPU"},          {1, "99999", "is no CPU"},  {1, "-1", "is no CPU"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.lcores);
    const auto plan = plan_lcores(c.workers, c.lcores, {0, 1});
    ASSERT_FALSE(plan);
    EXPECT_NE(plan.error().find(c.says), std::string::npos) << plan.error();
  }
}

TEST(DeviceString, TellsPciFromVirtual) {
  EXPECT_TRUE(is_pci_device("0000:3b:00.0"));
  EXPECT_TRUE(is_pci_device("3b:00.1"));
  EXPECT_TRUE(is_pci_device("0000:3b:00.0,representor=0"));
  EXPECT_FALSE(is_pci_device("net_af_xdp0,iface=3b:00.0"));
  EXPECT_FALSE(is_pci_device("eth0"));
  EXPECT_EQ(pci_port_name("3B:00.1,x=1"), "0000:3b:00.1");
  EXPECT_EQ(device_argument("net_af_xdp0,xiface=a,iface=lb-front", "iface"), "lb-front");
  EXPECT_EQ(device_argument("net_af_xdp0,iface=lb-front,start_queue=0", "iface"), "lb-front");
  EXPECT_EQ(device_argument("net_null0", "iface"), std::nullopt);
}

DataplaneOptions lab_options() {
  DataplaneOptions options;
  options.instance = "lab";
  options.memory_mb = 256;
  options.hugepages = false;
  options.ports = {{.name = "front", .device = "net_af_xdp0,iface=f", .twin = "slf0"}};
  return options;
}

TEST(EalArguments, UseOrdinaryPagesAndNoPciInALab) {
  EXPECT_EQ(eal_arguments(lab_options(), {.main_cpu = 0, .worker_cpus = {1}}, 1),
            (std::vector<std::string>{"sluice-dataplane", "--no-telemetry", "--file-prefix", "sluice-lab", "--lcores",
                                      "0@0,1@1", "--main-lcore", "0", "--no-huge", "--no-shconf", "-m", "256",
                                      "--no-pci", "--iova-mode", "va"}));
}

TEST(EalArguments, AllowThePciDevicesNamedAndLimitHugePagesPerNode) {
  DataplaneOptions options = lab_options();
  options.hugepages = true;
  options.ports.push_back({.name = "back", .device = "0000:3b:00.1"});
  EXPECT_EQ(eal_arguments(options, {.main_cpu = 2, .worker_cpus = {9, 4}}, 2),
            (std::vector<std::string>{"sluice-dataplane", "--no-telemetry", "--file-prefix", "sluice-lab", "--lcores",
                                      "0@2,1@9,2@4", "--main-lcore", "0", "--in-memory", "--socket-limit", "256,256",
                                      "-a", "0000:3b:00.1"}));
}

constexpr uint64_t kSourceOnly = kRssTcp | RTE_ETH_RSS_L3_SRC_ONLY | RTE_ETH_RSS_L4_SRC_ONLY;
constexpr uint64_t kBothChecksums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
constexpr uint64_t kFastFree = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
constexpr uint64_t kHash = RTE_ETH_RX_OFFLOAD_RSS_HASH;

DeviceCapabilities card(uint16_t receive, uint16_t transmit, uint64_t rss_types, uint64_t transmit_offloads = 0,
                        bool in_pairs = false) {
  return {.receive_queues_max = receive,
          .transmit_queues_max = transmit,
          .rss = {.driver = "net_card", .types = rss_types, .table_entries = 128, .key_bytes = 40},
          .receive_offloads = kHash | RTE_ETH_RX_OFFLOAD_VLAN_STRIP,
          .transmit_offloads = transmit_offloads,
          .queues_in_pairs = in_pairs};
}

TEST(PortPlan, GivesQueuesToAsManyWorkersAsItCan) {
  const struct {
    const char* description;
    DeviceCapabilities device;
    Faces faces;
    uint32_t workers;
    PortPlan plan;
  } cases[] = {
      {"one worker needs no RSS",
       card(16, 16, kSourceOnly),
       Faces::kClients,
       1,
       {.receive_queues = 1, .transmit_queues = 1}},
      {"clients are hashed by source",
       card(16, 16, kSourceOnly),
       Faces::kClients,
       4,
       {.receive_queues = 4,
        .transmit_queues = 4,
        .rss_types = kSourceOnly,
        .receive_offloads = kHash,
        .drop_when_full = true,
        .steering = {true, kSourceOnly, 40, 128, Rules::kNone}}},
      {"it cannot: any RSS spreads the receiving",
       card(16, 16, kSourceOnly),
       Faces::kBackends,
       4,
       {.receive_queues = 4,
        .transmit_queues = 4,
        .rss_types = kRssTcp,
        .drop_when_full = true,
        .why_not = "it cannot hash by one side alone"}},
      {"too few queues",
       card(2, 8, kSourceOnly),
       Faces::kClients,
       4,
       {.receive_queues = 2,
        .transmit_queues = 4,
        .rss_types = kRssTcp,
        .drop_when_full = true,
        .why_not = "it has 2 queues for 4 workers"}},
      {"AF_XDP with one queue pair",
       card(1, 1, 0, 0, true),
       Faces::kClients,
       4,
       {.receive_queues = 1, .transmit_queues = 1, .why_not = "it has 1 queue for 4 workers"}},
      {"AF_XDP with four",
       card(4, 4, 0, 0, true),
       Faces::kClients,
       3,
       {.receive_queues = 3,
        .transmit_queues = 3,
        .drop_when_full = true,
        .why_not = "it cannot hash by one side alone"}},
      {"checksums are made by workers, so that no driver has to take its slower way",
       card(1, 1, 0, kBothChecksums | kFastFree),
       Faces::kClients,
       1,
       {.receive_queues = 1, .transmit_queues = 1, .transmit_offloads = kFastFree}},
      {"fast free is unsafe with more",
       card(1, 1, 0, kBothChecksums | kFastFree),
       Faces::kClients,
       2,
       {.receive_queues = 1, .transmit_queues = 1, .why_not = "it has 1 queue for 2 workers"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.description);
    EXPECT_EQ(plan_port(c.device, c.faces, c.workers), c.plan);
  }
}

TEST(PortPlan, QueuesBelongToWorkersFromTheFirstOn) {
  EXPECT_EQ(queue_of(0, 1, 0, 2), 0);
  EXPECT_EQ(queue_of(1, 1, 0, 2), WorkerPort::kNoQueue);
  EXPECT_EQ(queue_of(0, 1, 1, 2), WorkerPort::kNoQueue);
  EXPECT_EQ(queue_of(1, 1, 1, 2), 0);
  EXPECT_EQ(queue_of(0, 2, 1, 2), 1);
  EXPECT_EQ(queue_of(3, 4, 0, 4), 3);
}

TEST(MemoryPlan, PoolCoversEveryPlaceWherePacketsWait) {
  const QueueDemand nic{.receive_descriptors = 1024, .transmit_descriptors = 1024, .driver_extra = 0};
  const uint32_t one = pool_mbufs(std::vector{nic}, 1, 0);
  EXPECT_EQ((one + 1) & one, 0u) << "2^n - 1";
  const uint32_t punt = std::reduce(kPuntRingEntries.begin(), kPuntRingEntries.end());
  EXPECT_GE(one, 1024u + 1024u + punt + kTwinRingEntries + 2 * kMaxBurst);
  const std::vector many(4, nic);
  EXPECT_GE(pool_mbufs(many, 4, 3), 4 * (1024u + 1024u + punt) + kTwinRingEntries + 3 * 2 * kHandoverRingEntries);
  EXPECT_GE(pool_mbufs(many, 4, 0), 4 * (1024u + 1024u + punt) + kTwinRingEntries);
  EXPECT_GT(driver_extra_mbufs("net_af_xdp"), 0u);
  EXPECT_EQ(driver_extra_mbufs("net_ixgbe"), 0u);
}

TEST(MemoryPlan, DataRoomHoldsAWholeFrame) {
  EXPECT_EQ(pool_data_room(1500), RTE_PKTMBUF_HEADROOM + 2048);
  EXPECT_GE(pool_data_room(9000), RTE_PKTMBUF_HEADROOM + 9000 + 14 + 4 + 8);
  EXPECT_EQ(pool_data_room(9000) % 64, 0);
}

TEST(MemoryPlan, OrdinaryPagesCostAPageEach) {
  EXPECT_GT(pool_bytes(1000, 2176, true), 1000u * 2300);
  EXPECT_LT(pool_bytes(1000, 2176, true), 1000u * 2500 + (2u << 20));
  EXPECT_GE(pool_bytes(1000, 2176, false), 1000u * 4096);
}

}  // namespace
}  // namespace sluice

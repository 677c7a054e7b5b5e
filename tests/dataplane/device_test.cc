// SPDX-License-Identifier: Apache-2.0
//
// Devices under a real EAL, with drivers that need neither root nor hardware.
#include "dataplane/device.h"

#include <gtest/gtest.h>
#include <rte_ethdev.h>

#include <array>
#include <string>

#include "dataplane/main_loop.h"
#include "dataplane/setup_error.h"
#include "dataplane/vlan_tag.h"
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
  const PortPlan plan = plan_port(device.capabilities(), Faces::kClients, 1, Spread::kAlone);
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
      {"0000:ff:1f.7", "dpdk-devbind.py"},
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

TEST(Relay, FreesWhatHasNoTwin) {
  testing::start_eal();
  rte_mempool* pool = testing::make_pool(63);
  Relay relay;
  relay.to_main.push_back(rte_ring_create("relay-test", 64, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ));
  ASSERT_NE(relay.to_main[0], nullptr);
  for (const uint16_t port : {uint16_t{0}, uint16_t{1}, uint16_t{999}}) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
    mbuf->port = port;
    ASSERT_EQ(rte_ring_sp_enqueue(relay.to_main[0], mbuf), 0);
  }
  ASSERT_EQ(rte_mempool_in_use_count(pool), 3u);
  EXPECT_TRUE(relay_to_kernel(relay));
  EXPECT_EQ(rte_mempool_in_use_count(pool), 0u);
  EXPECT_FALSE(relay_to_kernel(relay));
}

testing::Bytes untagged_frame() {
  testing::Bytes frame(64, 0x55);
  frame[12] = 0x08;  // IPv4
  frame[13] = 0x00;
  return frame;
}

testing::Bytes bytes_of(const rte_mbuf* mbuf) {
  const auto* data = rte_pktmbuf_mtod(mbuf, const uint8_t*);
  return testing::Bytes(data, data + rte_pktmbuf_data_len(mbuf));
}

TEST(VlanTag, GoesOnAfterTheAddressesAndComesOffAgain) {
  testing::start_eal();
  rte_mbuf* mbuf = testing::make_mbuf(testing::make_pool(7), untagged_frame());
  ASSERT_TRUE(add_tag(mbuf, 7));
  testing::Bytes tagged = untagged_frame();
  const std::array<uint8_t, 4> tag{0x81, 0x00, 0x00, 0x07};
  tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
  EXPECT_EQ(bytes_of(mbuf), tagged);
  EXPECT_EQ(vlan_id(mbuf), 7);
  ASSERT_TRUE(add_tag(mbuf, 9)) << "a tagged frame stays as it is";
  remove_tag(mbuf, 9);
  EXPECT_EQ(bytes_of(mbuf), tagged) << "of another VLAN";
  remove_tag(mbuf, 7);
  EXPECT_EQ(bytes_of(mbuf), untagged_frame());
  EXPECT_EQ(mbuf->ol_flags, 0u);
  rte_pktmbuf_free(mbuf);
}

TEST(VlanTag, PortWithoutVlanChangesNothing) {
  testing::start_eal();
  rte_mbuf* mbuf = testing::make_mbuf(testing::make_pool(7), untagged_frame());
  ASSERT_TRUE(add_tag(mbuf, 0));
  remove_tag(mbuf, 0);
  EXPECT_EQ(bytes_of(mbuf), untagged_frame());
  rte_pktmbuf_free(mbuf);
}

}  // namespace
}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// What goes between workers and twins: in which order, and with the port's VLAN tag on and off.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/packet/vlan_tag.h"
#include "dataplane/process/main_loop.h"
#include "tests/dataplane/support/bench_ports.h"

namespace sluice {
namespace {

class RelayTest : public ::testing::Test {
 protected:
  RelayTest() {
    testing::start_eal();
    for (PuntRings& rings : relay_.to_main) {
      for (rte_ring*& ring : rings[kPort]) {
        ring = rte_ring_create(std::to_string(made_++).c_str(), 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
      }
    }
  }
  ~RelayTest() override {
    for (const PuntRings& rings : relay_.to_main) {
      for (rte_ring* ring : rings[kPort]) rte_ring_free(ring);
    }
    rte_mempool_free(pool_);
  }

  void punt(uint32_t worker, PuntClass punt_class, uint32_t packets) {
    for (uint32_t i = 0; i < packets; i++) {
      ASSERT_EQ(rte_ring_sp_enqueue(ring(worker, punt_class), rte_pktmbuf_alloc(pool_)), 0);
    }
  }
  uint32_t waiting(uint32_t worker, PuntClass punt_class) { return rte_ring_count(ring(worker, punt_class)); }
  rte_ring* ring(uint32_t worker, PuntClass punt_class) {
    return relay_.to_main[worker][kPort][static_cast<size_t>(punt_class)];
  }

  static constexpr size_t kPort = 3;
  static inline int made_ = 0;
  rte_mempool* pool_ = testing::make_pool(4095);
  Relay relay_{.to_main = std::vector<PuntRings>(2)};
};

TEST_F(RelayTest, FreesWhatHasNoTwin) {
  punt(0, PuntClass::kLocal, 3);
  ASSERT_EQ(rte_mempool_in_use_count(pool_), 3u);
  EXPECT_TRUE(relay_to_kernel(relay_));
  EXPECT_EQ(rte_mempool_in_use_count(pool_), 0u);
  EXPECT_FALSE(relay_to_kernel(relay_));
}

TEST_F(RelayTest, TakesMostOfWhatMattersMost) {
  for (const PuntClass c : {PuntClass::kInfrastructure, PuntClass::kLocal, PuntClass::kRouted, PuntClass::kStrangers}) {
    punt(0, c, 500);
  }
  relay_to_kernel(relay_);
  EXPECT_EQ(waiting(0, PuntClass::kInfrastructure), 0u);
  EXPECT_LT(waiting(0, PuntClass::kLocal), 500u);
  EXPECT_LT(waiting(0, PuntClass::kRouted), 500u);
  EXPECT_LT(waiting(0, PuntClass::kStrangers), 500u);
  EXPECT_GT(waiting(0, PuntClass::kStrangers), waiting(0, PuntClass::kRouted));
  while (relay_to_kernel(relay_)) {
  }
  EXPECT_EQ(rte_mempool_in_use_count(pool_), 0u);
}

TEST_F(RelayTest, WorkersOfOneClassTakeTurns) {
  punt(0, PuntClass::kStrangers, 600);
  punt(1, PuntClass::kStrangers, 600);
  for (int i = 0; i < 10; i++) relay_to_kernel(relay_);
  EXPECT_EQ(waiting(0, PuntClass::kStrangers), waiting(1, PuntClass::kStrangers));
  while (relay_to_kernel(relay_)) {
  }
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

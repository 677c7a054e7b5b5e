// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/privileges.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace sluice {
namespace {

std::string needed_for(const std::vector<std::string>& devices) {
  std::vector<PortOptions> ports;
  for (const std::string& device : devices) ports.push_back({.name = "front", .device = device, .twin = "slf0"});
  return capability_names(needed_capabilities(ports));
}

TEST(Privileges, AreTheLeastForTheKindsOfDevices) {
  EXPECT_EQ(needed_for({"0000:3b:00.0", "0000:3b:00.1"}), "CAP_NET_ADMIN");
  EXPECT_EQ(needed_for({"net_memif0,role=server"}), "CAP_NET_ADMIN");
  EXPECT_EQ(needed_for({"net_af_packet0,iface=eth1"}), "CAP_NET_ADMIN and CAP_NET_RAW");
  EXPECT_EQ(needed_for({"0000:3b:00.0", "net_af_xdp0,iface=eth1"}), "CAP_NET_ADMIN and CAP_NET_RAW and CAP_SYS_ADMIN");
}

TEST(Privileges, OfNothingHaveNoNames) {
  EXPECT_EQ(capability_names(0), "");
}

TEST(Privileges, OneThreadDropsItsOwnAlone) {
  const uint64_t before = effective_capabilities();
  int error = -1;
  uint64_t left = 1;
  std::thread([&] {
    error = drop_capabilities();
    left = effective_capabilities();
  }).join();
  EXPECT_EQ(error, 0);
  EXPECT_EQ(left, 0U);
  EXPECT_EQ(effective_capabilities(), before);
}

}  // namespace
}  // namespace sluice

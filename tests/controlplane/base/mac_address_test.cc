// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/mac_address.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

TEST(MacAddress, IsReadAsItIsWritten) {
  constexpr MacAddress kMac{{0x02, 0, 0xab, 0xcd, 0xef, 0x17}};
  EXPECT_EQ(to_string(kMac), "02:00:ab:cd:ef:17");
  EXPECT_EQ(parse_mac("02:00:ab:cd:ef:17"), kMac);
  EXPECT_EQ(parse_mac("02:00:AB:CD:EF:17"), kMac);
}

TEST(MacAddress, IsNothingElse) {
  for (const char* text : {"", "02:00:ab:cd:ef", "02:00:ab:cd:ef:17:18", "02-00-ab-cd-ef-17", "02:00:ab:cd:ef:1",
                           "02:00:ab:cd:ef:1g", " 2:00:ab:cd:ef:17", "0x:00:ab:cd:ef:17"})
    EXPECT_EQ(parse_mac(text), std::nullopt) << text;
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "config/model.h"

#include "tests/support/ip.h"

namespace sluice::config {
namespace {

TEST(IpAddress, ReadsAndWritesBothFamilies) {
  for (const char* text : {"10.0.1.10", "255.255.255.255", "2001:db8::25", "::", "::1", "fd00:1::10"}) {
    SCOPED_TRACE(text);
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address);
    EXPECT_EQ(address->to_string(), text);
  }
}

TEST(IpAddress, HoldsVersionFourMapped) {
  const IpAddress address = ip("10.0.1.10");
  EXPECT_TRUE(address.is_v4());
  EXPECT_EQ(address.bytes, (std::array<uint8_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 1, 10}));
  EXPECT_EQ(address, ip("::ffff:10.0.1.10"));
  EXPECT_FALSE(ip("2001:db8::25").is_v4());
}

TEST(IpAddress, RefusesWhatIsNoAddress) {
  for (const char* text :
       {"", "10.0.1", "10.0.1.256", "10.0.1.10 ", "10.0.1.10/24", "mta1", "2001:db8:::1", "fe80::1%eth0"})
    EXPECT_FALSE(IpAddress::parse(text)) << text;
}

}  // namespace
}  // namespace sluice::config

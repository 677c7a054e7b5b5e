// SPDX-License-Identifier: Apache-2.0
#include "controlplane/inspect/client_filter.h"

#include <gtest/gtest.h>

#include <vector>

#include "controlplane/api/flow_names.h"

namespace sluice::control {
namespace {

TEST(ClientFilter, TakesAddressesEndpointsAndPrefixes) {
  struct Case {
    const char* text;
    const char* address;
    uint32_t bits;
    uint16_t port;
  };
  const std::vector<Case> cases{
      {"", "::", 0, 0},
      {"198.51.100.7", "198.51.100.7", 128, 0},
      {"198.51.100.7:40001", "198.51.100.7", 128, 40001},
      {"198.51.100.0/24", "198.51.100.0", 120, 0},
      {"0.0.0.0/0", "0.0.0.0", 96, 0},
      {"2001:db8::7", "2001:db8::7", 128, 0},
      {"2001:db8::/32", "2001:db8::", 32, 0},
      {"[2001:db8::7]:25", "2001:db8::7", 128, 25},
      {"[2001:db8::7]", "2001:db8::7", 128, 0},
      {"::/0", "::", 0, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const auto filter = ClientFilter::parse(c.text);
    ASSERT_TRUE(filter) << filter.error();
    EXPECT_EQ(text_of(filter->address), c.address);
    EXPECT_EQ(filter->prefix_bits, c.bits);
    EXPECT_EQ(filter->port, c.port);
  }
}

TEST(ClientFilter, RefusesTheRestAndSaysWhatIsAllowed) {
  for (const char* text : {"nobody", "198.51.100", "198.51.100.7:", "198.51.100.7:0", "198.51.100.7:65536",
                           "198.51.100.7:25x", "198.51.100.7/33", "198.51.100.7/-1", "198.51.100.7/",
                           "198.51.100.7:25/24", "2001:db8::7/129", "[2001:db8::7]25", "[2001:db8::7", "2001:db8::7]",
                           "[]:25", "/24", ":25", " 198.51.100.7", "198.51.100.7/99999999999999999999"}) {
    SCOPED_TRACE(text);
    const auto filter = ClientFilter::parse(text);
    ASSERT_FALSE(filter);
    EXPECT_NE(filter.error().find("192.0.2.0/24"), std::string::npos) << filter.error();
  }
}

}  // namespace
}  // namespace sluice::control

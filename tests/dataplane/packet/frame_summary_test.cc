// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/frame_summary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {
namespace {

const Endpoint kClient = endpoint("198.51.100.7", 40000);
const Endpoint kVip = endpoint("192.0.2.25", 25);

TEST(FrameSummary, FindsWhereContentBeginsAndReadsNoFurther) {
  struct Case {
    const char* description;
    Bytes frame;
    uint32_t header_bytes;
    uint32_t payload_bytes;
  };
  const auto with_type = [](Bytes frame, uint8_t protocol) {
    frame[14 + 9] = protocol;
    return frame;
  };
  const Frame plain = Frame().from(kClient).to(kVip).ack(1).payload("secret");
  const Endpoint client6 = endpoint("2001:db8::7", 40000), vip6 = endpoint("2001:db8:25::25", 25);
  Bytes tunnelled = plain.bytes();
  const Bytes outer = with_type(Frame().from(endpoint("10.0.1.1", 1)).to(endpoint("10.0.1.10", 2525)).bytes(), 4);
  tunnelled.insert(tunnelled.begin() + 14, outer.begin() + 14, outer.begin() + 34);
  tunnelled[14 + 3] = static_cast<uint8_t>(tunnelled.size() - 14);
  const std::vector<Case> cases{
      {"IPv4", plain.bytes(), 54, 6},
      {"VLAN", Frame(plain).vlan(7).bytes(), 58, 6},
      {"options", Frame(plain).tcp_options(Bytes(12, 1)).ip_options(Bytes(4, 1)).bytes(), 70, 6},
      {"IPv6", Frame().from(client6).to(vip6).ack(1).payload("secret").bytes(), 74, 6},
      {"IPIP", tunnelled, 74, 6},
      {"UDP: all of it is content", with_type(plain.bytes(), 17), 34, 0},
      {"ICMP", with_type(plain.bytes(), 1), 42, 0},
      {"a later fragment", Frame(plain).fragment(8).bytes(), 34, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    const FrameSummary whole = summarize(c.frame.data(), static_cast<uint32_t>(c.frame.size()));
    EXPECT_TRUE(whole.is_ip);
    EXPECT_EQ(whole.header_bytes, c.header_bytes);
    EXPECT_EQ(whole.frame.payload_bytes, c.payload_bytes);
    for (size_t cut = 0; cut <= c.frame.size(); cut++) {  // in memory of exactly that size: ASan would tell
      const std::vector<uint8_t> part(c.frame.begin(), c.frame.begin() + static_cast<ptrdiff_t>(cut));
      EXPECT_LE(summarize(part.data(), static_cast<uint32_t>(cut)).header_bytes, std::max<size_t>(cut, 18));
    }
  }
}

}  // namespace
}  // namespace sluice::testing

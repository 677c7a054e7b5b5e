// SPDX-License-Identifier: Apache-2.0
//
// What routing by the workers asks of rtnetlink beside next hops. On bytes as a Linux 6.18 kernel sent them.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "controlplane/kernel/netlink.h"

namespace sluice::control::netlink {
namespace {

Bytes from_hex(std::string_view text) {
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<uint8_t>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

constexpr std::string_view kRouteByGateway =  // to 10.20.3.4
    "700000001800000001000000e371000002200000fe0000010002000008000f00fe000000080001000a14030408000400"
    "02000000080007000a090101080005000a090102080019000000000024000c0002000000000000000000000000000000"
    "00000000000000000000000000000000";
constexpr std::string_view kRouteWithMtu =
    "480000001800020001000000c94c000002000000fe0300010000000008000f00fe00000008000600070000000c00080008000200"
    "78050000080005000a0901020800040003000000";
constexpr std::string_view kRouteOfTos =
    "3c0000001800020001000000c94c000002100010fe0300010000000008000f00fe000000080001000a070000080005000a090102"
    "0800040003000000";
constexpr std::string_view kRouteOfSeveralWays =
    "500000001800020001000000c94c000002100000fe0300010000000008000f00fe000000080001000a0800002400090010000000"
    "03000000080005000a0901021000000003000000080005000a090103";
constexpr std::string_view kRules =
    "340000002000020001000000e54a000002000000ff0000010000000008000f00ff00000008000e00ffffffff0500150002000000"
    "440000002000020001000000e54a000002001000640000010000000008000f006400000008000e00ffffffff0500150000000000"
    "08000600fd7f0000080002000a090000"
    "3c0000002000020001000000e54a000002000000fe0000010000000008000f00fe00000008000e00ffffffff0500150002000000"
    "08000600fe7f0000"
    "3c0000002000020001000000e54a000002000000fd0000010000000008000f00fd00000008000e00ffffffff0500150002000000"
    "08000600ff7f0000"
    "140000000300020001000000e54a000000000000";

TEST(Netlink, TellsRoutesThatAreForSomePacketsOrDoMoreWithThem) {
  EXPECT_TRUE(std::get<Route>(parse(from_hex(kRouteWithMtu)).at(0)).special);
  EXPECT_TRUE(std::get<Route>(parse(from_hex(kRouteOfTos)).at(0)).special);
  const auto several = std::get<Route>(parse(from_hex(kRouteOfSeveralWays)).at(0));
  EXPECT_FALSE(several.special);
  EXPECT_EQ(several.hops.size(), 2u);
  EXPECT_FALSE(std::get<Route>(parse(from_hex(kRouteByGateway)).at(0)).special);
  std::string dead(kRouteWithMtu);
  dead[2 * 24] = '0', dead[2 * 24 + 1] = '1';
  EXPECT_TRUE(std::get<Route>(parse(from_hex(dead)).at(0)).dead);
}

TEST(Netlink, TellsRulesThatAreNotThereFromTheStart) {
  std::vector<uint32_t> others;
  const auto messages = parse(from_hex(kRules));
  ASSERT_EQ(messages.size(), 5u);
  for (const Message& message : messages) {
    const auto* rule = std::get_if<Rule>(&message);
    if (rule != nullptr && !rule->ordinary) others.push_back(rule->priority);
  }
  EXPECT_EQ(others, std::vector<uint32_t>{32765});
}

TEST(Netlink, ARuleFromTheStartThatIsNotForAllPacketsIsNone) {
  // Rule 0, without its end, which says what it suppresses and who made it.
  constexpr std::string_view kBegin = "02000000ff0000010000000008000f00ff000000";
  const auto is_ordinary = [&](std::string_view attributes) {
    Bytes bytes = from_hex("000000002000020001000000e54a0000" + std::string(kBegin) + std::string(attributes));
    bytes[0] = static_cast<uint8_t>(bytes.size());
    return std::get<Rule>(parse(bytes).at(0)).ordinary;
  };
  EXPECT_TRUE(is_ordinary("08000e00ffffffff0500150002000000"));
  EXPECT_FALSE(is_ordinary("08000e00000000000500150002000000")) << "it suppresses default routes";
  EXPECT_FALSE(is_ordinary("08000d0001000000")) << "routes by a group of interfaces";
  EXPECT_FALSE(is_ordinary("08000a0001000000")) << "of packets with a mark";
  EXPECT_FALSE(is_ordinary("0c001400e8030000e8030000")) << "of users";
  EXPECT_FALSE(is_ordinary("0800180019001900")) << "of ports";
}

TEST(Netlink, ReadsNothingOfRoutesAndRulesBeyondTheBytes) {
  for (const std::string_view text : {kRouteWithMtu, kRouteOfTos, kRouteOfSeveralWays, kRules}) {
    const Bytes whole = from_hex(text);
    for (size_t n = 0; n < whole.size(); n++)
      (void)parse(std::vector<uint8_t>(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n)));
  }
}

}  // namespace
}  // namespace sluice::control::netlink

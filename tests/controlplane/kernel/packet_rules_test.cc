// SPDX-License-Identifier: Apache-2.0
//
// On bytes as a Linux 6.18 kernel sent them.
#include "controlplane/kernel/packet_rules.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace sluice::control {
namespace {

std::vector<uint8_t> from_hex(std::string_view text) {
  std::vector<uint8_t> out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<uint8_t>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

constexpr std::string_view kInput =
    "6c000000030a020001000000c94c0000010000030b00010066696c746572000007000300696e00000c0002000000000000000001"
    "140004000800010000000001080002000000000008000500000000010b00070066696c746572000008000a000000000108000600"
    "00000000";
constexpr std::string_view kWithoutHook =
    "40000000030a020001000000c94c0000010000030b00010066696c74657200000a00030061736964650000000c00020000000000"
    "000000020800060000000001";
constexpr std::string_view kForward =
    "70000000030a020001000000c94c0000010000030b00010066696c74657200000900030070617373000000000c00020000000000"
    "00000003140004000800010000000002080002000000000008000500000000010b00070066696c746572000008000a0000000001"
    "0800060000000000";
constexpr std::string_view kIngress =
    "84000000030a020001000000c94c0000050000030a0001006561726c790000000a00030066697273740000000c00020000000000"
    "0000000128000400080001000000000008000200000000000c000400070001006430000007000300643000000800050000000001"
    "0b00070066696c746572000008000a00000000010800060000000000";
constexpr std::string_view kEnd = "140000000300020001000000c94c000000000000";

const std::set<std::string> kTwins{"d0", "slb0"};

Chains read(std::initializer_list<std::string_view> messages) {
  Chains out;
  for (const std::string_view message : messages) read_chains(from_hex(message), kTwins, out);
  return out;
}

TEST(PacketRules, AListThatChangedMeanwhileIsNotTheWholeOne) {
  std::string end(kEnd);
  end[2 * 6] = '1';  // NLM_F_DUMP_INTR
  EXPECT_FALSE(read({kInput, kEnd}).interrupted);
  EXPECT_TRUE(read({kInput, end}).interrupted);
  EXPECT_TRUE(read({kInput, end}).done);
}

TEST(PacketRules, ChainsOnTheWayHaveASayOthersDoNot) {
  const Chains none = read({kInput, kWithoutHook, kEnd});
  EXPECT_EQ(none.on_the_way, "");
  EXPECT_TRUE(none.done);
  EXPECT_EQ(none.error, 0);
  EXPECT_EQ(read({kInput, kForward, kIngress, kEnd}).on_the_way,
            "nftables: chain pass of table inet filter (hook forward)");
  EXPECT_EQ(read({kIngress, kEnd}).on_the_way, "nftables: chain first of table netdev early (hook ingress)");
  EXPECT_FALSE(read({kIngress}).done);
  Chains of_others;
  read_chains(from_hex(kIngress), {"slf0"}, of_others);
  EXPECT_EQ(of_others.on_the_way, "") << "it is of an interface that is none of ours";
}

TEST(PacketRules, HooksByFamily) {
  struct {
    uint8_t family, hook;
    std::string_view name;
  } const cases[] = {{1, 0, "prerouting"},
                     {2, 2, "forward"},
                     {10, 4, "postrouting"},
                     {1, 5, "ingress"},
                     {1, 1, ""},
                     {10, 3, ""},
                     {5, 1, "egress"},
                     {7, 2, ""},   // bridge
                     {3, 0, ""}};  // arp
  for (const auto& each : cases) {
    SCOPED_TRACE(int{each.family} * 100 + each.hook);
    auto bytes = from_hex(kForward);
    bytes[16] = each.family;
    bytes[16 + 4 + 12 + 12 + 12 + 4 + 7] = each.hook;
    Chains chains;
    read_chains(bytes, kTwins, chains);
    EXPECT_EQ(chains.on_the_way.empty(), each.name.empty()) << chains.on_the_way;
    const std::string hook = each.name.empty() ? "" : "(hook " + std::string(each.name) + ")";
    EXPECT_NE(chains.on_the_way.find(hook), std::string::npos) << chains.on_the_way;
  }
}

TEST(PacketRules, AnErrorEndsTheAnswer) {
  std::vector<uint8_t> bytes(sizeof(nlmsghdr) + sizeof(nlmsgerr));
  nlmsghdr header{.nlmsg_len = static_cast<uint32_t>(bytes.size()),
                  .nlmsg_type = NLMSG_ERROR,
                  .nlmsg_flags = 0,
                  .nlmsg_seq = 1,
                  .nlmsg_pid = 0};
  std::memcpy(bytes.data(), &header, sizeof header);
  const int error = -EPERM;
  std::memcpy(bytes.data() + sizeof header, &error, sizeof error);
  Chains chains;
  read_chains(bytes, kTwins, chains);
  EXPECT_TRUE(chains.done);
  EXPECT_EQ(chains.error, EPERM);
}

TEST(PacketRules, NothingIsReadBeyondTheBytes) {
  for (const std::string_view text : {kForward, kIngress}) {
    const auto whole = from_hex(text);
    for (size_t n = 0; n < whole.size(); n++) {
      Chains chains;
      read_chains(std::vector<uint8_t>(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n)), kTwins, chains);
      EXPECT_EQ(chains.on_the_way, "");
      std::vector<uint8_t> shorter(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n));
      if (n >= 4) std::memcpy(shorter.data(), &n, 4);  // and says so itself
      read_chains(shorter, kTwins, chains);
    }
  }
}

TEST(PacketRules, TablesOfTheOlderIptablesAreNamed) {
  const auto proc = std::filesystem::path(testing::TempDir()) / "packet_rules_proc";
  std::filesystem::create_directories(proc / "net");
  const auto put = [&](const char* name, const char* text) { std::ofstream(proc / "net" / name) << text; };
  put("ip_tables_names", "");
  put("ip6_tables_names", "nat\n");
  EXPECT_EQ(packet_rules(kTwins, proc).value(), "ip6tables: table nat");
  put("ip_tables_names", "filter\nmangle\n");
  EXPECT_EQ(packet_rules(kTwins, proc).value(), "iptables: table filter");
  std::filesystem::remove_all(proc);
  std::filesystem::create_directories(proc);
  std::ofstream(proc / "modules") << "veth 45056 0 - Live 0x0\nip6table_filter 12288 1 - Live 0x0\n";
  EXPECT_EQ(packet_rules(kTwins, proc).value(), "ip6tables: module ip6table_filter") << "where only root sees tables";
  std::filesystem::remove_all(proc);
}

}  // namespace
}  // namespace sluice::control

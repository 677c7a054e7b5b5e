// SPDX-License-Identifier: Apache-2.0
//
// On bytes as a Linux 6.1 kernel sent them.
#include "controlplane/kernel/netlink.h"

#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>
#include <string_view>
#include <thread>

#include "controlplane/base/descriptor.h"
#include "controlplane/kernel/netlink_socket.h"
#include "tests/support/ip.h"

namespace sluice::control::netlink {
namespace {

Bytes from_hex(std::string_view text) {
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<uint8_t>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

constexpr std::string_view kLink =  // cut after the name
    "280000001000020001000000e371000000000403010000004900010000000000070003006c6f0000";
constexpr std::string_view kNeighbors =
    "4c0000001c00020001000000e3710000020000000200000002000001080001000a0901020a0002007e697aeecbba0000"
    "0800040004000000140003008b0000008b0000008b00000001000000"
    "400000001c00020001000000e3710000020000000200000001000001080001000a09014d080004000500000014000300"
    "fa1700008a0000008a00000001000000"
    "580000001c00020001000000e37100000a000000020000000200000114000100fd000001000000000000000000000010"
    "0a0002007e697aeecbba00000800040004000000140003008a0000008a0000008a00000001000000"
    "140000000300020001000000e371000000000000";
constexpr std::string_view kRouteByGateway =  // to 10.20.3.4
    "700000001800000001000000e371000002200000fe0000010002000008000f00fe000000080001000a14030408000400"
    "02000000080007000a090101080005000a090102080019000000000024000c0002000000000000000000000000000000"
    "00000000000000000000000000000000";
constexpr std::string_view kRouteOnLink6 =  // to fd00:1::10
    "9c0000001800000001000000e37100000a808000fe0200010000000008000f00fe00000014000100fd00000100000000"
    "0000000000000010140002000000000000000000000000000000000014000700fd000001000000000000000000000001"
    "0800060000010000080004000200000024000c0002000000000000000000000000000000000000000000000000000000"
    "000000000500140000000000";
constexpr std::string_view kRouteToSelf =
    "680000001800000001000000e371000002200000fe0000020002008008000f00fe000000080001000a09010108000400"
    "01000000080007000a090101080019000000000024000c00010000000000000000000000000000000000000000000000"
    "0000000000000000";
constexpr std::string_view kNoRoute =
    "380000000200000001000000e37100009bffffff240000001a0001000100000000000000022000000000000000000000"
    "08000100cb007101";

TEST(Netlink, ReadsLinks) {
  const auto messages = parse(from_hex(kLink));
  ASSERT_EQ(messages.size(), 1u);
  const auto& link = std::get<Link>(messages[0]);
  EXPECT_EQ(link.index, 1);
  EXPECT_EQ(link.name, "lo");
  EXPECT_TRUE(link.up);
  EXPECT_FALSE(link.gone);
}

TEST(Netlink, ReadsADumpOfNeighbors) {
  const auto messages = parse(from_hex(kNeighbors));
  ASSERT_EQ(messages.size(), 4u);
  const auto& first = std::get<Neighbor>(messages[0]);
  EXPECT_EQ(first.link, 2);
  EXPECT_EQ(first.address, ip("10.9.1.2"));
  EXPECT_EQ(first.state, NUD_REACHABLE);
  EXPECT_EQ(first.mac, (MacAddress{{0x7e, 0x69, 0x7a, 0xee, 0xcb, 0xba}}));
  const auto& incomplete = std::get<Neighbor>(messages[1]);
  EXPECT_EQ(incomplete.state, NUD_INCOMPLETE);
  EXPECT_FALSE(incomplete.mac);
  EXPECT_EQ(std::get<Neighbor>(messages[2]).address, ip("fd00:1::10"));
  EXPECT_TRUE(std::holds_alternative<Done>(messages[3]));
}

TEST(Netlink, SaysWhyADumpIsNotWhole) {
  Bytes bytes(MNL_NLMSG_HDRLEN + sizeof(int));
  nlmsghdr* done = mnl_nlmsg_put_header(bytes.data());
  done->nlmsg_type = NLMSG_DONE;
  const int result = -EAFNOSUPPORT;  // as of rules of a family that there is not
  std::memcpy(mnl_nlmsg_put_extra_header(done, sizeof result), &result, sizeof result);
  const auto messages = parse(bytes);
  ASSERT_EQ(messages.size(), 1u);
  ASSERT_TRUE(std::holds_alternative<Status>(messages[0]));
  EXPECT_EQ(std::get<Status>(messages[0]).error, EAFNOSUPPORT);
}

TEST(Netlink, SaysWhenADumpWasInterrupted) {
  Bytes bytes = from_hex(kNeighbors);
  reinterpret_cast<nlmsghdr*>(bytes.data())->nlmsg_flags |= NLM_F_DUMP_INTR;
  const auto messages = parse(bytes);
  ASSERT_EQ(messages.size(), 5u);
  EXPECT_TRUE(std::holds_alternative<Interrupted>(messages[0]));
  EXPECT_TRUE(std::holds_alternative<Neighbor>(messages[1]));
}

/// A socket whose other end is not the kernel but the test, which gives one answer to each request.
class AnsweredSocket {
 public:
  explicit AnsweredSocket(std::vector<Bytes> answers) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    constexpr timeval kPatience{60, 0};
    for (const int end : ends) setsockopt(end, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    EXPECT_GE(dup2(ends[0], socket.fd()), 0);
    close(ends[0]);
    kernel_ = Descriptor(ends[1]);
    answering_ = std::jthread([this, answers = std::move(answers)] {
      std::array<uint8_t, 4096> request{};
      for (const Bytes& answer : answers) {
        if (recv(kernel_.get(), request.data(), request.size(), 0) <= 0) return;
        asked++;
        send(kernel_.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      }
    });
  }
  ~AnsweredSocket() { shutdown(kernel_.get(), SHUT_RD); }

  NetlinkSocket socket{0};
  std::atomic<int> asked = 0;

 private:
  Descriptor kernel_;
  std::jthread answering_;
};

TEST(NetlinkSocket, AsksAgainWhereADumpWasInterrupted) {
  const Bytes whole = from_hex(kNeighbors);
  Bytes torn = whole;
  reinterpret_cast<nlmsghdr*>(torn.data())->nlmsg_flags |= NLM_F_DUMP_INTR;
  AnsweredSocket answered({torn, torn, whole});
  const auto neighbors = answered.socket.ask(dump_neighbors(1));
  ASSERT_TRUE(neighbors) << neighbors.error();
  EXPECT_EQ(neighbors->size(), 3u) << "of the last dump alone";
  EXPECT_EQ(answered.asked, 3);
}

TEST(NetlinkSocket, GivesUpADumpThatIsInterruptedAgainAndAgain) {
  Bytes torn = from_hex(kNeighbors);
  reinterpret_cast<nlmsghdr*>(torn.data())->nlmsg_flags |= NLM_F_DUMP_INTR;
  AnsweredSocket answered(std::vector<Bytes>(20, torn));
  const auto neighbors = answered.socket.ask(dump_neighbors(1));
  ASSERT_FALSE(neighbors);
  EXPECT_EQ(neighbors.error(), EINTR);
  EXPECT_EQ(answered.asked, 5);
}

TEST(Netlink, ReadsRoutes) {
  const auto by_gateway = std::get<Route>(parse(from_hex(kRouteByGateway)).at(0));
  EXPECT_EQ(by_gateway.type, RTN_UNICAST);
  EXPECT_EQ(by_gateway.link, 2);
  EXPECT_EQ(by_gateway.gateway, ip("10.9.1.2"));
  const auto on_link = std::get<Route>(parse(from_hex(kRouteOnLink6)).at(0));
  EXPECT_EQ(on_link.link, 2);
  EXPECT_FALSE(on_link.gateway);
  EXPECT_EQ(on_link.destination, ip("fd00:1::10"));
  EXPECT_EQ(std::get<Route>(parse(from_hex(kRouteToSelf)).at(0)).type, RTN_LOCAL);
  EXPECT_EQ(std::get<Status>(parse(from_hex(kNoRoute)).at(0)).error, ENETUNREACH);
}

TEST(Netlink, AsksAboutARouteAsTheKernelExpects) {
  EXPECT_EQ(get_route(ip("10.20.3.4"), 1), from_hex("240000001a000100010000000000000002200000000000000000000008000100"
                                                    "0a140304"));
}

TEST(Netlink, SurvivesDamagedBytes) {
  std::mt19937 random(11);
  for (const std::string_view text : {kLink, kNeighbors, kRouteByGateway, kRouteOnLink6, kNoRoute}) {
    const Bytes whole = from_hex(text);
    for (size_t n = 0; n <= whole.size(); n++) {
      Bytes cut(whole.begin(), whole.begin() + static_cast<long>(n));  // exact allocation: ASan sees a byte too far
      cut.shrink_to_fit();
      parse(cut);
    }
    for (int round = 0; round < 2000; round++) {
      Bytes damaged = whole;
      for (int i = 0; i < 3; i++) damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
      parse(damaged);
    }
  }
}

TEST(Netlink, KnowsWhichAddressesARouteCovers) {
  Route route;
  route.is_v4 = true;
  route.destination = ip("10.20.0.0");
  route.prefix_bits = 16;
  EXPECT_TRUE(covers(route, ip("10.20.255.1")));
  EXPECT_FALSE(covers(route, ip("10.21.0.1")));
  EXPECT_FALSE(covers(route, ip("fd00::1")));
  route = Route{};
  route.is_v4 = true;  // a default route
  EXPECT_TRUE(covers(route, ip("203.0.113.9")));
  route.is_v4 = false;
  route.destination = ip("fd00:1::");
  route.prefix_bits = 64;
  EXPECT_TRUE(covers(route, ip("fd00:1::77")));
  EXPECT_FALSE(covers(route, ip("fd00:2::77")));
  EXPECT_FALSE(covers(route, ip("10.0.0.1")));
}

}  // namespace
}  // namespace sluice::control::netlink

// SPDX-License-Identifier: Apache-2.0
//
// Against the kernel, in a network namespace of the test's own. Needs root, iproute2 and nftables; skipped without.
#include "controlplane/kernel/route_watch.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <expected>
#include <memory>

#include "tests/support/ip.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using config::ServerRouting;

constexpr const char* kSetUp =
    "ip link set lo up && ip link add slf0 type veth peer name far0 && ip link add slb0 type veth peer name far1 && "
    "ip addr add 10.9.1.1/24 dev slf0 && ip -6 addr add fd00:1::1/64 dev slf0 nodad && "
    "ip addr add 10.9.2.1/24 dev slb0 && for i in slf0 far0 slb0 far1; do ip link set $i up || exit 1; done && "
    "ip route add default via 10.9.1.2 && nft list ruleset";
constexpr const char* kForwards =
    "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 && ip neigh replace 10.9.1.2 lladdr "
    "02:00:00:00:00:02 dev slf0 nud permanent && ip neigh replace 10.9.2.7 lladdr 02:00:00:00:00:07 dev slb0 nud "
    "permanent";
constexpr const char* kCleanUp =
    "nft flush ruleset; ip rule del pref 100; ip rule show | grep -q ^32766: || ip rule add pref 32766 lookup main; ip "
    "route flush type blackhole; ip route del local 10.9.2.0/29 dev lo; sysctl -qw net.ipv4.conf.all.rp_filter=0 "
    "net.ipv4.conf.slf0.rp_filter=0 net.ipv4.conf.slb0.rp_filter=0; ip route flush root 10.20.0.0/16; ip "
    "route replace default via 10.9.1.2; "
    "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0; for i in slf0 slb0; do ip neigh flush dev $i nud "
    "all; done";

class RouteWatchTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { ready_ = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && run(kSetUp); }
  void SetUp() override {
    if (!ready_ || !run(kForwards)) GTEST_SKIP() << "needs root, iproute2 and nftables";
  }
  void TearDown() override {
    if (watch_) watch_->stop();
    if (ready_) run(kCleanUp);
  }
  static bool run(const std::string& command) {
    return std::system(("{ " + command + "; } >/dev/null 2>&1").c_str()) == 0;
  }
  void start(ServerRouting rule = ServerRouting::kAuto) {
    watch_ = std::make_unique<RouteWatch>(io_, [this](const RoutingFacts&) { changes_++; });
    watch_->follow(rule, {{"slf0", {0, 0}}, {"slb0", {1, 0}}});
    watch_->start();
  }
  const RoutingFacts& facts() const { return watch_->facts(); }
  int hop(const std::string& address) const {
    if (facts().routes.table == nullptr) return 0;
    const channel::RouteHop* found = facts().routes.table->find(ip(address));
    return found == nullptr ? 0 : found->mac.bytes[5];
  }
  template <typename Condition>
  bool wait_for(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      io_.run_for(5ms);
      io_.restart();
    }
    return condition();
  }

  static inline bool ready_ = false;
  boost::asio::io_context io_;
  int changes_ = 0;
  std::unique_ptr<RouteWatch> watch_;
};

TEST_F(RouteWatchTest, WhereTheKernelForwardsFreelyTheWorkersDo) {
  start();
  EXPECT_EQ(facts().why_not_v4, "");
  EXPECT_EQ(facts().why_not_v6, "");
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(hop("203.0.113.9"), 2);
  EXPECT_EQ(hop("10.9.2.7"), 7);
  EXPECT_EQ(hop("10.9.2.8"), 0);
}

TEST_F(RouteWatchTest, RoutesAndNeighboursAreFollowed) {
  start();
  ASSERT_TRUE(
      run("ip route add 10.20.0.0/16 via 10.9.1.3 && "
          "ip neigh replace 10.9.1.3 lladdr 02:00:00:00:00:03 dev slf0 nud permanent"));
  EXPECT_TRUE(wait_for([&] { return hop("10.20.1.1") == 3; }));
  ASSERT_TRUE(run("ip neigh replace 10.9.1.3 lladdr 02:00:00:00:00:13 dev slf0 nud permanent"));
  EXPECT_TRUE(wait_for([&] { return hop("10.20.1.1") == 0x13; }));
  ASSERT_TRUE(run("ip route del 10.20.0.0/16"));
  EXPECT_TRUE(wait_for([&] { return hop("10.20.1.1") == 2; }));
  ASSERT_TRUE(run("ip neigh del 10.9.2.7 dev slb0"));
  EXPECT_TRUE(wait_for([&] { return hop("10.9.2.7") == 0; }));
}

TEST_F(RouteWatchTest, WhereItDoesNotForwardNobodyDoes) {
  ASSERT_TRUE(run("sysctl -qw net.ipv4.conf.slb0.forwarding=0"));
  start();
  EXPECT_EQ(facts().why_not_v4, "net.ipv4.conf.slb0.forwarding is not 1");
  EXPECT_EQ(facts().why_not_v6, "");
  EXPECT_EQ(hop("203.0.113.9"), 0);
  ASSERT_TRUE(run("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.slb0.forwarding=1 net.ipv6.conf.all.forwarding=0"));
  EXPECT_TRUE(wait_for([&] { return facts().why_not_v4.empty() && !facts().why_not_v6.empty(); }));
  EXPECT_EQ(facts().why_not_v6, "net.ipv6.conf.all.forwarding is not 1");
  EXPECT_EQ(hop("203.0.113.9"), 2);
}

TEST_F(RouteWatchTest, AFirewallKeepsTheWorkWithTheKernelUnlessItIsNotAsked) {
  constexpr const char* kFirewall = "nft 'table inet filter { chain pass { type filter hook forward priority 0; }; }'";
  start();
  ASSERT_TRUE(run(kFirewall));
  EXPECT_TRUE(wait_for([&] { return !facts().why_not_v4.empty(); }));
  EXPECT_EQ(facts().why_not_v4, "nftables: chain pass of table inet filter (hook forward)");
  EXPECT_EQ(facts().why_not_v6, facts().why_not_v4);
  EXPECT_EQ(facts().routes.table, nullptr);
  watch_->follow(ServerRouting::kWorker, {{"slf0", {0, 0}}, {"slb0", {1, 0}}});
  EXPECT_EQ(hop("203.0.113.9"), 2);
  watch_->follow(ServerRouting::kKernel, {{"slf0", {0, 0}}, {"slb0", {1, 0}}});
  EXPECT_EQ(facts().why_not_v4, "dataplane.server_routing is \"kernel\"");
  EXPECT_EQ(facts().routes.table, nullptr);
  watch_->follow(ServerRouting::kAuto, {{"slf0", {0, 0}}, {"slb0", {1, 0}}});
  ASSERT_TRUE(run("nft flush ruleset"));
  EXPECT_TRUE(wait_for([&] { return hop("203.0.113.9") == 2; }));
}

TEST_F(RouteWatchTest, AChainThatSeesNoForwardedPacketIsNoReason) {
  ASSERT_TRUE(
      run("nft 'table inet filter { chain arrivals { type filter hook input priority 0; }; }' && "
          "nft 'table netdev early { chain first { type filter hook ingress device far0 priority 0; }; }'"));
  start();
  EXPECT_EQ(facts().why_not_v4, "");
}

TEST_F(RouteWatchTest, ARuleOfPolicyRoutingKeepsTheWorkWithTheKernel) {
  ASSERT_TRUE(run("ip rule add pref 100 from 10.9.2.7 lookup 77"));
  start();
  EXPECT_EQ(facts().why_not_v4, "policy routing: rule 100 of IPv4");
}

TEST_F(RouteWatchTest, WithoutTheRuleThatEachKernelHasTheWorkIsTheKernels) {
  ASSERT_TRUE(run("ip rule del pref 32766"));
  start();
  EXPECT_EQ(facts().why_not_v4, "policy routing: IPv4 has no rule 32766");
  ASSERT_TRUE(run("ip rule add pref 32766 lookup main"));
  EXPECT_TRUE(wait_for([&] { return hop("203.0.113.9") == 2; }));
}

TEST_F(RouteWatchTest, ANetworkThatTheKernelTakesForItsOwnIsItsOwn) {
  ASSERT_TRUE(run("ip route add local 10.9.2.0/29 dev lo"));
  start();
  EXPECT_EQ(hop("203.0.113.9"), 2);
  EXPECT_EQ(hop("10.9.2.7"), 0);
  ASSERT_TRUE(run("ip route del local 10.9.2.0/29 dev lo"));
  EXPECT_TRUE(wait_for([&] { return hop("10.9.2.7") == 7; }));
}

TEST_F(RouteWatchTest, StrictReversePathsAreTheKernelsToJudge) {
  ASSERT_TRUE(run("sysctl -qw net.ipv4.conf.slb0.rp_filter=1"));
  start();
  EXPECT_EQ(facts().why_not_v4, "net.ipv4.conf.slb0.rp_filter is 1 (strict)");
  EXPECT_EQ(facts().why_not_v6, "");
  ASSERT_TRUE(run("sysctl -qw net.ipv4.conf.all.rp_filter=2"));  // the greater counts: it is loose
  EXPECT_TRUE(wait_for([&] { return facts().why_not_v4.empty(); }));
  ASSERT_TRUE(run("sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.slb0.rp_filter=0"));
  EXPECT_TRUE(wait_for([&] { return facts().why_not_v4 == "net.ipv4.conf.all.rp_filter is 1 (strict)"; }));
  watch_->follow(ServerRouting::kWorker, {{"slf0", {0, 0}}, {"slb0", {1, 0}}});
  EXPECT_EQ(facts().why_not_v4, "");
}

TEST_F(RouteWatchTest, WithoutPortsNothingIsRouted) {
  watch_ = std::make_unique<RouteWatch>(io_, [this](const RoutingFacts&) { changes_++; });
  watch_->start();
  EXPECT_EQ(facts().why_not_v4, "no port is bound to one of the data plane's");
  EXPECT_EQ(facts().routes.table, nullptr);
  watch_->follow(ServerRouting::kAuto, {{"slb0", {1, 12}}});
  EXPECT_EQ(hop("10.9.2.7"), 7);
  EXPECT_EQ(hop("203.0.113.9"), 0) << "it leaves by an interface that is no port's";
}

// As with a full table of BGP: 900,000 routes take seconds to read.
TEST_F(RouteWatchTest, MoreRoutesThanThereIsRoomForAreNotReadOnAndNotSoonAgain) {
  ASSERT_TRUE(run(
      "seq 0 65599 | awk '{printf \"route add blackhole 100.%d.%d.%d/32\\n\", 64 + int($1 / 65536), int($1 / 256) % "
      "256, $1 % 256}' | ip -batch -"));
  start();
  EXPECT_EQ(facts().why_not_v4, "the kernel has more than 65536 IPv4 routes");
  EXPECT_EQ(facts().why_not_v6, facts().why_not_v4);
  EXPECT_EQ(facts().routes.table, nullptr);
  ASSERT_TRUE(run("ip route flush type blackhole"));
  io_.run_for(RouteWatch::kLook + 500ms);
  io_.restart();
  EXPECT_EQ(facts().why_not_v4, "the kernel has more than 65536 IPv4 routes")
      << "what changed is no reason to look again";
  EXPECT_EQ(changes_, 1);
  watch_->follow(ServerRouting::kWorker, {{"slf0", {0, 0}}, {"slb0", {1, 0}}});
  EXPECT_EQ(hop("203.0.113.9"), 2);
}

TEST_F(RouteWatchTest, AFloodOfNotificationsIsThrownAwayBitByBit) {
  NetlinkSocket notified(RTMGRP_IPV4_ROUTE);
  ASSERT_TRUE(run("seq 1 100 | awk '{print \"route add blackhole 100.64.0.\" $1}' | ip -batch -"));
  notified.discard();
  const auto left = notified.poll();
  ASSERT_TRUE(left);
  EXPECT_EQ(left->size(), 36u);
  notified.discard();  // there is nothing
}

TEST_F(RouteWatchTest, ADumpOfMoreThanIsWantedIsGivenUp) {
  ASSERT_TRUE(run("seq 1 100 | awk '{print \"route add blackhole 100.64.0.\" $1}' | ip -batch -"));
  const auto count = [](size_t limit) -> std::expected<size_t, int> {
    NetlinkSocket queries(0);
    queries.be_strict();
    const auto answer = queries.ask(netlink::dump_routes(AF_INET, RT_TABLE_MAIN, 1), limit);
    if (!answer) return std::unexpected(answer.error());
    return answer->size();
  };
  const auto all = count(SIZE_MAX);
  ASSERT_TRUE(all);
  EXPECT_GE(*all, 100u);
  EXPECT_EQ(count(*all), all);
  EXPECT_EQ(count(*all - 1), std::unexpected(E2BIG));
}

// The kernel withdraws such a route without a word.
TEST_F(RouteWatchTest, ARouteThatGoesWithItsNexthopObjectIsMissed) {
  if (!run("ip nexthop add id 7 via 10.9.1.2 dev slb0 onlink")) GTEST_SKIP() << "no nexthop objects";
  ASSERT_TRUE(run(
      "ip route add 10.20.0.0/16 nhid 7 && ip neigh replace 10.9.1.2 lladdr 02:00:00:00:00:22 dev slb0 nud permanent"));
  start();
  ASSERT_EQ(hop("10.20.1.1"), 0x22);
  ASSERT_TRUE(run("ip nexthop del id 7"));
  EXPECT_TRUE(wait_for([&] { return hop("10.20.1.1") == 2; }));
}

}  // namespace
}  // namespace sluice::control

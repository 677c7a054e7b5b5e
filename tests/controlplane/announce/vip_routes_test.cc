// SPDX-License-Identifier: Apache-2.0
//
// Against the kernel, in a network namespace of the test's own. Needs root and iproute2; skipped without.
#include "controlplane/announce/vip_routes.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <tuple>

#include "tests/controlplane/support/state_directory.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

constexpr VipRoutes::Place kPlace{2525, 125};

class VipRoutesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ready_ = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && run("ip link set lo up && ip route show");
  }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "needs root and iproute2";
    for (const char* table : {"2525", "2526"}) {
      run(std::string("ip route flush table ") + table);
      run(std::string("ip -6 route flush table ") + table);
    }
    make();
  }
  void TearDown() override {
    if (routes_) routes_->stop();
    io_.poll();
  }

  static bool run(const std::string& command) {
    return std::system(("{ " + command + "; } >/dev/null 2>&1").c_str()) == 0;
  }
  /// What `ip` shows of both families, each line followed by ";".
  static std::string table(const std::string& number = "2525") {
    std::string out;
    for (const char* family : {"-4", "-6"}) {
      FILE* pipe = popen(("ip " + std::string(family) + " route show table " + number + " 2>/dev/null").c_str(), "r");
      std::array<char, 256> line{};
      while (fgets(line.data(), line.size(), pipe) != nullptr) {
        std::string text = line.data();
        out += text.substr(0, text.find_last_not_of(" \n") + 1) + ";";
      }
      pclose(pipe);
    }
    return out;
  }
  void make() {
    if (routes_) routes_->stop();
    io_.poll();
    io_.restart();
    routes_ = std::make_unique<VipRoutes>(io_, journal_, directory_.path());
  }
  void wait_for(const std::string& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (table() != wanted) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << table();
      io_.run_for(5ms);
      io_.restart();
    }
  }

  static inline bool ready_ = false;
  const std::string kV4 = "blackhole 192.0.2.25 proto 125 metric 100;";
  const std::string kV6 = "blackhole 2001:db8::25 dev lo proto 125 metric 100 pref medium;";
  const VipRoute kRoute4{ip("192.0.2.25"), 100};
  const VipRoute kRoute6{ip("2001:db8::25"), 100};
  StateDirectory directory_;
  boost::asio::io_context io_;
  Journal journal_;
  std::unique_ptr<VipRoutes> routes_;
};

TEST_F(VipRoutesTest, AreExactlyThoseThatAreWanted) {
  EXPECT_TRUE(routes_->start(kPlace).empty());
  EXPECT_EQ(table(), "");
  routes_->want({kRoute4, kRoute6});
  EXPECT_EQ(table(), kV4 + kV6);
  routes_->want({{ip("192.0.2.25"), 200}});
  EXPECT_EQ(table(), "blackhole 192.0.2.25 proto 125 metric 200;");
  routes_->want({});
  EXPECT_EQ(table(), "");
  EXPECT_EQ(routes_->fault(), "");
  EXPECT_EQ(routes_->remade(), 0u);
}

TEST_F(VipRoutesTest, ARouteWhoseMetricChangesIsNeverMissingButWhereFrrWouldForgetIt) {
  for (const auto& [table, first, second] : {std::tuple(2525U, 200U, 100U), std::tuple(252U, 100U, 200U)}) {
    make();
    routes_->start(VipRoutes::Place{table, 125});
    routes_->want({kRoute4});
    NetlinkSocket monitor(RTMGRP_IPV4_ROUTE);
    routes_->want({{ip("192.0.2.25"), 200}});
    const auto heard = monitor.poll();
    ASSERT_TRUE(heard);
    ASSERT_EQ(heard->size(), 2u) << table;
    EXPECT_EQ(std::get<netlink::Route>(heard->at(0)).metric, first) << table;
    EXPECT_EQ(std::get<netlink::Route>(heard->at(1)).metric, second) << table;
    routes_->want({});
  }
}

TEST_F(VipRoutesTest, WhatACrashLeftBehindStaysUntilItIsKnownWhatIsWantedAndGoesThen) {
  ASSERT_TRUE(
      run("ip route add blackhole 192.0.2.25/32 table 2525 proto 125 metric 100 && "
          "ip route add blackhole 192.0.2.26/32 table 2525 proto 125 metric 100 && "
          "ip route add blackhole 192.0.2.0/24 table 2525 proto 125 metric 100 && "
          "ip route add blackhole default table 2525 proto 125 && "
          "ip route add unreachable 192.0.2.27/32 table 2525 proto 125 metric 100 && "
          "ip -6 route add blackhole 2001:db8::25/128 table 2525 proto 125 metric 200"));
  const std::string before = table();
  const auto found = routes_->start(kPlace);
  EXPECT_EQ(found, (std::set<VipRoute>{kRoute4, {ip("192.0.2.26"), 100}, {ip("2001:db8::25"), 200}}));
  routes_->tick();
  EXPECT_EQ(table(), before);
  routes_->want({kRoute4, {ip("192.0.2.27"), 100}});
  EXPECT_EQ(table(), kV4 + "blackhole 192.0.2.27 proto 125 metric 100;");
  EXPECT_EQ(routes_->fault(), "");
}

TEST_F(VipRoutesTest, WhatOthersMakeIsNeverTouched) {
  ASSERT_TRUE(
      run("ip route add blackhole 192.0.2.77/32 table 2525 proto 126 metric 100 && "
          "ip route add blackhole 192.0.2.25/32 table 2526 proto 125 metric 100 && "
          "ip -6 route add blackhole 2001:db8::77/128 table 2525 proto static metric 100"));
  const std::string other = table("2526");
  ASSERT_NE(other, "");
  routes_->start(kPlace);
  routes_->want({kRoute4});
  routes_->want({});
  EXPECT_EQ(
      table(),
      "blackhole 192.0.2.77 proto 126 metric 100;blackhole 2001:db8::77 dev lo proto static metric 100 pref medium;");
  EXPECT_EQ(table("2526"), other);
}

TEST_F(VipRoutesTest, AreMadeAgainWhenSomebodyFlushesTheTable) {
  routes_->start(kPlace);
  routes_->want({kRoute4, kRoute6});
  ASSERT_TRUE(run("ip route flush table 2525"));
  wait_for(kV4 + kV6);
  EXPECT_EQ(routes_->remade(), 1u);
  ASSERT_TRUE(run("ip -6 route flush table 2525"));
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (table() != kV4 + kV6) {  // the second within a second waits for the tick
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    io_.run_for(20ms);
    io_.restart();
    routes_->tick();
  }
  EXPECT_EQ(routes_->remade(), 2u);
  EXPECT_NE(journal_.entries().back().text.find("made again"), std::string::npos);
}

TEST_F(VipRoutesTest, StrangersOfOurNumberThatTurnUpAreRemoved) {
  routes_->start(kPlace);
  routes_->want({kRoute4});
  ASSERT_TRUE(run("ip route add blackhole 203.0.113.1/32 table 2525 proto 125"));
  wait_for(kV4);
  EXPECT_EQ(routes_->remade(), 0u);
}

TEST_F(VipRoutesTest, ARouteOfSomebodyElseInTheWayIsAFaultUntilItIsGone) {
  ASSERT_TRUE(run("ip route add blackhole 192.0.2.25/32 table 2525 proto 126 metric 100"));
  routes_->start(kPlace);
  routes_->want({kRoute4});
  EXPECT_EQ(routes_->fault(), "cannot make the route to 192.0.2.25 in table 2525: File exists");
  EXPECT_EQ(table(), "blackhole 192.0.2.25 proto 126 metric 100;");
  ASSERT_TRUE(run("ip route del blackhole 192.0.2.25/32 table 2525"));
  wait_for(kV4);
  EXPECT_EQ(routes_->fault(), "");
  EXPECT_EQ(journal_.entries().back().text, "as they should be again");
}

TEST_F(VipRoutesTest, MoveToAnotherPlaceWithAReloadAndWithARestart) {
  routes_->start(kPlace);
  routes_->want({kRoute4});
  routes_->follow(VipRoutes::Place{2526, 125});
  routes_->want({kRoute4});
  EXPECT_EQ(table(), "");
  EXPECT_EQ(table("2526"), kV4);
  make();  // killed, and the file changed meanwhile
  EXPECT_TRUE(routes_->start(kPlace).empty());
  EXPECT_EQ(table("2526"), kV4);
  routes_->want({kRoute4});
  EXPECT_EQ(table(), kV4);
  EXPECT_EQ(table("2526"), "");
  make();
  routes_->start(std::nullopt);  // the mode is "none" now
  EXPECT_EQ(table(), kV4);
  routes_->want({});
  EXPECT_EQ(table(), "");
}

TEST_F(VipRoutesTest, AStateFileThatMakesNoSenseIsNoReasonToTouchAnything) {
  ASSERT_TRUE(run("ip route add blackhole 192.0.2.25/32 table 2526 proto 126"));
  for (const char* text : {"{", "[7]", R"([{"table": -1, "protocol": 126}])", R"([{"table": 2526, "protocol": 382}])",
                           R"([{"table": 4294969822, "protocol": 126}])"}) {
    directory_.write("routes.json", text);
    make();
    routes_->start(kPlace);
    routes_->want({});
    EXPECT_EQ(table("2526"), "blackhole 192.0.2.25 proto 126;") << text;
  }
  ASSERT_TRUE(run("ip route replace blackhole 192.0.2.25/32 table 2526 proto static"));
  directory_.write("routes.json", R"([{"table": 2526, "protocol": 4}])");
  make();
  routes_->start(kPlace);
  routes_->want({});
  EXPECT_EQ(table("2526"), "blackhole 192.0.2.25 proto static;") << "the operator's own";
}

TEST_F(VipRoutesTest, AThousandAreMadeAndFound) {
  std::set<VipRoute> many;
  for (int i = 0; i < 1000; i++)
    many.insert({ip("10.7." + std::to_string(i / 250) + "." + std::to_string(i % 250)), 100});
  routes_->start(kPlace);
  routes_->want(many);
  make();
  EXPECT_EQ(routes_->start(kPlace), many);
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// Against the kernel, in a network namespace of the test's own. Needs root and iproute2; skipped without.
#include "controlplane/kernel/client_routers.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <memory>
#include <vector>

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

constexpr const char* kSetUp =
    "ip link set lo up && ip link add slf0 type veth peer name far0 && ip link add slb0 type veth peer name far1 && "
    "ip addr add 10.9.1.1/24 dev slf0 && ip -6 addr add fd00:1::1/64 dev slf0 nodad && "
    "ip addr add 10.9.2.1/24 dev slb0 && for i in slf0 far0 slb0 far1; do ip link set $i up || exit 1; done";

class ClientRoutersTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { ready_ = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && run(kSetUp); }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "needs root and iproute2";
  }
  void TearDown() override {
    if (routers_) routers_->stop();
    if (ready_) run("for i in slf0 slb0; do ip neigh flush dev $i nud all; ip route flush root 10.20.0.0/16; done");
  }
  static bool run(const std::string& command) { return std::system(("{ " + command + "; } 2>/dev/null").c_str()) == 0; }
  static void put(const std::string& address, const std::string& mac, const std::string& device = "slf0") {
    ASSERT_TRUE(run("ip neigh replace " + address + " lladdr " + mac + " dev " + device + " nud stale"));
  }
  void start() {
    routers_ = std::make_unique<ClientRouters>(io_, [this](const RouterMove& move) { moves_.push_back(move); });
    routers_->follow({"slf0"});
    routers_->start();
  }
  void run_for(std::chrono::milliseconds time) {
    io_.run_for(time);
    io_.restart();
  }
  void wait_for_moves(size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (moves_.size() < count && std::chrono::steady_clock::now() < deadline) run_for(5ms);
    ASSERT_EQ(moves_.size(), count);
  }

  static inline bool ready_ = false;
  boost::asio::io_context io_;
  std::vector<RouterMove> moves_;
  std::unique_ptr<ClientRouters> routers_;
};

TEST_F(ClientRoutersTest, TellsOfAnAddressThatMoves) {
  put("10.9.1.7", "02:00:00:00:00:07");
  put("fd00:1::7", "02:00:00:00:00:07");
  start();
  EXPECT_TRUE(moves_.empty());
  put("10.9.1.7", "02:00:00:00:00:08");
  put("fd00:1::7", "02:00:00:00:00:08");
  wait_for_moves(2);
  EXPECT_EQ(moves_[0].twin, "slf0");
  EXPECT_EQ(moves_[0].address.to_string(), "10.9.1.7");
  EXPECT_EQ(moves_[0].from.bytes[5], 7);
  EXPECT_EQ(moves_[0].to.bytes[5], 8);
  EXPECT_EQ(moves_[1].address.to_string(), "fd00:1::7");
}

TEST_F(ClientRoutersTest, RemembersOneThatVanishedInBetween) {
  put("10.9.1.7", "02:00:00:00:00:07");
  start();
  ASSERT_TRUE(run("ip neigh del 10.9.1.7 dev slf0"));
  run_for(50ms);
  put("10.9.1.7", "02:00:00:00:00:07");
  run_for(50ms);
  EXPECT_TRUE(moves_.empty()) << "where it was";
  ASSERT_TRUE(run("ip neigh del 10.9.1.7 dev slf0"));
  put("10.9.1.7", "02:00:00:00:00:09");
  wait_for_moves(1);
  EXPECT_EQ(moves_[0].to.bytes[5], 9);
}

TEST_F(ClientRoutersTest, HearsNothingOfPortsTowardsBackends) {
  put("10.9.2.7", "02:00:00:00:00:07", "slb0");
  start();
  put("10.9.2.7", "02:00:00:00:00:08", "slb0");
  run_for(100ms);
  EXPECT_TRUE(moves_.empty());
}

TEST_F(ClientRoutersTest, UsesTheEntriesOfGateways) {
  ASSERT_TRUE(
      run("ip route add 10.20.1.0/24 via 10.9.1.8 && "
          "ip route add 10.20.2.0/24 nexthop via 10.9.1.9 nexthop via 10.9.1.10"));
  start();
  for (const char* gateway : {"10.9.1.8", "10.9.1.9", "10.9.1.10"}) {
    EXPECT_TRUE(run(std::string("ip neigh show | grep -q '^") + gateway + " '")) << gateway;
  }
}

TEST_F(ClientRoutersTest, LeavesAnEntryAloneThatAnOperatorHasFixed) {
  ASSERT_TRUE(
      run("ip neigh replace 10.9.1.12 lladdr 02:00:00:00:00:12 dev slf0 nud permanent && "
          "ip route add 10.20.4.0/24 via 10.9.1.12"));
  start();
  run_for(50ms);
  EXPECT_TRUE(run("ip neigh show 10.9.1.12 dev slf0 | grep -q PERMANENT"));
}

TEST_F(ClientRoutersTest, UsesTheEntryOfANewGatewayAtOnce) {
  start();
  ASSERT_TRUE(run("ip route add 10.20.3.0/24 via 10.9.1.11"));
  const auto deadline = std::chrono::steady_clock::now() + 5s;  // well before the next round
  while (!run("ip neigh show | grep -q '^10.9.1.11 '") && std::chrono::steady_clock::now() < deadline) run_for(5ms);
  EXPECT_TRUE(run("ip neigh show | grep -q '^10.9.1.11 '"));
}

}  // namespace
}  // namespace sluice::control

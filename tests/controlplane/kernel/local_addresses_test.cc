// SPDX-License-Identifier: Apache-2.0
//
// Against the kernel, in a network namespace of the test's own. Needs root and iproute2; skipped without.
#include "controlplane/kernel/local_addresses.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>

#include "tests/support/ip.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

class LocalAddressesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ready_ = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 &&
             run("ip link add slf0 type veth peer name far0 && ip link add slb0 type veth peer name far1 && "
                 "for i in slf0 far0 slb0 far1; do ip link set $i up || exit 1; done; "
                 "ip addr add 192.0.2.2/24 dev slf0 && ip addr add 10.9.1.1/24 dev slb0");
  }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "needs root and iproute2";
    config::Config& config = config_;
    config::Port front, back;
    front.faces = config::Faces::kClients;
    front.twin = "slf0";
    back.faces = config::Faces::kBackends;
    back.twin = "slb0";
    config.dataplane.ports = {front, back};
    config::Service service;
    service.vip = ip("10.9.1.25");
    config.services = {service};
    addresses_ = std::make_unique<LocalAddresses>(io_, [this](const std::vector<LocalAddress>& now) {
      last_.clear();
      for (const LocalAddress& each : now) {
        EXPECT_EQ(each.twin, each.is_of_peer() ? "" : "slb0");
        last_.push_back(each.address.to_string() + (each.is_of_peer() ? " of a peer" : ""));
      }
    });
    addresses_->follow(config);
    addresses_->start();
  }
  void TearDown() override {
    if (addresses_) addresses_->stop();
  }

  static bool run(const std::string& command) { return std::system(("{ " + command + "; } 2>/dev/null").c_str()) == 0; }
  void wait_for(const std::vector<std::string>& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + LocalAddresses::kGrace + 60s;
    while (last_ != wanted) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << testing::PrintToString(last_);
      io_.run_for(5ms);
      io_.restart();
    }
  }

  static bool ready_;
  config::Config config_;
  boost::asio::io_context io_;
  std::unique_ptr<LocalAddresses> addresses_;
  std::vector<std::string> last_;
};

bool LocalAddressesTest::ready_ = false;

TEST_F(LocalAddressesTest, AreThoseOfTwinsThatFaceBackendsWithoutVipsAndLinkLocalOnes) {
  wait_for({"10.9.1.1"});
  ASSERT_TRUE(
      run("ip addr add 10.9.1.25/32 dev slb0; ip -6 addr add fd00:1::1/64 dev slb0 nodad; "
          "ip addr add 10.9.1.2/24 dev slb0; ip addr add 192.0.2.3/24 dev slf0"));
  wait_for({"10.9.1.1", "10.9.1.2", "fd00:1::1"});
  ASSERT_TRUE(run("ip addr del 10.9.1.2/24 dev slb0; ip -6 addr del fd00:1::1/64 dev slb0"));
  wait_for({"10.9.1.1"});
}

TEST_F(LocalAddressesTest, APeersAddressIsItsOwnWhereverItIs) {
  config_.fleet.peers.addresses = {ip("10.9.1.7")};
  addresses_->follow(config_);
  wait_for({"10.9.1.7 of a peer", "10.9.1.1"});
  ASSERT_TRUE(run("ip addr add 10.9.1.7/32 dev slb0; ip addr add 10.9.1.8/32 dev slb0"));
  wait_for({"10.9.1.7 of a peer", "10.9.1.1", "10.9.1.8"});
  ASSERT_TRUE(run("ip addr del 10.9.1.7/32 dev slb0; ip addr del 10.9.1.8/32 dev slb0"));
  wait_for({"10.9.1.7 of a peer", "10.9.1.1"});
}

TEST_F(LocalAddressesTest, OneThatVanishesForAMomentStays) {
  wait_for({"10.9.1.1"});
  ASSERT_TRUE(run("ip addr del 10.9.1.1/24 dev slb0"));
  io_.run_for(300ms);
  io_.restart();
  EXPECT_EQ(last_, std::vector<std::string>{"10.9.1.1"});
  ASSERT_TRUE(run("ip addr add 10.9.1.1/24 dev slb0"));
  io_.run_for(300ms);
  io_.restart();
  EXPECT_EQ(last_, std::vector<std::string>{"10.9.1.1"});
}

TEST_F(LocalAddressesTest, OneThatAnEarlierProcessKnewIsMissedForAsLong) {
  const LocalAddress there{"slb0", ip("10.9.1.1")}, away{"slb0", ip("10.9.1.7")};
  std::vector<LocalAddress> now;
  LocalAddresses anew(io_, [&](const std::vector<LocalAddress>& all) { now = all; });
  const auto began = std::chrono::steady_clock::now();
  anew.presume({there, away});
  anew.follow(config_);
  EXPECT_EQ(now, (std::vector{there, away})) << "from the first word on";
  anew.start();
  while (now != std::vector{there} && std::chrono::steady_clock::now() < began + LocalAddresses::kGrace + 60s) {
    io_.run_for(5ms);
    io_.restart();
  }
  EXPECT_EQ(now, std::vector{there});
  EXPECT_GE(std::chrono::steady_clock::now() - began, LocalAddresses::kGrace);
  anew.stop();
}

}  // namespace
}  // namespace sluice::control

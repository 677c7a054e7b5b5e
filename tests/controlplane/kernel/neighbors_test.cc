// SPDX-License-Identifier: Apache-2.0
//
// Against the kernel, in a network namespace of the test's own. Needs root and iproute2; skipped without.
#include "controlplane/kernel/neighbors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "controlplane/base/descriptor.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

constexpr const char* kSetUp =
    "ip link set lo up && ip link add slb0 type veth peer name far0 && ip link add other0 type veth peer name far1 && "
    "ip addr add 10.9.1.1/24 dev slb0 && ip addr add 10.9.2.1/24 dev other0 && "
    "ip -6 addr add fd00:1::1/64 dev slb0 nodad && "
    "for i in slb0 far0 other0 far1; do ip link set $i up || exit 1; done; "
    "echo 50 > /proc/sys/net/ipv4/neigh/slb0/retrans_time_ms; echo 50 > /proc/sys/net/ipv6/neigh/slb0/retrans_time_ms";

class NeighborsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { ready_ = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && run(kSetUp); }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "needs root and iproute2";
    neighbors_ = std::make_unique<Neighbors>(
        io_, std::set<std::string>{"slf0", "slb0"},
        [this](const config::IpAddress& address, const Reachability& now) {
          last_.insert_or_assign(address.to_string(), now);
        },
        [this](const std::string& fault) {
          if (expected_fault_.empty() || !fault.starts_with(expected_fault_)) ADD_FAILURE() << fault;
          faults_++;
        });
  }
  void TearDown() override {
    if (neighbors_) neighbors_->stop();
    if (ready_) run("ip neigh flush dev slb0 nud all; ip route flush 10.20.0.0/16");
  }

  static bool run(const std::string& command) { return std::system(("{ " + command + "; } 2>/dev/null").c_str()) == 0; }
  void follow(std::vector<std::string> addresses) {
    std::vector<config::IpAddress> parsed;
    for (const std::string& address : addresses) parsed.push_back(ip(address));
    neighbors_->follow(parsed);
    neighbors_->start();
  }
  /// Waits until what was last said of `address` is `expected`: a MAC address' last byte, or part of a reason.
  template <typename Check>
  void wait_for(const std::string& address, Check is_it) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!last_.contains(address) || !is_it(last_.at(address))) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << address << ": "
                                                            << (!last_.contains(address) ? "nothing was said"
                                                                : last_.at(address)      ? "has a next hop"
                                                                                         : last_.at(address).error());
      io_.run_for(5ms);
      io_.restart();
    }
  }
  void wait_for_mac(const std::string& address, uint8_t last_byte) {
    wait_for(address, [&](const Reachability& now) { return now && now->mac.bytes[5] == last_byte; });
    EXPECT_EQ(last_.at(address)->twin, "slb0");
  }
  void wait_for_reason(const std::string& address, const std::string& text) {
    wait_for(address, [&](const Reachability& now) { return !now && now.error().find(text) != std::string::npos; });
  }

  static bool ready_;
  boost::asio::io_context io_;
  std::unique_ptr<Neighbors> neighbors_;
  std::map<std::string, Reachability> last_;
  std::string expected_fault_;
  int faults_ = 0;
};

/// The rtnetlink sockets that this process has open: those that are notified, or those that are not.
std::vector<int> netlink_sockets(bool notified) {
  std::vector<int> out;
  for (int fd = 3; fd < 256; fd++) {
    sockaddr_nl name{};
    socklen_t size = sizeof name;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0 || name.nl_family != AF_NETLINK) continue;
    if ((name.nl_groups != 0) == notified) out.push_back(fd);
  }
  return out;
}

/// While it lives, the kernel can be asked for nothing.
class NoAnswers {
 public:
  NoAnswers() {
    for (const int fd : netlink_sockets(false)) {
      kept_.emplace_back(fd, Descriptor(dup(fd)));
      const Descriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
      dup2(nothing.get(), fd);
    }
  }
  ~NoAnswers() {
    for (const auto& [fd, socket] : kept_) dup2(socket.get(), fd);
  }

 private:
  std::vector<std::pair<int, Descriptor>> kept_;
};

bool NeighborsTest::ready_ = false;

TEST_F(NeighborsTest, FindsWhatTheKernelAlreadyKnows) {
  ASSERT_TRUE(run("ip neigh replace 10.9.1.2 lladdr 02:00:00:00:00:02 dev slb0 nud stale"));
  ASSERT_TRUE(run("ip neigh replace fd00:1::10 lladdr 02:00:00:00:00:06 dev slb0 nud permanent"));
  follow({"10.9.1.2", "fd00:1::10"});
  wait_for_mac("10.9.1.2", 2);
  wait_for_mac("fd00:1::10", 6);
  EXPECT_FALSE(last_.at("fd00:1::10")->via_gateway);
}

TEST_F(NeighborsTest, AsksTheKernelToResolveAndSaysWhenNobodyAnswers) {
  follow({"10.9.1.3", "fd00:1::13"});
  wait_for_reason("10.9.1.3", "no neighbour entry for 10.9.1.3 on slb0");
  wait_for_reason("10.9.1.3", "no answer to ARP or ND from 10.9.1.3 on slb0");
  wait_for_reason("fd00:1::13", "no answer to ARP or ND");
  ASSERT_TRUE(run("ip neigh replace 10.9.1.3 lladdr 02:00:00:00:00:03 dev slb0 nud reachable"));
  wait_for_mac("10.9.1.3", 3);
}

TEST_F(NeighborsTest, FollowsANeighbourThatMovesOrFails) {
  ASSERT_TRUE(run("ip neigh replace 10.9.1.4 lladdr 02:00:00:00:00:04 dev slb0 nud reachable"));
  follow({"10.9.1.4"});
  wait_for_mac("10.9.1.4", 4);
  ASSERT_TRUE(run("ip neigh replace 10.9.1.4 lladdr 02:00:00:00:00:44 dev slb0 nud reachable"));
  wait_for_mac("10.9.1.4", 0x44);
  ASSERT_TRUE(run("ip neigh change 10.9.1.4 dev slb0 nud failed"));
  wait_for_reason("10.9.1.4", "no answer");
}

TEST_F(NeighborsTest, KeepsTheNextHopOfAnEntryThatMerelyVanished) {
  ASSERT_TRUE(run("echo 1000 > /proc/sys/net/ipv4/neigh/slb0/retrans_time_ms"));
  ASSERT_TRUE(run("ip neigh replace 10.9.1.5 lladdr 02:00:00:00:00:05 dev slb0 nud reachable"));
  follow({"10.9.1.5"});
  wait_for_mac("10.9.1.5", 5);
  ASSERT_TRUE(run("ip neigh del 10.9.1.5 dev slb0"));
  io_.run_for(300ms);
  io_.restart();
  EXPECT_TRUE(last_.at("10.9.1.5")) << "until the kernel has tried, and failed, to find it again";
  run("echo 50 > /proc/sys/net/ipv4/neigh/slb0/retrans_time_ms");
  wait_for_reason("10.9.1.5", "no answer");
}

TEST_F(NeighborsTest, KeepsNextHopsWhileThePortHasNoLink) {
  ASSERT_TRUE(run("ip neigh replace 10.9.1.8 lladdr 02:00:00:00:00:08 dev slb0 nud reachable"));
  follow({"10.9.1.8"});
  wait_for_mac("10.9.1.8", 8);
  ASSERT_TRUE(neighbors_->mac_of("slb0"));
  EXPECT_FALSE(neighbors_->mac_of("no-such-if"));
  neighbors_->set_links_down({"slb0"});
  ASSERT_TRUE(run("ip neigh change 10.9.1.8 dev slb0 nud failed"));
  io_.run_for(600ms);  // two ticks and more, with the entry failed all the while
  io_.restart();
  EXPECT_TRUE(last_.at("10.9.1.8")) << "nobody can answer while there is no link";
  neighbors_->set_links_down({});
  wait_for_reason("10.9.1.8", "no answer");
}

TEST_F(NeighborsTest, TellsAnewWhichRoutesLeadThroughPortsWhenTwinsChange) {
  ASSERT_TRUE(run("ip neigh replace 10.9.2.9 lladdr 02:00:00:00:00:09 dev other0 nud permanent"));
  follow({"10.9.2.9"});
  wait_for_reason("10.9.2.9", "leaves by other0, which is no port's twin");
  neighbors_->follow_twins({"slb0", "other0"});
  wait_for("10.9.2.9", [](const Reachability& now) { return now && now->twin == "other0"; });
}

TEST_F(NeighborsTest, ReadsEverythingAsSoonAsTheKernelAnswers) {
  ASSERT_TRUE(run("ip neigh replace 10.9.1.2 lladdr 02:00:00:00:00:02 dev slb0 nud permanent"));
  expected_fault_ = "the kernel does not list links or neighbours";
  {
    const NoAnswers none;
    follow({"10.9.1.2"});
    wait_for_reason("10.9.1.2", "the kernel has not listed its interfaces yet");
  }
  wait_for_mac("10.9.1.2", 2);
  EXPECT_EQ(faults_, 1);
}

TEST_F(NeighborsTest, KeepsWhatItKnowsWhileItCannotBeReadAnew) {
  ASSERT_TRUE(run("ip neigh replace 10.9.1.2 lladdr 02:00:00:00:00:02 dev slb0 nud permanent"));
  follow({"10.9.1.2"});
  wait_for_mac("10.9.1.2", 2);
  expected_fault_ = "the kernel does not list links or neighbours";
  {
    const NoAnswers none;
    constexpr int kLeast = 1;
    for (const int fd : netlink_sockets(true)) setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kLeast, sizeof kLeast);
    // More notifications than there is room for: some are lost.
    ASSERT_TRUE(
        run("for i in $(seq 3 60); do ip neigh replace 10.9.1.$i lladdr 02:00:00:00:01:$i dev slb0 nud stale; done"));
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (faults_ == 0 && std::chrono::steady_clock::now() < deadline) {
      io_.run_for(5ms);
      io_.restart();
    }
    EXPECT_EQ(faults_, 1);
    EXPECT_TRUE(neighbors_->mac_of("slb0"));
  }
  neighbors_->follow({ip("10.9.1.2"), ip("10.9.1.30")});
  wait_for_mac("10.9.1.30", 0x30);
}

TEST_F(NeighborsTest, KeepsANextHopWhoseRouteCannotBeAskedFor) {
  ASSERT_TRUE(run("ip neigh replace 10.9.1.2 lladdr 02:00:00:00:00:02 dev slb0 nud permanent"));
  follow({"10.9.1.2"});
  wait_for_mac("10.9.1.2", 2);
  {
    const NoAnswers none;
    io_.run_for(600ms);  // two rounds that look at every route
    io_.restart();
  }
  EXPECT_TRUE(last_.at("10.9.1.2"));
  EXPECT_TRUE(neighbors_->has_route(ip("10.9.1.2")));
  ASSERT_TRUE(run("ip addr del 10.9.1.1/24 dev slb0"));
  wait_for_reason("10.9.1.2", "no route to 10.9.1.2");
  ASSERT_TRUE(run("ip addr add 10.9.1.1/24 dev slb0"));
}

TEST_F(NeighborsTest, FollowsRoutes) {
  ASSERT_TRUE(run("ip neigh replace 10.9.1.2 lladdr 02:00:00:00:00:02 dev slb0 nud reachable"));
  ASSERT_TRUE(run("ip neigh replace 10.9.1.6 lladdr 02:00:00:00:00:07 dev slb0 nud reachable"));
  follow({"10.20.3.4"});
  wait_for_reason("10.20.3.4", "no route to 10.20.3.4");
  ASSERT_TRUE(run("ip route add 10.20.0.0/16 via 10.9.1.2"));
  wait_for_mac("10.20.3.4", 2);
  EXPECT_TRUE(last_.at("10.20.3.4")->via_gateway);
  ASSERT_TRUE(run("ip route add 10.20.3.0/24 via 10.9.1.6"));
  wait_for_mac("10.20.3.4", 7);
}

TEST_F(NeighborsTest, SaysWhenARouteDoesNotLeadThroughAPort) {
  ASSERT_TRUE(run("ip route add blackhole 10.20.9.0/24"));
  follow({"10.9.2.2", "10.9.1.1", "10.20.9.1"});
  wait_for_reason("10.9.2.2", "leaves by other0, which is no port's twin");
  wait_for_reason("10.9.1.1", "is an address of this machine");
  wait_for_reason("10.20.9.1", "no route to 10.20.9.1");
}

}  // namespace
}  // namespace sluice::control

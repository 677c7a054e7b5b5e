// SPDX-License-Identifier: Apache-2.0
//
// Against the kernel, in a network namespace of the test's own: the twins are ends of links whose other ends listen.
// Needs root and iproute2; skipped without.
#include "controlplane/announce/vip_addresses.h"

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "controlplane/kernel/link_frames.h"
#include "tests/controlplane/support/state_directory.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

bool run(const std::string& command) {
  return std::system(("{ " + command + "; } >/dev/null 2>&1").c_str()) == 0;
}

/// What comes out of a link's other end.
class Listener {
 public:
  explicit Listener(const char* interface)
      : socket_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL))) {
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    at.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  }

  /// How many frames since the last call are those that announce the address from whatever MAC address.
  size_t count(const std::string& address) {
    std::array<uint8_t, 2048> frame{};
    size_t out = 0;
    for (ssize_t n; (n = recv(socket_.get(), frame.data(), frame.size(), 0)) > 0;) {
      MacAddress from;
      std::copy_n(frame.begin() + 6, 6, from.bytes.begin());
      const std::vector<uint8_t> bytes(frame.begin(), frame.begin() + n);
      for (const auto& wanted : address_announcements(from, ip(address))) out += bytes == wanted ? 1 : 0;
    }
    return out;
  }

 private:
  static uint16_t htons(uint16_t value) { return static_cast<uint16_t>(value << 8 | value >> 8); }
  Descriptor socket_;
};

class VipAddressesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ready_ = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && run("ip link set lo up && ip address show");
  }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "needs root and iproute2";
    make_twin("tw0", "peer0");
    make();
  }
  void TearDown() override {
    if (addresses_) addresses_->stop();
    io_.poll();
    for (const char* twin : {"tw0", "tw1"}) run(std::string("ip link del ") + twin);
  }

  static void make_twin(const std::string& twin, const std::string& peer) {
    ASSERT_TRUE(run("ip link add " + twin + " type veth peer name " + peer + " && ip link set " + peer +
                    " up && ip link set " + twin + " up"));
  }
  /// What `ip` shows of global addresses, sorted, each followed by ";".
  static std::string on(const std::string& twin) {
    std::set<std::string> lines;
    FILE* pipe =
        popen(("ip -oneline address show scope global dev " + twin + " 2>/dev/null | awk '{print $4}'").c_str(), "r");
    std::array<char, 256> line{};
    while (fgets(line.data(), line.size(), pipe) != nullptr) lines.insert(line.data());
    pclose(pipe);
    std::string out;
    for (const std::string& each : lines) out += each.substr(0, each.find('\n')) + ";";
    return out;
  }
  void make() {
    if (addresses_) addresses_->stop();
    io_.poll();
    io_.restart();
    addresses_ = std::make_unique<VipAddresses>(io_, journal_, directory_.path());
  }
  template <typename Condition>
  void wait_for(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << on("tw0");
      io_.run_for(5ms);
      io_.restart();
      addresses_->tick();
    }
  }

  static inline bool ready_ = false;
  const std::set<VipAddresses::Place> kPlaces{{"tw0", 125}};
  const VipAddresses::Wanted kBoth{{ip("192.0.2.25"), true}, {ip("2001:db8::25"), true}};
  const VipAddresses::Wanted kNone{{ip("192.0.2.25"), false}, {ip("2001:db8::25"), false}};
  const std::string kThere = "192.0.2.25/32;2001:db8::25/128;";
  StateDirectory directory_;
  boost::asio::io_context io_;
  Journal journal_;
  std::unique_ptr<VipAddresses> addresses_;
};

TEST_F(VipAddressesTest, AreOnTheTwinWhileTheyAreWanted) {
  EXPECT_TRUE(addresses_->start(kPlaces).empty());
  EXPECT_EQ(on("tw0"), "");
  addresses_->want(kBoth);
  EXPECT_EQ(on("tw0"), kThere);
  addresses_->want({{ip("192.0.2.25"), false}, {ip("2001:db8::25"), true}});
  EXPECT_EQ(on("tw0"), "2001:db8::25/128;");
  addresses_->want({});
  EXPECT_EQ(on("tw0"), "");
  EXPECT_EQ(addresses_->fault(), "");
  EXPECT_EQ(addresses_->remade(), 0u);
}

TEST_F(VipAddressesTest, TellTheLinkAtOnceAndAgainAndWhenTheLinkComesBack) {
  Listener listener("peer0");
  addresses_->start(kPlaces);
  addresses_->want(kBoth);
  EXPECT_EQ(listener.count("192.0.2.25"), 2u);
  size_t again = 0;
  wait_for([&] { return (again += listener.count("192.0.2.25")) == 2; });
  addresses_->tell_again("tw1");
  EXPECT_EQ(listener.count("2001:db8::25"), 0u);
  addresses_->tell_again("tw0");
  EXPECT_EQ(listener.count("2001:db8::25"), 1u);
  addresses_->want(kNone);
  io_.run_for(LinkTeller::kAgainAfter + 300ms);
  EXPECT_EQ(listener.count("2001:db8::25"), 0u) << "it is somebody else's by now";
  EXPECT_EQ(addresses_->fault(), "");
}

TEST_F(VipAddressesTest, WhatACrashLeftBehindStaysUntilItIsKnownWhatIsWantedAndGoesThen) {
  addresses_->start(kPlaces);
  addresses_->want(kBoth);
  make();
  EXPECT_EQ(addresses_->start(kPlaces), (std::set{ip("192.0.2.25"), ip("2001:db8::25")}));
  addresses_->tick();
  EXPECT_EQ(on("tw0"), kThere);
  addresses_->want({{ip("192.0.2.25"), true}});
  EXPECT_EQ(on("tw0"), "192.0.2.25/32;");
  make();
  EXPECT_TRUE(addresses_->start({}).empty());  // another mode now
  EXPECT_EQ(on("tw0"), "192.0.2.25/32;");
  addresses_->want({});
  EXPECT_EQ(on("tw0"), "");
}

TEST_F(VipAddressesTest, WhatSomebodyElsePutThereIsNeverTouchedAndToldAsAFault) {
  ASSERT_TRUE(run("ip address add 192.0.2.25/32 dev tw0 && ip address add 192.0.2.2/24 dev tw0"));
  NetlinkSocket kernel(0);
  ASSERT_TRUE(kernel.ask(netlink::add_address(static_cast<int>(if_nametoindex("tw0")), ip("198.51.100.7"), 77, 1)));
  const std::string before = on("tw0");
  EXPECT_TRUE(addresses_->start(kPlaces).empty());
  for (const bool is_wanted : {false, true, false}) {
    addresses_->want({{ip("192.0.2.25"), is_wanted}});
    EXPECT_EQ(on("tw0"), before);
    EXPECT_EQ(addresses_->fault(),
              "192.0.2.25 on tw0 is somebody else's: it stays, whether the VIP is in service or not");
  }
  EXPECT_EQ(journal_.entries().size(), 1u);
  ASSERT_TRUE(run("ip address del 192.0.2.25/32 dev tw0"));
  addresses_->want(kBoth);
  EXPECT_EQ(addresses_->fault(), "");
  EXPECT_EQ(on("tw0"), "192.0.2.2/24;192.0.2.25/32;198.51.100.7/32;2001:db8::25/128;");
  EXPECT_EQ(journal_.entries().back().text, "as they should be again");
}

TEST_F(VipAddressesTest, AreMadeAgainAndToldAgainWhenSomebodyFlushesTheTwin) {
  addresses_->start(kPlaces);
  addresses_->want(kBoth);
  Listener listener("peer0");
  ASSERT_TRUE(run("ip address flush scope global dev tw0"));
  wait_for([&] { return on("tw0") == kThere; });
  EXPECT_EQ(addresses_->remade(), 2u);
  EXPECT_GE(listener.count("192.0.2.25"), 2u);
  EXPECT_NE(journal_.entries().back().text.find("made again"), std::string::npos);
}

TEST_F(VipAddressesTest, ATwinThatGoesAndComesBackGetsThemAgain) {
  addresses_->start(kPlaces);
  addresses_->want(kBoth);
  ASSERT_TRUE(run("ip link del tw0"));
  wait_for([&] { return on("tw0").empty(); });
  EXPECT_EQ(addresses_->fault(), "");
  make_twin("tw0", "peer0");
  wait_for([&] { return on("tw0") == kThere; });
  EXPECT_EQ(addresses_->remade(), 0u) << "nobody took them away from this one";
}

TEST_F(VipAddressesTest, ATwinThatIsDownGetsThemWhenItComesUp) {
  ASSERT_TRUE(run("ip link set tw0 down"));
  Listener listener("peer0");
  addresses_->start(kPlaces);
  addresses_->want(kBoth);
  EXPECT_EQ(on("tw0"), "");
  EXPECT_EQ(addresses_->fault(), "");
  ASSERT_TRUE(run("ip link set tw0 up"));
  size_t told = 0;
  wait_for([&] { return on("tw0") == kThere && (told += listener.count("192.0.2.25")) >= 2; });
}

TEST_F(VipAddressesTest, MoveToAnotherTwinAndToAnotherNumberWithAReloadAndWithARestart) {
  make_twin("tw1", "peer1");
  addresses_->start(kPlaces);
  addresses_->want(kBoth);
  addresses_->follow({{"tw1", 125}});
  addresses_->want(kBoth);
  EXPECT_EQ(on("tw0"), "");
  EXPECT_EQ(on("tw1"), kThere);
  make();  // killed, and the file changed meanwhile
  addresses_->start({{"tw0", 126}, {"tw1", 126}});
  addresses_->want(kBoth);
  EXPECT_EQ(on("tw0") + on("tw1"), kThere + kThere);
  EXPECT_EQ(addresses_->fault(), "");
  addresses_->follow({});
  addresses_->want({});
  EXPECT_EQ(on("tw0") + on("tw1"), "");
}

TEST_F(VipAddressesTest, WhereTheKernelKeepsNoProtocolThoseAreOursThatWereWrittenDown) {
  // As such a kernel has them: no address anywhere says who made it.
  ASSERT_TRUE(
      run("ip address flush dev lo; ip link set tw0 down; ip link set peer0 down; "
          "ip address add 192.0.2.25/32 dev tw0; ip address add 192.0.2.26/32 dev tw0"));
  directory_.write("addresses.json", R"([{"twin": "tw0", "protocol": 125, "addresses": ["192.0.2.25"]}])");
  make();
  EXPECT_EQ(addresses_->start(kPlaces), std::set{ip("192.0.2.25")});
  addresses_->want({{ip("192.0.2.25"), false}, {ip("192.0.2.26"), false}});
  EXPECT_EQ(on("tw0"), "192.0.2.26/32;");
  EXPECT_NE(addresses_->fault().find("192.0.2.26 on tw0 is somebody else's"), std::string::npos);
  run("ip link set lo down; ip link set lo up");
}

TEST_F(VipAddressesTest, AStateFileThatMakesNoSenseIsNoReasonToTouchAnything) {
  ASSERT_TRUE(run("ip address add 192.0.2.25/32 dev tw0"));
  for (const char* text :
       {"{", "[7]", R"([{"twin": 7, "protocol": 125}])",
        R"([{"twin": "tw0", "protocol": 0, "addresses": ["192.0.2.25"]}])", R"([{"twin": "tw0", "protocol": 381}])",
        R"([{"twin": "tw0", "protocol": 4, "addresses": ["192.0.2.25"]}])",
        R"([{"twin": "tw0", "protocol": 125, "addresses": [25, "nonsense"]}])"}) {
    directory_.write("addresses.json", text);
    make();
    addresses_->start(kPlaces);
    addresses_->want({});
    EXPECT_EQ(on("tw0"), "192.0.2.25/32;") << text;
  }
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// Against the kernel: a link from a network namespace of the test's own to a mail server's, which is a child's. Needs
// root and iproute2; skipped without.
#include "controlplane/ctl/doctor/link_probes.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/ip.h"

namespace sluice::ctl {
namespace {

using What = SynAnswer::What;

constexpr uint16_t kPort = 25;
constexpr const char* kServerMac = "02:00:00:00:01:10";

bool run(const std::string& command) {
  return std::system(("{ " + command + "; } >/dev/null 2>&1").c_str()) == 0;
}

/// Another network namespace, where somebody listens on kPort.
class Server {
 public:
  Server() {
    int ready[2];
    if (pipe(ready) != 0) return;
    child_ = fork();
    if (child_ == 0) serve(ready[1]);
    close(ready[1]);
    char byte = 0;
    is_ready_ = child_ > 0 && read(ready[0], &byte, 1) == 1;
    close(ready[0]);
  }
  ~Server() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  bool is_ready() const { return is_ready_; }
  bool run_there(const std::string& command) const { return run("nsenter -t " + pid() + " -n " + command); }
  std::string pid() const { return std::to_string(child_); }

 private:
  [[noreturn]] static void serve(int ready) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sockaddr_in6 anywhere{};
    anywhere.sin6_family = AF_INET6;
    anywhere.sin6_port = htons(kPort);
    if (unshare(CLONE_NEWNET) != 0) _exit(1);
    const int listener = socket(AF_INET6, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, reinterpret_cast<sockaddr*>(&anywhere), sizeof anywhere) != 0 ||
        listen(listener, 8) != 0)
      _exit(1);
    if (write(ready, "", 1) != 1) _exit(1);
    for (;;) pause();
  }

  pid_t child_ = -1;
  bool is_ready_ = false;
};

class LinkProbes : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) return;
    server_ = new Server;
    ready_ = server_->is_ready() && run("ip link set lo up") &&
             run("ip link add twin0 type veth peer name eth0 address " + std::string(kServerMac) + " netns " +
                 server_->pid()) &&
             run("sysctl -w net.ipv6.conf.twin0.accept_dad=0") &&
             server_->run_there("sysctl -w net.ipv6.conf.eth0.accept_dad=0") && run("ip link set twin0 up") &&
             server_->run_there("ip link set lo up") &&
             server_->run_there("sysctl -w net.ipv4.conf.all.arp_announce=2") &&
             server_->run_there("ip link set eth0 up") &&
             run("ip address add 10.0.1.1/24 dev twin0 && ip address add fd00:1::1/64 dev twin0 nodad && "
                 "ip address add 192.0.2.25/32 dev twin0 && ip address add 2001:db8::25/128 dev twin0 nodad") &&
             server_->run_there("ip address add 10.0.1.10/24 dev eth0") &&
             server_->run_there("ip address add fd00:1::10/64 dev eth0 nodad");
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "needs root and iproute2";
  }
  void TearDown() override {
    if (!ready_) return;
    for (const char* device : {"lo", "eth0"})
      for (const char* vip : {"192.0.2.25/32", "2001:db8::25/128"})
        (void)server_->run_there("ip address del " + std::string(vip) + " dev " + device);
    (void)server_->run_there("sysctl -w net.ipv4.conf.all.arp_ignore=0");
  }

  static void give_vip(const std::string& device) {
    ASSERT_TRUE(server_->run_there("ip address add 192.0.2.25/32 dev " + device));
    ASSERT_TRUE(server_->run_there("ip address add 2001:db8::25/128 dev " + device + " nodad"));
  }
  /// Who has 192.0.2.25, who 2001:db8::25.
  static std::vector<std::set<std::string>> claims() {
    const auto out = probe_addresses({{"twin0", {}, ip("192.0.2.25")}, {"twin0", ip("fd00:1::1"), ip("2001:db8::25")}});
    EXPECT_TRUE(out) << out.error();
    return out.value_or(std::vector<std::set<std::string>>(2));
  }
  static SynAnswer ask(const std::string& source, const std::string& vip, uint16_t port = kPort) {
    const auto out = probe_syns(
        {{.twin = "twin0", .mac = kServerMac, .source = ip(source), .to = {ip(vip), port}, .hops = 1}}, {"twin0"});
    EXPECT_TRUE(out) << out.error();
    return out ? out->front() : SynAnswer{};
  }

  static bool run_there(const std::string& command) { return server_->run_there(command); }

 private:
  static inline Server* server_ = nullptr;
  static inline bool ready_ = false;
};

TEST_F(LinkProbes, FindWhoHasAnAddress) {
  EXPECT_EQ(claims(), (std::vector<std::set<std::string>>{{}, {}})) << "this machine has them, and is not meant";
  give_vip("eth0");
  EXPECT_EQ(claims(), (std::vector<std::set<std::string>>{{kServerMac}, {kServerMac}}));
  TearDown();
  give_vip("lo");
  EXPECT_EQ(claims(), (std::vector<std::set<std::string>>{{kServerMac}, {}})) << "IPv6 is of one interface";
  ASSERT_TRUE(run_there("sysctl -w net.ipv4.conf.all.arp_ignore=1"));
  EXPECT_EQ(claims(), (std::vector<std::set<std::string>>{{}, {}}));
}

TEST_F(LinkProbes, TeachNobodyANeighbour) {
  give_vip("eth0");
  ASSERT_TRUE(run_there("ip neigh flush dev eth0"));
  ASSERT_TRUE(probe_addresses({{"twin0", {}, ip("192.0.2.25")}}));
  EXPECT_FALSE(run_there("sh -c 'ip -4 neigh | grep .'"));
}

TEST_F(LinkProbes, FindWhetherAServerTakesConnectionsToAnAddress) {
  EXPECT_EQ(ask("10.0.1.1", "192.0.2.25").what, What::kNone);
  give_vip("lo");
  for (const auto& [source, vip] : {std::pair("10.0.1.1", "192.0.2.25"), std::pair("fd00:1::1", "2001:db8::25")}) {
    const SynAnswer open = ask(source, vip);
    EXPECT_EQ(open.what, What::kOpen) << vip;
    EXPECT_EQ(open.twin, "twin0");
    EXPECT_EQ(ask(source, vip, kPort + 1).what, What::kRefused) << vip;
  }
  EXPECT_FALSE(run_there("sh -c 'ss -Htn state syn-recv state established | grep .'")) << "none was begun";
}

TEST_F(LinkProbes, KnowOurAddressesWithTheirNetworks) {
  bool found = false;
  for (const OwnAddress& own : own_addresses())
    found = found || (own.interface == "twin0" && own.address == ip("10.0.1.1") && own.bits == 120);
  EXPECT_TRUE(found);
}

TEST(LinkProbesOfALinkThatIsNotThere, SayWhich) {
  const auto out = probe_addresses({{"nowhere0", {}, ip("192.0.2.25")}});
  ASSERT_FALSE(out);
  EXPECT_TRUE(out.error().starts_with("nowhere0: ")) << out.error();
}

}  // namespace
}  // namespace sluice::ctl

// SPDX-License-Identifier: Apache-2.0
//
// Probes of a host whose firewall, or whose kernel as a router, refuses them: two network namespaces of the test's own,
// with a cable between. Needs root, iproute2 and nft; skipped without.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "tests/healthcheck/printing.h"
#include "tests/healthcheck/probe_run.h"

namespace sluice::health {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ProbeRun;

/// What the host says by port. Linux sends one ICMP error a second to each address otherwise.
constexpr const char* kServerSetUp =
    "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.ip_forward=1 && "
    "ip addr add 10.9.1.10/24 dev far0 && ip -6 addr add fd00:9::10/64 dev far0 nodad && "
    "ip link set lo up && ip link set far0 up && "
    "ip route add unreachable 10.9.2.1 && ip route add prohibit 10.9.2.2 && "
    "nft 'table inet firewall { chain in { type filter hook input priority 0; "
    "tcp dport 1 reject with icmpx admin-prohibited; tcp dport 2 reject with icmpx host-unreachable; "
    "tcp dport 3 reject with icmpx port-unreachable; tcp dport 4 reject with tcp reset; "
    "tcp dport 5 drop; }; }'";
constexpr const char* kClientSetUp =
    "ip addr add 10.9.1.1/24 dev near0 && ip -6 addr add fd00:9::1/64 dev near0 nodad && "
    "sysctl -qw net.ipv4.neigh.near0.retrans_time_ms=50 net.ipv6.neigh.near0.retrans_time_ms=50 && "
    "ip link set lo up && ip link set near0 up && ip route add 10.9.2.0/24 via 10.9.1.10 && "
    "nft 'table inet firewall { chain out { type filter hook output priority 0; "
    "tcp dport 6 reject with icmpx admin-prohibited; }; }'";
constexpr uint16_t kProhibited = 1, kUnreachable = 2, kNoPort = 3, kReset = 4, kDropped = 5, kForbiddenHere = 6,
                   kClosed = 7;

class FirewalledProbe : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ready_ = geteuid() == 0 && make_namespaces(); }
  static void TearDownTestSuite() {
    if (server_ >= 0) close(server_);
  }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "needs root, iproute2 and nft";
  }

  static bool make_namespaces() {
    if (unshare(CLONE_NEWNET) != 0) return false;
    server_ = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    const std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(server_);
    return server_ >= 0 && unshare(CLONE_NEWNET) == 0 &&
           run("ip link add near0 type veth peer name far0 netns " + path) &&
           run("nsenter --net=" + path + " sh -c \"" + kServerSetUp + "\"") && run(kClientSetUp);
  }
  static bool run(const std::string& command) { return std::system(command.c_str()) == 0; }

  ProbeRun probe(const std::string& address, uint16_t port, milliseconds connect_timeout = seconds(20),
                 std::shared_ptr<IcmpRefusals> refusals = nullptr) {
    return testing::run_probe(io_,
                              {.name = "test", .type = config::CheckType::kTcp, .connect_timeout = connect_timeout},
                              port, address, std::move(refusals));
  }

  static bool ready_;
  static int server_;  // keeps its namespace
  boost::asio::io_context io_;
};

bool FirewalledProbe::ready_ = false;
int FirewalledProbe::server_ = -1;

struct Case {
  const char* address;
  uint16_t port;
  Evidence evidence;
  const char* words;
};

constexpr Case kCases[] = {
    {"10.9.1.10", kProhibited, Evidence::kJudged,
     "dead at connect: refused by ICMP admin-prohibited from 10.9.1.10: a firewall there"},
    {"10.9.1.10", kUnreachable, Evidence::kJudged,
     "dead at connect: refused by ICMP host-unreachable from 10.9.1.10: a firewall there"},
    {"10.9.1.10", kNoPort, Evidence::kJudged,
     "dead at connect: refused by ICMP port-unreachable from 10.9.1.10: a firewall there"},
    {"10.9.1.10", kReset, Evidence::kRefused, "dead at connect: connection refused"},
    {"10.9.1.10", kClosed, Evidence::kRefused, "dead at connect: connection refused"},
    {"10.9.1.10", kForbiddenHere, Evidence::kNone,
     "not_run at connect: refused by ICMP admin-prohibited from 10.9.1.1: a firewall of our own"},
    {"fd00:9::10", kProhibited, Evidence::kJudged,
     "dead at connect: refused by ICMP admin-prohibited from fd00:9::10: a firewall there"},
    {"fd00:9::10", kUnreachable, Evidence::kJudged,
     "dead at connect: refused by ICMP addr-unreachable from fd00:9::10: a firewall there"},
    {"fd00:9::10", kNoPort, Evidence::kJudged,
     "dead at connect: refused by ICMP port-unreachable from fd00:9::10: a firewall there"},
    {"fd00:9::10", kReset, Evidence::kRefused, "dead at connect: connection refused"},
    {"fd00:9::10", kForbiddenHere, Evidence::kNone,
     "not_run at connect: refused by ICMP admin-prohibited from fd00:9::1: a firewall of our own"},
    // Of a router: it has nobody there, or forbids it.
    {"10.9.2.1", kClosed, Evidence::kUnanswered, "dead at connect: No route to host"},
    {"10.9.2.2", kClosed, Evidence::kJudged,
     "dead at connect: refused by ICMP admin-prohibited from 10.9.1.10: a firewall there"},
    // Nobody answers ARP or ND.
    {"10.9.1.99", kClosed, Evidence::kUnanswered, "dead at connect: No route to host"},
    {"fd00:9::99", kClosed, Evidence::kUnanswered, "dead at connect: No route to host"},
};

TEST_F(FirewalledProbe, TellsARefusalByIcmpFromARstAndFromSilence) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(::testing::Message() << c.address << " port " << c.port);
    const ProbeRun run = probe(c.address, c.port);
    EXPECT_EQ(describe(run.verdict), c.words);
    EXPECT_EQ(run.verdict.evidence, c.evidence);
  }
}

TEST_F(FirewalledProbe, TakesSilenceForNoDeathWhileTheHostWasHeardToRefuse) {
  const auto refusals = std::make_shared<IcmpRefusals>();
  EXPECT_EQ(probe("10.9.1.10", kDropped, milliseconds(50), refusals).verdict.evidence, Evidence::kUnanswered);
  probe("10.9.1.10", kProhibited, seconds(20), refusals);
  const ProbeRun silent = probe("10.9.1.10", kDropped, milliseconds(50), refusals);
  EXPECT_EQ(silent.verdict.evidence, Evidence::kJudged);
  EXPECT_EQ(
      describe(silent.verdict),
      "dead at connect: no answer; a moment ago refused by ICMP admin-prohibited from 10.9.1.10: a firewall there");
  // Not of those that nobody answers for, nor of another host.
  EXPECT_EQ(probe("10.9.1.99", kClosed, seconds(20), refusals).verdict.evidence, Evidence::kUnanswered);
}

}  // namespace
}  // namespace sluice::health

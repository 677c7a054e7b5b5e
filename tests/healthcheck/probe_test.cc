// SPDX-License-Identifier: Apache-2.0
//
// Probes over real sockets, against servers that behave, and against all kinds that do not.
#include "healthcheck/probe.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "tests/healthcheck/probe_run.h"
#include "tests/healthcheck/scripted_server.h"

namespace sluice::health {
namespace {

namespace asio = boost::asio;
using config::CheckType;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Left;
using testing::Peer;
using testing::Script;
using testing::ScriptedServer;
using Outcome = testing::ProbeRun;
using namespace std::string_literals;

/// Deadlines short enough to be waited for, long enough for a busy machine.
config::Check check_of(CheckType type) {
  return {.name = "test",
          .type = type,
          .connect_timeout = milliseconds(2000),
          .greeting_timeout = milliseconds(800),
          .command_timeout = milliseconds(800),
          .helo = "probe"};
}

class ProbeTest : public ::testing::Test {
 protected:
  Outcome probe(const config::Check& check, uint16_t port, const std::string& address = "127.0.0.1") {
    return testing::run_probe(io_, check, port, address);
  }

  /// Waits until `server` has seen its last client leave.
  void settle(const ScriptedServer& server) {
    EXPECT_TRUE(
        testing::run_until(io_, [&] { return server.connections() > 0 && server.last().left != Left::kStillThere; }));
  }

  asio::io_context io_;
};

TEST_F(ProbeTest, LeavesABannerCheckWithQuitAndFin) {
  ScriptedServer server(io_, testing::smtp_server("220-mx\r\n220 mx ESMTP\r\n"));
  const Outcome outcome = probe(check_of(CheckType::kBanner), server.port());
  settle(server);
  EXPECT_EQ(outcome.verdict.fact, Fact::kHealthy) << outcome.transcript;
  EXPECT_EQ(outcome.verdict.text, "220-mx / 220 mx ESMTP");
  EXPECT_EQ(server.last().lines, std::vector<std::string>{"QUIT"});
  EXPECT_EQ(server.last().left, Left::kFin);
  EXPECT_FALSE(server.last().spoke_early);
}

TEST_F(ProbeTest, SaysEhloAndQuitOneAtATime) {
  ScriptedServer server(io_, testing::smtp_server());
  config::Check check = check_of(CheckType::kEhlo);
  check.require = {"AUTH"};
  const Outcome outcome = probe(check, server.port());
  settle(server);
  EXPECT_EQ(outcome.verdict.fact, Fact::kHealthy) << outcome.transcript;
  EXPECT_EQ(server.last().lines, (std::vector<std::string>{"EHLO probe", "QUIT"}));
  EXPECT_EQ(server.last().left, Left::kFin);
}

TEST_F(ProbeTest, SpeaksOverIpv6) {
  ScriptedServer server(io_, testing::smtp_server(), "::1");
  config::Check check = check_of(CheckType::kEhlo);
  check.helo = "";
  const Outcome outcome = probe(check, server.port(), "::1");
  EXPECT_EQ(outcome.verdict.fact, Fact::kHealthy) << outcome.transcript;
  EXPECT_EQ(server.last().lines.front(), "EHLO [IPv6:::1]");
}

TEST_F(ProbeTest, TcpCheckLeavesWithFinAndSaysNothing) {
  ScriptedServer server(io_, testing::smtp_server());
  const Outcome outcome = probe(check_of(CheckType::kTcp), server.port());
  settle(server);
  EXPECT_EQ(outcome.verdict.fact, Fact::kHealthy);
  EXPECT_TRUE(server.last().lines.empty());
  EXPECT_EQ(server.last().left, Left::kFin);
}

TEST_F(ProbeTest, WaitsForAGreetingWhoseLinesComeApart) {
  ScriptedServer server(io_, [](Peer& peer) -> asio::awaitable<void> {
    co_await peer.send("220-mx\r\n");
    co_await peer.wait(milliseconds(100));
    co_await testing::smtp_server("220 mx ESMTP\r\n")(peer);
  });
  const Outcome outcome = probe(check_of(CheckType::kEhlo), server.port());
  EXPECT_EQ(outcome.verdict.fact, Fact::kHealthy) << outcome.transcript;
  ASSERT_GE(outcome.verdict.times.size(), 2u);
  EXPECT_GE(outcome.verdict.times[1].us, 100'000u);
}

TEST_F(ProbeTest, SendsAProxyHeaderBeforeTheGreeting) {
  std::string header;
  ScriptedServer server(io_, [&header](Peer& peer) -> asio::awaitable<void> {
    header = co_await peer.read_bytes(16);
    co_await testing::smtp_server()(peer);
  });
  for (const CheckType type : {CheckType::kBanner, CheckType::kTcp}) {
    header.clear();
    config::Check check = check_of(type);
    check.proxy = config::Proxy::kV2;
    EXPECT_EQ(probe(check, server.port()).verdict.fact, Fact::kHealthy);
    EXPECT_EQ(header, "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"s);
  }
}

TEST_F(ProbeTest, SendsItsRealAddressesInProxyV1) {
  ScriptedServer server(io_, [](Peer& peer) -> asio::awaitable<void> {
    co_await peer.read_line();
    co_await testing::smtp_server()(peer);
  });
  config::Check check = check_of(CheckType::kBanner);
  check.proxy = config::Proxy::kV1;
  EXPECT_EQ(probe(check, server.port()).verdict.fact, Fact::kHealthy);
  const std::string& header = server.last().lines.front();
  EXPECT_TRUE(header.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 ")) << header;
  EXPECT_TRUE(header.ends_with(" " + std::to_string(server.port()))) << header;
}

TEST_F(ProbeTest, CallsAClosedPortDead) {
  uint16_t port = 0;
  {
    ScriptedServer server(io_, testing::smtp_server());
    port = server.port();
  }
  const Outcome outcome = probe(check_of(CheckType::kBanner), port);
  EXPECT_EQ(describe(outcome.verdict), "dead at connect: connection refused");
}

TEST_F(ProbeTest, GivesUpConnectingAtItsDeadline) {
  // A listener whose queue is full drops the SYN, as a host that is gone does.
  asio::ip::tcp::acceptor full(io_);
  full.open(asio::ip::tcp::v4());
  full.bind({asio::ip::address_v4::loopback(), 0});
  full.listen(0);
  std::vector<asio::ip::tcp::socket> callers;
  for (int i = 0; i < 4; i++) {
    callers.emplace_back(io_);
    callers.back().async_connect(full.local_endpoint(), [](const boost::system::error_code&) {});
  }
  testing::run_for(io_, milliseconds(20));
  config::Check check = check_of(CheckType::kBanner);
  check.connect_timeout = milliseconds(100);
  const Outcome outcome = probe(check, full.local_endpoint().port());
  EXPECT_EQ(describe(outcome.verdict), "dead at connect: no answer within 0.1 s");
  EXPECT_LT(outcome.took, seconds(20)) << "the kernel's own limit is longer";
}

/// No further descriptor can be opened while it lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit none{.rlim_cur = 0, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST_F(ProbeTest, TellsALocalShortageFromADeadBackend) {
  ScriptedServer server(io_, testing::smtp_server());
  const NoDescriptors none;
  const Outcome outcome = probe(check_of(CheckType::kBanner), server.port());
  EXPECT_EQ(describe(outcome.verdict), "not_run at connect: Too many open files");
}

struct HostileCase {
  const char* name;
  CheckType type;
  Script script;
  Fact fact;
  Step step;
};

asio::awaitable<void> greet(Peer& peer) {
  co_await peer.send("220 mx ESMTP\r\n");
}

std::vector<HostileCase> hostile_cases() {
  using T = asio::awaitable<void>;
  return {
      {"silence", CheckType::kBanner, [](Peer& p) -> T { co_await p.read_to_end(); }, Fact::kSilent, Step::kGreeting},
      {"a byte now and then", CheckType::kBanner,
       [](Peer& p) -> T { co_await p.trickle("220-" + std::string(2000, 'x'), milliseconds(20)); }, Fact::kSilent,
       Step::kGreeting},
      {"an endless greeting", CheckType::kBanner, [](Peer& p) -> T { co_await p.flood("220-more\r\n"); },
       Fact::kNotSmtp, Step::kGreeting},
      {"a line of a megabyte", CheckType::kBanner,
       [](Peer& p) -> T { co_await p.send("220 " + std::string(1 << 20, 'x') + "\r\n"); }, Fact::kNotSmtp,
       Step::kGreeting},
      {"NULs without end", CheckType::kBanner, [](Peer& p) -> T { co_await p.flood(std::string(4096, '\0')); },
       Fact::kNotSmtp, Step::kGreeting},
      {"a NUL in the greeting", CheckType::kBanner, testing::smtp_server("220 m\0x\r\n"s), Fact::kHealthy,
       Step::kGreeting},
      {"HTTP", CheckType::kBanner, [](Peer& p) -> T { co_await p.send("HTTP/1.1 400 Bad Request\r\n\r\n<html>"); },
       Fact::kNotSmtp, Step::kGreeting},
      {"a TLS alert in plain text", CheckType::kBanner,
       [](Peer& p) -> T { co_await p.send("\x15\x03\x03\0\x02\x02\x46"s); }, Fact::kNotSmtp, Step::kGreeting},
      {"RST before the greeting", CheckType::kBanner,
       [](Peer& p) -> T {
         p.reset();
         co_return;
       },
       Fact::kDead, Step::kGreeting},
      {"FIN before the greeting", CheckType::kBanner,
       [](Peer& p) -> T {
         p.close();
         co_return;
       },
       Fact::kDead, Step::kGreeting},
      {"RST in the greeting", CheckType::kBanner,
       [](Peer& p) -> T {
         co_await p.send("220-mx\r\n");
         co_await p.wait(milliseconds(30));
         p.reset();
       },
       Fact::kDead, Step::kGreeting},
      {"RST on EHLO", CheckType::kEhlo,
       [](Peer& p) -> T {
         co_await greet(p);
         co_await p.read_line();
         p.reset();
       },
       Fact::kDead, Step::kEhlo},
      {"no reply to EHLO", CheckType::kEhlo,
       [](Peer& p) -> T {
         co_await greet(p);
         co_await p.read_to_end();
       },
       Fact::kSilent, Step::kEhlo},
      {"an endless reply to EHLO", CheckType::kEhlo,
       [](Peer& p) -> T {
         co_await greet(p);
         co_await p.read_line();
         co_await p.flood("250-MORE\r\n");
       },
       Fact::kNotSmtp, Step::kEhlo},
      {"RST on QUIT", CheckType::kBanner,
       [](Peer& p) -> T {
         co_await greet(p);
         co_await p.read_line();
         p.reset();
       },
       Fact::kHealthy, Step::kGreeting},
      {"no 221", CheckType::kBanner,
       [](Peer& p) -> T {
         co_await greet(p);
         co_await p.read_to_end();
       },
       Fact::kHealthy, Step::kGreeting},
      {"a flood for a farewell", CheckType::kBanner,
       [](Peer& p) -> T {
         co_await greet(p);
         co_await p.flood("221 bye\r\n");
       },
       Fact::kHealthy, Step::kGreeting},
      {"421 and away", CheckType::kBanner,
       [](Peer& p) -> T {
         co_await p.send("421 busy\r\n");
         p.close();
       },
       Fact::kSoft, Step::kGreeting},
      {"554 and waiting for QUIT", CheckType::kBanner, testing::smtp_server("554 no SMTP here\r\n"), Fact::kRefused,
       Step::kGreeting},
      {"RST on STARTTLS", CheckType::kStarttls,
       [](Peer& p) -> T {
         co_await greet(p);
         co_await p.read_line();
         co_await p.send("250-mx\r\n250 STARTTLS\r\n");
         co_await p.read_line();
         p.reset();
       },
       Fact::kTlsFailed, Step::kStarttls},
      {"RST in the handshake", CheckType::kStarttls,
       [](Peer& p) -> T {
         co_await greet(p);
         co_await p.read_line();
         co_await p.send("250-mx\r\n250 STARTTLS\r\n");
         co_await p.read_line();
         co_await p.send("220 go\r\n");
         co_await p.read_bytes(5);
         p.reset();
       },
       Fact::kTlsFailed, Step::kTls},
      {"STARTTLS is not offered", CheckType::kStarttls, testing::smtp_server(), Fact::kTlsFailed, Step::kEhlo},
      {"silence on smtps", CheckType::kSmtps, [](Peer& p) -> T { co_await p.read_to_end(); }, Fact::kSilent,
       Step::kTls},
      {"plain text on smtps", CheckType::kSmtps, testing::smtp_server(), Fact::kTlsFailed, Step::kTls},
      {"garbage on smtps", CheckType::kSmtps, [](Peer& p) -> T { co_await p.flood("\x16\x03\x03 garbage"); },
       Fact::kTlsFailed, Step::kTls},
      {"half a record on smtps", CheckType::kSmtps,
       [](Peer& p) -> T {
         co_await p.send("\x16\x03\x03\x40");
         co_await p.read_to_end();
       },
       Fact::kTlsFailed, Step::kTls},
      {"FIN on smtps", CheckType::kSmtps,
       [](Peer& p) -> T {
         co_await p.read_bytes(5);
         p.close();
       },
       Fact::kTlsFailed, Step::kTls},
  };
}

TEST_F(ProbeTest, EndsInTimeWhateverTheServerDoes) {
  for (const HostileCase& c : hostile_cases()) {
    SCOPED_TRACE(c.name);
    ScriptedServer server(io_, c.script);
    const Outcome outcome = probe(check_of(c.type), server.port());
    EXPECT_EQ(outcome.verdict.fact, c.fact) << outcome.transcript;
    EXPECT_EQ(outcome.verdict.step, c.step) << outcome.transcript;
    EXPECT_LT(outcome.took, seconds(30));
    EXPECT_LT(outcome.transcript.size(), 100'000u);
  }
}

TEST_F(ProbeTest, TellsItsVerdictBeforeItsFarewell) {
  ScriptedServer server(io_, [](Peer& peer) -> asio::awaitable<void> {
    co_await peer.send("554 no\r\n");
    co_await peer.read_to_end();
  });
  config::Check check = check_of(CheckType::kBanner);
  check.command_timeout = seconds(2);
  const Outcome outcome = probe(check, server.port());
  ASSERT_EQ(outcome.verdict.times.size(), 2u);
  EXPECT_GE(outcome.took, seconds(2)) << "the farewell waits for 221";
  EXPECT_LT(milliseconds(outcome.verdict.times[1].us / 1000), outcome.took - seconds(1));
}

}  // namespace
}  // namespace sluice::health

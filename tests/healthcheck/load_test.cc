// SPDX-License-Identifier: Apache-2.0
//
// Thousands of backends are all probed, and none is forgotten or favoured: each has its own loopback address, all are
// answered by one server on a second thread. What it costs is perf/health's to say.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/write.hpp>
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "healthcheck/prober.h"
#include "tests/healthcheck/scripted_server.h"
#include "tests/healthcheck/test_certificate.h"
#include "tests/support/ip.h"

namespace sluice::health {
namespace {

namespace asio = boost::asio;
using config::CheckType;
using std::chrono::seconds;

constexpr size_t kBackends = 5000;
constexpr seconds kInterval{5};

/// A scripted server on a thread of its own, listening on every loopback address.
class ServerThread {
 public:
  explicit ServerThread(testing::Script script)
      : server_(io_, std::move(script), "0.0.0.0"), thread_([this] {
          server_.forget_earlier();
          io_.run();
        }) {}
  ~ServerThread() {
    io_.stop();
    thread_.join();
  }
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;
  uint16_t port() const { return server_.port(); }

 private:
  asio::io_context io_{1};
  testing::ScriptedServer server_;
  std::thread thread_;
};

/// With time limits that no machine needs, however busy.
std::vector<Target> targets(CheckType type, uint16_t port, size_t count) {
  const config::Check check{.name = "load",
                            .type = type,
                            .interval = kInterval,
                            .connect_timeout = seconds(60),
                            .greeting_timeout = seconds(60),
                            .command_timeout = seconds(60),
                            .helo = "probe"};
  std::vector<Target> out;
  for (size_t i = 0; i < count; i++) {
    const std::string address = "127.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    out.push_back({"mta" + std::to_string(i), ip(address), port, check});
  }
  return out;
}

/// Probes until each backend has had two turns. One may then have had more of them, as intervals are drawn anew each
/// time, but not many times as many.
void expect_all_get_their_turn(CheckType type, uint16_t port, size_t count) {
  constexpr size_t kTurns = 2;
  asio::io_context io(1);
  Prober prober(io.get_executor());
  std::map<std::string, size_t> probes;
  size_t failed = 0, done = 0;
  prober.set_on_result([&](const std::string& key, const Verdict& verdict) {
    failed += passes(verdict.fact) ? 0 : 1;
    done += ++probes[key] == kTurns ? 1 : 0;
  });
  ASSERT_TRUE(prober.set_targets(targets(type, port, count)));
  const auto deadline = std::chrono::steady_clock::now() + seconds(100);
  while (done < count && std::chrono::steady_clock::now() < deadline) testing::run_for(io, seconds(1));
  EXPECT_EQ(done, count);
  EXPECT_EQ(failed, 0u);
  const auto by_turns = [](const auto& a, const auto& b) { return a.second < b.second; };
  EXPECT_LE(std::max_element(probes.begin(), probes.end(), by_turns)->second, 4 * kTurns);
}

TEST(Load, BannerChecksOf5000BackendsAllGetTheirTurn) {
  const ServerThread server(testing::smtp_server());
  expect_all_get_their_turn(CheckType::kBanner, server.port(), kBackends);
}

TEST(Load, EhloChecksOf5000BackendsAllGetTheirTurn) {
  const ServerThread server(testing::smtp_server());
  expect_all_get_their_turn(CheckType::kEhlo, server.port(), kBackends);
}

/// A full handshake costs what the cryptography costs, on both sides: a tenth of the backends.
TEST(Load, SmtpsChecksOf500BackendsAllGetTheirTurn) {
  const auto identity = testing::make_identity("mx", std::chrono::days(90));
  const ServerThread server(testing::smtps_server(testing::server_context(identity)));
  expect_all_get_their_turn(CheckType::kSmtps, server.port(), kBackends / 10);
}

}  // namespace
}  // namespace sluice::health

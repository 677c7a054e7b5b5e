// SPDX-License-Identifier: Apache-2.0
//
// What 5,000 backends cost: each has its own loopback address, all are answered by one server on a second thread. The
// figure is the CPU time of the probing thread alone; on loopback it includes much of the receiver's kernel work.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <boost/asio/write.hpp>
#include <chrono>
#include <cstdio>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "healthcheck/prober.h"
#include "tests/healthcheck/scripted_server.h"
#include "tests/healthcheck/test_certificate.h"

namespace sluice::health {
namespace {

namespace asio = boost::asio;
using config::CheckType;
using std::chrono::microseconds;
using std::chrono::seconds;

constexpr size_t kBackends = 5000;
constexpr seconds kInterval{5};
#if defined(__SANITIZE_ADDRESS__)
constexpr double kMaxShare = 3 * 0.2;  // a sanitizer's share comes on top; the bound is that of the ordinary build
#else
constexpr double kMaxShare = 0.20;
#endif

microseconds thread_cpu() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto us = [](const timeval& time) { return seconds(time.tv_sec) + microseconds(time.tv_usec); };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

size_t resident_kb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss);
}

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

std::vector<Target> targets(CheckType type, uint16_t port, size_t count) {
  const config::Check check{.name = "load", .type = type, .interval = kInterval, .helo = "probe"};
  std::vector<Target> out;
  for (size_t i = 0; i < count; i++) {
    const std::string address = "127.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    out.push_back({"mta" + std::to_string(i), config::IpAddress::parse(address).value(), port, check});
  }
  return out;
}

struct Figures {
  size_t probes = 0;
  size_t failed = 0;
  size_t seen = 0;  // distinct backends
  double share = 0.0;
};

/// Probes for two intervals after a first one in which all come up.
Figures measure(CheckType type, uint16_t port, size_t count) {
  asio::io_context io(1);
  Prober prober(io.get_executor());
  Figures figures;
  std::set<std::string> seen;
  prober.set_on_result([&](const std::string& key, const Verdict& verdict) {
    figures.probes++;
    figures.failed += passes(verdict.fact) ? 0 : 1;
    seen.insert(key);
  });
  EXPECT_TRUE(prober.set_targets(targets(type, port, count)));
  testing::run_for(io, kInterval);
  figures = {};
  const auto cpu_before = thread_cpu();
  testing::run_for(io, 2 * kInterval);
  const auto cpu = thread_cpu() - cpu_before;
  figures.seen = seen.size();
  figures.share = static_cast<double>(cpu.count()) / static_cast<double>(microseconds(2 * kInterval).count());
  return figures;
}

void report(const char* name, const Figures& figures) {
  std::printf(
      "%s: %zu backends every %lld s: %zu probes in %lld s, %zu failed, %.1f %% of a core, %.0f us each, "
      "%zu MB resident\n",
      name, figures.seen, static_cast<long long>(kInterval.count()), figures.probes,
      static_cast<long long>(2 * kInterval.count()), figures.failed, 100.0 * figures.share,
      1e6 * figures.share * 2.0 * static_cast<double>(kInterval.count()) / static_cast<double>(figures.probes),
      resident_kb() / 1024);
}

void expect_all_probed(const Figures& figures) {
  EXPECT_EQ(figures.failed, 0u);
  EXPECT_EQ(figures.seen, kBackends);
  EXPECT_GT(figures.probes, kBackends * 17 / 10);
}

TEST(Load, BannerChecksOf5000BackendsTakeLessThanAFifthOfACore) {
  const ServerThread server(testing::smtp_server());
  const Figures figures = measure(CheckType::kBanner, server.port(), kBackends);
  report("banner", figures);
  expect_all_probed(figures);
  EXPECT_LT(figures.share, kMaxShare);
}

TEST(Load, EhloChecksOf5000BackendsTakeLessThanAFifthOfACore) {
  const ServerThread server(testing::smtp_server());
  const Figures figures = measure(CheckType::kEhlo, server.port(), kBackends);
  report("ehlo", figures);
  expect_all_probed(figures);
  EXPECT_LT(figures.share, kMaxShare);
}

/// A full handshake costs what the cryptography costs, on both sides: a tenth of the backends, and no bound to hold.
TEST(Load, SmtpsChecksOf500BackendsAllGetTheirTurn) {
  constexpr size_t kFewer = kBackends / 10;
  const auto identity = testing::make_identity("mx", std::chrono::days(90));
  const ServerThread server(testing::smtps_server(testing::server_context(identity)));
  const Figures figures = measure(CheckType::kSmtps, server.port(), kFewer);
  report("smtps", figures);
  EXPECT_EQ(figures.failed, 0u);
  EXPECT_EQ(figures.seen, kFewer);
}

}  // namespace
}  // namespace sluice::health

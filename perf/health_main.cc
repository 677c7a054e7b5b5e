// SPDX-License-Identifier: Apache-2.0
//
// What health checks of thousands of backends cost the thread that makes them, beside the same dialogues over bare
// blocking sockets in the same run: each backend has its own loopback address, all are answered by one server in a
// process of its own. CPU time of this thread alone; on loopback it includes much of the receiver's kernel work.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "healthcheck/prober.h"
#include "perf/lib/quantile.h"
#include "perf/mail/sink.h"

namespace sluice::perf {
namespace {

namespace asio = boost::asio;
using config::CheckType;
using std::chrono::duration;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Options {
  std::string check = "ehlo";
  size_t backends = 5000;
  double interval_s = 5.0;
  unsigned rounds = 5;  // intervals of probes, then dialogues with each backend over bare sockets
  bool json = false;

  milliseconds interval() const { return milliseconds(static_cast<int64_t>(1000 * interval_s)); }
};

struct Figures {
  size_t probes = 0;
  size_t failed = 0;
  std::set<std::string> seen;
  std::vector<double> probe_us, bare_us;  // per probe or dialogue, one figure a round
};

microseconds thread_cpu() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto us = [](const timeval& time) { return seconds(time.tv_sec) + microseconds(time.tv_usec); };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

std::string address_of(size_t i) {
  return "127.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
}

volatile std::sig_atomic_t stop_wanted = 0;

/// The server, as a child that ends with us.
class Server {
 public:
  Server() : port_(free_port()), pid_(fork()) {
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ == 0) serve();
  }
  ~Server() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  uint16_t port() const { return port_; }

 private:
  static uint16_t free_port() {
    asio::io_context io;
    return asio::ip::tcp::acceptor(io, {asio::ip::tcp::v6(), 0}).local_endpoint().port();
  }

  [[noreturn]] void serve() const {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::signal(SIGTERM, [](int) { stop_wanted = 1; });
    try {
      mail::Sink(port_).run(stop_wanted);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "perf_health: server: %s\n", error.what());
    }
    _exit(0);
  }

  uint16_t port_;
  pid_t pid_;
};

/// A client of the same few words, that waits for each reply.
class BareClient {
 public:
  BareClient(std::string address, uint16_t port) : to_(mail::SocketAddress::of(address, port)) {}

  /// Whether it went as it should.
  bool converse(bool with_ehlo) const {
    const mail::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(socket.get(), to_.get(), to_.size) < 0) return false;
    return hears(socket.get(), '2') && (!with_ehlo || says(socket.get(), "EHLO probe\r\n")) &&
           says(socket.get(), "QUIT\r\n");
  }

 private:
  static bool hears(int fd, char digit) {
    char buffer[512];
    return recv(fd, buffer, sizeof buffer, 0) > 0 && buffer[0] == digit;
  }
  static bool says(int fd, std::string_view line) {
    return send(fd, line.data(), line.size(), MSG_NOSIGNAL) > 0 && hears(fd, '2');
  }

  mail::SocketAddress to_;
};

void wait_for(const Server& server) {
  const auto deadline = std::chrono::steady_clock::now() + seconds(30);
  while (!BareClient("127.0.0.1", server.port()).converse(false)) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("the server does not answer");
    usleep(1000);
  }
}

std::vector<health::Target> targets(const Options& options, uint16_t port) {
  const config::Check check{.name = "perf",
                            .type = options.check == "ehlo" ? CheckType::kEhlo : CheckType::kBanner,
                            .interval = options.interval(),
                            .helo = "probe"};
  std::vector<health::Target> out;
  for (size_t i = 0; i < options.backends; i++) {
    const auto address = config::IpAddress::parse(address_of(i));
    if (!address) throw std::logic_error("no IP address: " + address_of(i));
    out.push_back({"mta" + std::to_string(i), *address, port, check});
  }
  return out;
}

void run_for(asio::io_context& io, milliseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < deadline) {
    if (io.stopped()) io.restart();
    io.run_one_until(deadline);
  }
}

double bare_round_us(const Options& options, uint16_t port) {
  const auto before = thread_cpu();
  for (size_t i = 0; i < options.backends; i++)
    if (!BareClient(address_of(i), port).converse(options.check == "ehlo"))
      throw std::runtime_error("a dialogue over bare sockets failed");
  return duration<double, std::micro>(thread_cpu() - before).count() / static_cast<double>(options.backends);
}

/// Probes for an interval in which all come up, then for the rounds. Nothing else may hold this thread up meanwhile.
void probe_rounds(const Options& options, uint16_t port, Figures& figures) {
  asio::io_context io(1);
  health::Prober prober(io.get_executor());
  size_t of_round = 0;
  prober.set_on_result([&](const std::string& key, const health::Verdict& verdict) {
    of_round++;
    figures.failed += health::passes(verdict.fact) ? 0 : 1;
    figures.seen.insert(key);
  });
  if (const auto set = prober.set_targets(targets(options, port)); !set) throw std::runtime_error(set.error());
  run_for(io, options.interval());
  for (unsigned round = 0; round < options.rounds; round++) {
    of_round = 0;
    const auto before = thread_cpu();
    run_for(io, options.interval());
    const auto used = thread_cpu() - before;
    figures.probes += of_round;
    if (of_round != 0)
      figures.probe_us.push_back(duration<double, std::micro>(used).count() / static_cast<double>(of_round));
  }
}

Figures measure(const Options& options, uint16_t port) {
  Figures figures;
  probe_rounds(options, port, figures);
  for (unsigned round = 0; round < options.rounds; round++) figures.bare_us.push_back(bare_round_us(options, port));
  return figures;
}

int report(const Options& options, const Figures& figures) {
  if (figures.probes == 0 || figures.failed != 0 || figures.seen.size() != options.backends) {
    std::fprintf(stderr, "perf_health: %zu of %zu backends probed, %zu of %zu probes failed: no figures\n",
                 figures.seen.size(), options.backends, figures.failed, figures.probes);
    return 1;
  }
  const auto [low, probe_us, high] = quartiles(figures.probe_us);
  const double bare_us = quantile(figures.bare_us, 0.5);
  const double share = probe_us * static_cast<double>(options.backends) / (1e6 * options.interval_s);
  if (options.json) {
    const nlohmann::json found = {{"check", options.check},   {"backends", options.backends},
                                  {"probes", figures.probes}, {"interval_s", options.interval_s},
                                  {"probe_us", probe_us},     {"probe_us_quartiles", {low, high}},
                                  {"bare_us", bare_us},       {"core_share", share}};
    std::puts(found.dump().c_str());
    return 0;
  }
  std::printf(
      "%s: %zu backends every %g s, %zu probes: %.0f us of CPU a probe (quartiles %.0f to %.0f), %.0f us over bare "
      "sockets, %.1f times; %.1f %% of a core\n",
      options.check.c_str(), options.backends, options.interval_s, figures.probes, probe_us, low, high, bare_us,
      probe_us / bare_us, 100 * share);
  return 0;
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("What health checks cost, beside the same dialogues over bare sockets in the same run.");
  app.add_option("--check", options.check, "the kind of check")
      ->check(CLI::IsMember({"banner", "ehlo"}))
      ->capture_default_str();
  app.add_option("--backends", options.backends, "how many")->check(CLI::Range(1, 16384))->capture_default_str();
  app.add_option("--interval", options.interval_s, "seconds between probes of one")
      ->check(CLI::Range(0.05, 60.0))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "intervals measured")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_flag("--json", options.json, "one line of JSON");
  CLI11_PARSE(app, argc, argv);
  const Server server;
  wait_for(server);
  return report(options, measure(options, server.port()));
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  try {
    return sluice::perf::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "perf_health: %s\n", error.what());
    return 1;
  }
}

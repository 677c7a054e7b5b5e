// SPDX-License-Identifier: Apache-2.0
//
// Mail client and mail server of perf/compare, over ordinary sockets. See perf/README.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "perf/mail/load.h"
#include "perf/mail/sink.h"

namespace sluice::mail {
namespace {

volatile std::sig_atomic_t stop_wanted = 0;

void on_signal(int) {
  stop_wanted = 1;
}

struct Arguments {
  uint16_t port = 25;
  std::vector<std::string> targets, sources;
  std::vector<uint64_t> held{1000};
  LoadPlan plan;
};

LoadPlan plan_of(const Arguments& arguments) {
  LoadPlan plan = arguments.plan;
  for (const std::string& target : arguments.targets) plan.targets.push_back(SocketAddress::of(target, arguments.port));
  for (const std::string& source : arguments.sources) plan.sources.push_back(SocketAddress::of(source, 0));
  return plan;
}

void tell(const nlohmann::json& what) {
  fmt::print("{}\n", what.dump());
  std::fflush(stdout);
}

int load(const Arguments& arguments) {
  const LoadFigures found = Load(plan_of(arguments)).run();
  tell({{"completed", found.completed},
        {"failed", found.failed},
        {"first_failure", found.first_failure},
        {"message_bytes", found.message_bytes},
        {"seconds", found.seconds},
        {"session_us",
         {{"p50", found.session_us.quantile(0.5)},
          {"p90", found.session_us.quantile(0.9)},
          {"p99", found.session_us.quantile(0.99)},
          {"max", found.session_us.largest()}}}});
  return found.completed != 0 && found.failed == 0 ? 0 : 1;
}

// A line on standard input leads from one step to the next, and from the last to the end.
int hold(const Arguments& arguments) {
  Load sessions(plan_of(arguments));
  uint64_t held = 0;
  for (const uint64_t wanted : arguments.held) {
    held = sessions.hold(wanted, stop_wanted);
    tell({{"held", held}, {"wanted", wanted}, {"first_failure", sessions.first_failure()}});
    if (held != wanted) return 1;
    if (std::getchar() == EOF) break;
  }
  const uint64_t completed = sessions.release();
  tell({{"completed", completed}, {"wanted", held}, {"first_failure", sessions.first_failure()}});
  return completed == held ? 0 : 1;
}

}  // namespace
}  // namespace sluice::mail

// What escapes would end it in any case, and says so.
int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape)
  using namespace sluice::mail;
  Arguments arguments;
  CLI::App app{"Mail clients and a mail server over ordinary sockets, for comparisons. Exit code 1: a session failed."};
  app.require_subcommand(1);
  app.add_option("--port", arguments.port, "port of the servers")->capture_default_str();
  app.fallthrough();
  CLI::App* sink = app.add_subcommand("sink", "takes every message and keeps none, until SIGTERM");
  CLI::App* loading = app.add_subcommand("load", "sends a message in each of many sessions; figures as JSON");
  CLI::App* holding =
      app.add_subcommand("hold", "opens sessions and leaves them idle; a line on standard input goes on");
  for (CLI::App* command : {loading, holding}) {
    command->add_option("--target", arguments.targets, "addresses, taken in turn")->required();
    command->add_option("--source", arguments.sources, "own addresses, taken in turn");
    command->add_option("--patience", arguments.plan.patience_s, "seconds until a session counts as failed")
        ->check(CLI::PositiveNumber);
  }
  loading->add_option("--concurrency", arguments.plan.concurrency, "sessions at once")->check(CLI::Range(1, 100'000));
  loading->add_option("--rate", arguments.plan.rate, "sessions a second; 0 = as fast as they come")
      ->check(CLI::NonNegativeNumber);
  loading->add_option("--seconds", arguments.plan.seconds, "how long to begin sessions")->check(CLI::PositiveNumber);
  loading->add_option("--size", arguments.plan.message_bytes, "octets of a message")
      ->check(CLI::Range(32, 100'000'000));
  holding->add_option("--sessions", arguments.held, "numbers of sessions to hold, one step after the other")
      ->check(CLI::Range(1, 1'000'000));
  CLI11_PARSE(app, argc, argv);
  struct sigaction action{};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  try {
    if (*sink) {
      Sink(arguments.port).run(stop_wanted);
      return 0;
    }
    return *loading ? load(arguments) : hold(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "perf_mail: {}\n", error.what());
    return 2;
  }
}

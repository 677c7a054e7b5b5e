// SPDX-License-Identifier: Apache-2.0
//
// Records of sessions from a worker to a file, at steady rates: a real worker on synthetic traffic, the channel's
// rings, and control's event loop and writer on another core.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "perf/lib/record_rate.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {
namespace {

struct Options {
  RateOptions rate;
  std::vector<double> rates{200'000};
  uint32_t lcore = 1;
  bool json = false;
};

void print_rate(double wanted, const RateFigures& f) {
  printf("%10.0f %10.0f %10.0f %10lu %10lu %10lu %9u %7.1f %9.1f\n", wanted, f.sessions, f.written, f.no_room,
         f.too_many_waiting, f.not_taken, f.most_in_ring, 100 * f.loop_share, 100 * f.writer_share);
  fflush(stdout);
}

nlohmann::json to_json(double wanted, const RateFigures& f) {
  return {{"wanted", wanted},
          {"sessions_per_second", f.sessions},
          {"written_per_second", f.written},
          {"no_room", f.no_room},
          {"too_many_waiting", f.too_many_waiting},
          {"not_taken", f.not_taken},
          {"most_in_ring", f.most_in_ring},
          {"loop_share", f.loop_share},
          {"writer_share", f.writer_share}};
}

nlohmann::json to_json(const Quartiles& values) {
  return {{"q1", values.low}, {"median", values.median}, {"q3", values.high}};
}

void run(const Options& options) {
  spdlog::set_level(spdlog::level::warn);
  start_eal(options.lcore, 128);
  RecordRate records(options.rate);
  nlohmann::json report = {{"rates", nlohmann::json::array()}};
  if (!options.json) {
    printf("%10s %10s %10s %10s %10s %10s %9s %7s %9s\n", "wanted/s", "sessions/s", "written/s", "no room", "too many",
           "not taken", "in ring", "loop %", "writer %");
  }
  for (const double rate : options.rates) {
    const RateFigures figures = records.at(rate);
    report["rates"].push_back(to_json(rate, figures));
    if (!options.json) print_rate(rate, figures);
  }
  const double rate = options.rates.front();
  const FollowFigures followed = records.followed_at(rate);
  report["followed"] = {{"rate", rate},
                        {"shown_per_second", followed.shown},
                        {"left_out_per_second", followed.left_out},
                        {"mean_ms", followed.mean_ms},
                        {"most_ms", followed.most_ms}};
  const CostFigures cost = records.cost_at(rate);
  report["cost_ns"] = {{"rate", rate},
                       {"lost", to_json(cost.lost)},
                       {"recorded", to_json(cost.recorded)},
                       {"added", to_json(cost.added)}};
  if (options.json) {
    printf("%s\n", report.dump(2).c_str());
    return;
  }
  printf("\nfollowed at %.0f/s: %.0f shown and %.0f left out a second, an answer takes %.2f ms, %.1f at most\n", rate,
         followed.shown, followed.left_out, followed.mean_ms, followed.most_ms);
  printf("of the worker, ns a session at %.0f/s:", rate);
  for (const auto& [name, each] : {std::pair("lost", cost.lost), {"recorded", cost.recorded}, {"added", cost.added}}) {
    printf("  %s %.1f (%.1f, %.1f)", name, each.median, each.low, each.high);
  }
  printf("\n");
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) try {
  sluice::perf::Options options;
  CLI::App app{"Measures records of sessions on their way from a worker to a file."};
  app.add_option("--to", options.rate.to, "where they go, as records.to has it")->required();
  app.add_option("--rotate-mb", options.rate.rotate_mb, "as records.rotate_mb");
  app.add_option("--rates", options.rates, "sessions a second")->check(CLI::Range(1e3, 1e8));
  app.add_option("--seconds", options.rate.seconds, "of each rate")->check(CLI::Range(0.01, 3600.0));
  app.add_option("--blocks", options.rate.blocks, "with and without records, in turn, at the first rate")
      ->check(CLI::Range(1, 10000));
  app.add_option("--block-sessions", options.rate.block_sessions, "of each block")->check(CLI::Range(32, 10'000'000));
  app.add_option("--lcore", options.lcore, "core of the worker");
  app.add_option("--control-cpu", options.rate.control_cpu, "core of control's threads");
  app.add_flag("--json", options.json, "report as JSON");
  CLI11_PARSE(app, argc, argv);
  sluice::perf::run(options);
  return 0;
} catch (const std::exception& error) {
  fprintf(stderr, "perf_records: %s\n", error.what());
  return 1;
}

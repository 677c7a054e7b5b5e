// SPDX-License-Identifier: Apache-2.0
//
// Days of a pool of equal backends under the passive judge, simulated: how often it takes weight from one that is like
// the others (noise), and how soon it finds one that is worse (detection). Greetings are refused at random, or in runs,
// as when a client that is refused comes again at once. Traffic follows the weights, as in a real pool.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "perf/lib/judged_pool.h"
#include "perf/lib/quantile.h"

namespace sluice::perf {
namespace {

constexpr unsigned kSecondsOfADay = 86'400;

struct Options {
  size_t backends = 6;
  std::vector<double> rates = {1, 10, 100, 500};           // connections/s of each backend
  std::vector<double> ratios = {0, 0.01, 0.03, 0.1};       // refused
  std::vector<double> detected = {0.02, 0.03, 0.05, 0.1};  // by the others
  double times = 3;                                        // as bad as the others is the one to be found
  double together = 1;                                     // refusals come in runs of so many, on average
  double limit_s = 3600;                                   // until a detection is given up
  unsigned days = 7;
  unsigned trials = 200;
  uint64_t seed = 1;
};

/// Equal backends for some days: changes of a factor by backend and day, and how long one was below its weight.
nlohmann::json noise(const Options& options, double rate, double ratio) {
  JudgedPool pool(options.backends, rate, options.together, options.seed);
  for (size_t i = 0; i < options.backends; i++) pool.set_refused(i, ratio);
  const auto rounds = static_cast<uint64_t>(kSecondsOfADay / pool.round_s());
  std::vector<double> changes;
  uint64_t below = 0;
  for (unsigned day = 0; day < options.days; day++) {
    std::vector<double> today(options.backends);
    for (uint64_t i = 0; i < rounds; i++) {
      for (const auto& decision : pool.round()) today[decision.key] += decision.before != decision.factor ? 1 : 0;
      for (size_t k = 0; k < options.backends; k++) below += pool.factor(k) < 1 ? 1 : 0;
    }
    changes.insert(changes.end(), today.begin(), today.end());
  }
  const double sum = std::accumulate(changes.begin(), changes.end(), 0.0);
  return {{"rate", rate},
          {"ratio", ratio},
          {"changes_a_day", sum / static_cast<double>(changes.size())},
          {"most_changes", *std::ranges::max_element(changes)},
          {"below", static_cast<double>(below) / static_cast<double>(rounds * changes.size())}};
}

/// One of the backends becomes worse after an hour: seconds until it loses weight.
nlohmann::json detection(const Options& options, double rate, double ratio) {
  constexpr unsigned kBefore = 720;
  std::vector<double> found;
  unsigned within_30_s = 0;
  unsigned never = 0;
  for (unsigned trial = 0; trial < options.trials; trial++) {
    JudgedPool pool(options.backends, rate, options.together, options.seed + trial);
    for (size_t i = 0; i < options.backends; i++) pool.set_refused(i, ratio);
    for (unsigned i = 0; i < kBefore || pool.factor(0) < 1; i++) pool.round();
    pool.set_refused(0, std::min(1.0, options.times * ratio));
    double after_s = 0;
    while (pool.factor(0) == 1 && after_s < options.limit_s) {
      pool.round();
      after_s += pool.round_s();
    }
    found.push_back(after_s);
    within_30_s += after_s <= 30 ? 1 : 0;
    never += pool.factor(0) == 1 ? 1 : 0;
  }
  return {{"rate", rate},
          {"ratio", ratio},
          {"p10_s", quantile(found, 0.1)},
          {"median_s", quantile(found, 0.5)},
          {"p90_s", quantile(found, 0.9)},
          {"longest_s", quantile(found, 1)},
          {"within_30_s", static_cast<double>(within_30_s) / options.trials},
          {"never", static_cast<double>(never) / options.trials}};
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Days of a pool under the passive judge, simulated. Prints JSON.");
  app.add_option("--backends", options.backends, "of the pool")->check(CLI::Range(2, 100))->capture_default_str();
  app.add_option("--rates", options.rates, "connections/s of each backend")->check(CLI::Range(0.01, 10'000.0));
  app.add_option("--ratios", options.ratios, "share that each refuses, for noise")->check(CLI::Range(0.0, 1.0));
  app.add_option("--detected", options.detected, "share that the others refuse, for detection")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--times", options.times, "so many times that is refused by the one to be found")
      ->check(CLI::Range(1.0, 100.0))
      ->capture_default_str();
  app.add_option("--together", options.together, "refusals come in runs of so many, on average")
      ->check(CLI::Range(1.0, 1000.0))
      ->capture_default_str();
  app.add_option("--days", options.days, "of each pool of equals")->check(CLI::Range(1, 10'000))->capture_default_str();
  app.add_option("--trials", options.trials, "detections")->check(CLI::Range(1, 100'000))->capture_default_str();
  app.add_option("--seed", options.seed, "of what is drawn")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  nlohmann::json out = {{"noise", nlohmann::json::array()}, {"detection", nlohmann::json::array()}};
  for (const double rate : options.rates)
    for (const double ratio : options.ratios) out["noise"].push_back(noise(options, rate, ratio));
  for (const double rate : options.rates)
    for (const double ratio : options.detected) out["detection"].push_back(detection(options, rate, ratio));
  std::puts(out.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  try {
    return sluice::perf::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "perf_judge: %s\n", error.what());
    return 1;
  }
}

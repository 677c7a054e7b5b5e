// SPDX-License-Identifier: Apache-2.0
//
// A pool under the passive judge, simulated: its members refuse a share of what they get, at random or in runs, as when
// a client that is refused comes again at once. Traffic follows the weights, as in a real pool.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

#include "controlplane/weights/passive_judge.h"

namespace sluice::perf {

class JudgedPool {
 public:
  /// `rate`: connections/s of each backend while all weigh the same. Refusals come in runs of `together` on average.
  JudgedPool(size_t backends, double rate, double together, uint64_t seed)
      : rate_(rate), together_(together), random_(seed), refused_(backends) {}

  void set_refused(size_t backend, double share) { refused_[backend] = share; }
  void set_all_refused(double share) { refused_.assign(refused_.size(), share); }

  /// A round of the judge; keys are the backends' numbers.
  std::vector<control::PassiveJudge::Decision> round() {
    now_ += rules_.settings.interval;
    double weight = 0;
    for (size_t i = 0; i < refused_.size(); i++) weight += judge_.factor(i);
    std::vector<control::PassiveJudge::Subject> subjects;
    for (size_t i = 0; i < refused_.size(); i++) {
      const double share = judge_.factor(i) / weight;
      subjects.push_back({i, 100, sample(refused_[i], rate_ * static_cast<double>(refused_.size()) * share)});
    }
    return judge_.judge(rules_, subjects, now_);
  }
  double factor(size_t backend) const { return judge_.factor(backend); }
  double round_s() const { return std::chrono::duration<double>(rules_.settings.interval).count(); }

 private:
  control::PassiveSample sample(double refused, double rate) {
    control::PassiveSample out;
    const double expected = rate * round_s();
    for (uint64_t runs = poisson(expected * refused / together_); runs > 0; runs--) out.refused += run();
    out.connected = out.refused + poisson(expected * (1 - refused));
    out.greeting.buckets[channel::GreetingHistogram::bucket_of(kGreetingMs)] = out.connected;
    out.greeting.sum_ms = kGreetingMs * out.connected;
    return out;
  }
  uint64_t poisson(double mean) { return mean > 0 ? std::poisson_distribution<uint64_t>(mean)(random_) : 0; }
  uint64_t run() { return together_ > 1 ? 1 + std::geometric_distribution<uint64_t>(1 / together_)(random_) : 1; }

  static constexpr uint64_t kGreetingMs = 20;

  double rate_;
  double together_;
  std::mt19937_64 random_;
  std::vector<double> refused_;
  control::PassiveJudge::Rules rules_;
  control::PassiveJudge::Time now_{};
  control::PassiveJudge judge_;
};

}  // namespace sluice::perf

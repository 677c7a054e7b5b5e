// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/passive_sample.h"

#include <algorithm>
#include <numeric>

namespace sluice::control {

namespace {

using channel::GreetingHistogram;

uint64_t count(const GreetingHistogram& greeting) {
  return std::accumulate(std::begin(greeting.buckets), std::end(greeting.buckets), uint64_t{0});
}

uint64_t grown(uint64_t now, uint64_t before) {
  return now < before ? 0 : now - before;
}

}  // namespace

uint64_t PassiveSample::greeted() const {
  return count(greeting);
}

PassiveSample& PassiveSample::operator+=(const PassiveSample& other) {
  connected += other.connected;
  failed += other.failed;
  soft += other.soft;
  refused += other.refused;
  for (size_t i = 0; i < GreetingHistogram::kBucketCount; i++) greeting.buckets[i] += other.greeting.buckets[i];
  greeting.sum_ms += other.greeting.sum_ms;
  return *this;
}

PassiveSample difference(const PassiveSample& now, const PassiveSample& before) {
  PassiveSample out{.connected = grown(now.connected, before.connected),
                    .failed = grown(now.failed, before.failed),
                    .soft = grown(now.soft, before.soft),
                    .refused = grown(now.refused, before.refused)};
  for (size_t i = 0; i < GreetingHistogram::kBucketCount; i++)
    out.greeting.buckets[i] = grown(now.greeting.buckets[i], before.greeting.buckets[i]);
  out.greeting.sum_ms = grown(now.greeting.sum_ms, before.greeting.sum_ms);
  return out;
}

double typical_ms(const GreetingHistogram& greeting) {
  const uint64_t all = count(greeting);
  if (all == 0) return 0;
  const double mean = static_cast<double>(greeting.sum_ms) / static_cast<double>(all);
  size_t median = 0;
  for (uint64_t below = greeting.buckets[0]; 2 * below < all; below += greeting.buckets[median]) median++;
  const double from = median == 0 ? 0 : static_cast<double>(GreetingHistogram::bound_ms(median - 1));
  if (median + 1 == GreetingHistogram::kBucketCount) return std::max(mean, from);
  return std::clamp(mean, from, static_cast<double>(GreetingHistogram::bound_ms(median)));
}

}  // namespace sluice::control

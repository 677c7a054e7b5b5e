// SPDX-License-Identifier: Apache-2.0
//
// What the workers have counted, taken together: the sum of blocks is a block of the same form. Plain numbers; status,
// metrics, history and the passive health factor show and judge them.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <optional>

#include "controlplane/channel/client.h"
#include "controlplane/model/model.h"
#include "dataplane/contract/segment.h"

namespace sluice::control {

using WorkerCounters = std::array<uint64_t, channel::kCounterCount>;  // by channel::Counter

struct BackendFigures {
  channel::BackendCounters flows{};
  channel::SmtpCounters smtp{};
};

struct ServiceFigures {
  channel::ServiceCounters flows{};
  channel::SmtpCounters smtp{};
};

// Adds a block that a worker writes at the same time. Of `last_new_flow_ms` the latest counts.
void add(channel::BackendCounters& sum, const channel::BackendCounters& block);
void add(channel::ServiceCounters& sum, const channel::ServiceCounters& block);
void add(channel::SmtpCounters& sum, const channel::SmtpCounters& block);

/// What `now` has more than `before`; 0 where it has less, as after a restart of the data plane.
channel::SmtpCounters difference(const channel::SmtpCounters& now, const channel::SmtpCounters& before);

// Over all workers. Nothing while the data plane is not connected, or does not know the backend or service.
std::optional<BackendFigures> figures_of(const ChannelClient& channel, const Member& member);
std::optional<ServiceFigures> figures_of(const ChannelClient& channel, const ServiceState& service);

/// One worker's; `worker` < mapping.workers().
WorkerCounters worker_counters(const ChannelMapping& mapping, uint32_t worker);
/// Their sum.
WorkerCounters worker_counters(const ChannelMapping& mapping);

/// How many values a histogram holds.
template <typename Histogram>
uint64_t count_of(const Histogram& histogram) {
  return std::accumulate(std::begin(histogram.buckets), std::end(histogram.buckets), uint64_t{0});
}

/// The value below which a share `q` (0 to 1) of the values lies, taken to be spread evenly within their bucket; the
/// last bound for what lies beyond it. Nothing for an empty histogram.
template <typename Histogram>
std::optional<double> quantile_ms(const Histogram& histogram, double q) {
  const uint64_t total = count_of(histogram);
  if (total == 0) return std::nullopt;
  const double rank = q * static_cast<double>(total);
  double below = 0;
  for (size_t i = 0; i + 1 < Histogram::kBucketCount; i++) {
    const auto held = static_cast<double>(histogram.buckets[i]);
    const double from = i == 0 ? 0 : static_cast<double>(Histogram::bound_ms(i - 1));
    const auto to = static_cast<double>(Histogram::bound_ms(i));
    if (held > 0 && below + held >= rank) return from + (to - from) * (rank - below) / held;
    below += held;
  }
  return static_cast<double>(Histogram::bound_ms(Histogram::kBucketCount - 2));
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/figures.h"

#include <algorithm>

namespace sluice::control {

using channel::read_counter;

namespace {

template <size_t kSize>
void add(uint64_t (&sum)[kSize], const uint64_t (&block)[kSize]) {
  for (size_t i = 0; i < kSize; i++) sum[i] += read_counter(block[i]);
}

template <typename Histogram>
void add_histogram(Histogram& sum, const Histogram& block) {
  add(sum.buckets, block.buckets);
  sum.sum_ms += read_counter(block.sum_ms);
}

uint64_t grown(uint64_t now, uint64_t before) {
  return now < before ? 0 : now - before;
}

template <typename Histogram>
void take_off(Histogram& from, const Histogram& before) {
  for (size_t i = 0; i < Histogram::kBucketCount; i++) from.buckets[i] = grown(from.buckets[i], before.buckets[i]);
  from.sum_ms = grown(from.sum_ms, before.sum_ms);
}

/// What BackendCounters and ServiceCounters have in common.
template <typename Block>
void add_traffic(Block& sum, const Block& block) {
  sum.flows_created += read_counter(block.flows_created);
  sum.flows_now += read_counter(block.flows_now);
  sum.packets_in += read_counter(block.packets_in);
  sum.bytes_in += read_counter(block.bytes_in);
  sum.packets_out += read_counter(block.packets_out);
  sum.bytes_out += read_counter(block.bytes_out);
  sum.flows_established += read_counter(block.flows_established);
}

/// The sums that `add_worker(worker's statistics)` builds up, if there is a connection on which the thing has an id.
template <typename Figures, typename AddWorker>
std::optional<Figures> sum_up(const ChannelMapping* mapping, bool is_known, AddWorker add_worker) {
  if (mapping == nullptr || !is_known) return std::nullopt;
  Figures out;
  for (uint32_t worker = 0; worker < mapping->workers(); worker++) add_worker(out, mapping->worker_stats(worker));
  return out;
}

}  // namespace

void add(channel::BackendCounters& sum, const channel::BackendCounters& block) {
  add_traffic(sum, block);
  sum.last_new_flow_ms = std::max(sum.last_new_flow_ms, read_counter(block.last_new_flow_ms));
}

void add(channel::ServiceCounters& sum, const channel::ServiceCounters& block) {
  add_traffic(sum, block);
  sum.flows_refused += read_counter(block.flows_refused);
}

void add(channel::SmtpCounters& sum, const channel::SmtpCounters& block) {
  add(sum.counters, block.counters);
  add_histogram(sum.connect, block.connect);
  add_histogram(sum.greeting, block.greeting);
  add_histogram(sum.session, block.session);
}

channel::SmtpCounters difference(const channel::SmtpCounters& now, const channel::SmtpCounters& before) {
  channel::SmtpCounters out = now;
  for (size_t i = 0; i < channel::kSmtpCounterCount; i++) out.counters[i] = grown(now.counters[i], before.counters[i]);
  take_off(out.connect, before.connect);
  take_off(out.greeting, before.greeting);
  take_off(out.session, before.session);
  return out;
}

std::optional<BackendFigures> figures_of(const ChannelClient& channel, const Member& member) {
  const Publisher* publisher = channel.publisher();
  const auto id = publisher == nullptr ? channel::kNoBackend : publisher->backend_id(member.key);
  return sum_up<BackendFigures>(channel.mapping(), id < channel::kMaxBackends,
                                [id](BackendFigures& out, const channel::WorkerStats& stats) {
                                  add(out.flows, stats.backends[id]);
                                  add(out.smtp, stats.backend_smtp[id]);
                                });
}

std::optional<ServiceFigures> figures_of(const ChannelClient& channel, const ServiceState& service) {
  const Publisher* publisher = channel.publisher();
  const auto id = publisher == nullptr ? channel::kNoService : publisher->service_id(service.key);
  return sum_up<ServiceFigures>(channel.mapping(), id < channel::kMaxServices,
                                [id](ServiceFigures& out, const channel::WorkerStats& stats) {
                                  add(out.flows, stats.services[id]);
                                  add(out.smtp, stats.service_smtp[id]);
                                });
}

WorkerCounters worker_counters(const ChannelMapping& mapping, uint32_t worker) {
  WorkerCounters out{};
  const channel::WorkerStats& stats = mapping.worker_stats(worker);
  for (size_t i = 0; i < out.size(); i++) out[i] = read_counter(stats.counters[i]);
  return out;
}

WorkerCounters worker_counters(const ChannelMapping& mapping) {
  WorkerCounters out{};
  for (uint32_t worker = 0; worker < mapping.workers(); worker++) {
    const WorkerCounters one = worker_counters(mapping, worker);
    std::transform(out.begin(), out.end(), one.begin(), out.begin(), std::plus<>());
  }
  return out;
}

}  // namespace sluice::control

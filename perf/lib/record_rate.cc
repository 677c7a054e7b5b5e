// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/record_rate.h"

#include <rte_cycles.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <vector>

#include "perf/lib/lifecycle.h"
#include "perf/lib/record_taker.h"

namespace sluice::perf {
namespace {

using channel::Counter;

constexpr uint32_t kFlowCapacity = 1 << 16;

double cpu_seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

[[noreturn]] void give_up(const char* what) {
  fprintf(stderr, "error: %s, the figures mean nothing\n", what);
  exit(1);
}

RigOptions rig_options(RecordTaker& taker) {
  RigOptions out;
  out.flow_capacity = kFlowCapacity;
  out.backends = 1;
  out.channel = taker.channel();
  return out;
}

/// Lets a burst of sessions begin and end whenever it is due.
class Pace {
 public:
  explicit Pace(double rate)
      : step_(static_cast<double>(rte_get_tsc_hz()) * WorkerRig::kBurst / rate), began_(rte_rdtsc()) {}

  /// Waits until the next burst is due; a worker that is late does not.
  void wait() {
    due_ += step_;
    while (static_cast<double>(rte_rdtsc() - began_) < due_) rte_pause();
  }

 private:
  double step_;
  uint64_t began_;
  double due_ = 0;
};

}  // namespace

struct RecordRate::Parts {
  explicit Parts(const RateOptions& wanted)
      : options(wanted),
        taker({.to = wanted.to, .rotate_mb = wanted.rotate_mb, .keep = 1},
              std::filesystem::temp_directory_path() / ("sluice-perf-records-" + std::to_string(getpid())),
              kFlowCapacity, wanted.control_cpu),
        rig(rig_options(taker)) {
    taker.start([this] {
      rig.poll();
      rig.clear();
    });
  }

  uint64_t counter(Counter which) const { return rig.counter(which); }
  uint64_t ended() const { return counter(Counter::kSessionRecords) + counter(Counter::kSessionRecordsLost); }
  /// Waits until the writer has done all that the worker has told of.
  void wait_written() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    const auto done = [this] {
      const auto figures = taker.figures();
      return figures.written + figures.lost + figures.overrun == counter(Counter::kSessionRecords);
    };
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) give_up("not all records came through");
      rte_delay_us_block(100);  // without sleep: others would take the core, and its caches
    }
  }
  /// Sessions until the ring is full.
  void fill_ring() {
    taker.take(false);
    const uint64_t lost = counter(Counter::kSessionRecordsLost);
    while (counter(Counter::kSessionRecordsLost) == lost) lifecycle_block(rig, next_client, 0);
  }
  /// TSC cycles of the worker for a session. A quarter as many come before those that count, so that caches know them.
  double paced(double rate, uint32_t sessions) {
    const uint32_t counted = sessions / WorkerRig::kBurst, before = counted / 4;
    Pace pace(rate);
    double cycles = 0;
    for (uint32_t step = 0; step < before + counted; step++) {
      const double of_packet = lifecycle_block(rig, next_client, 0);
      if (step >= before) cycles += kPacketsPerConnection * of_packet;
      pace.wait();
    }
    return cycles / counted;
  }

  RateOptions options;
  uint32_t next_client = 0;
  RecordTaker taker;
  WorkerRig rig;
};

RecordRate::RecordRate(const RateOptions& options) : parts_(std::make_unique<Parts>(options)) {}
RecordRate::~RecordRate() = default;

RateFigures RecordRate::at(double rate) {
  Parts& parts = *parts_;
  parts.wait_written();
  const auto before = parts.taker.figures();
  const uint64_t ended = parts.ended(), no_room = parts.counter(Counter::kSessionRecordsLost);
  const double loop = parts.taker.loop_seconds(), all = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID),
               worker = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
  const auto began = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  RateFigures out{};
  Pace pace(rate);
  while (passed() < parts.options.seconds) {
    lifecycle_block(parts.rig, parts.next_client, 0);
    out.most_in_ring = std::max(out.most_in_ring, parts.taker.waiting());
    pace.wait();
  }
  out.sessions = static_cast<double>(parts.ended() - ended) / passed();
  parts.wait_written();
  const double seconds = out.seconds = passed();
  const auto after = parts.taker.figures();
  out.written = static_cast<double>(after.written - before.written) / seconds;
  out.no_room = parts.counter(Counter::kSessionRecordsLost) - no_room;
  out.too_many_waiting = after.overrun - before.overrun;
  out.not_taken = after.lost - before.lost;
  const double loop_used = parts.taker.loop_seconds() - loop;
  const double others = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - all - (cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - worker);
  out.loop_share = loop_used / seconds;
  out.writer_share = (others - loop_used) / seconds;
  return out;
}

FollowFigures RecordRate::followed_at(double rate) {
  Parts& parts = *parts_;
  parts.taker.follow(true);
  const double seconds = at(rate).seconds;
  parts.taker.follow(false);
  const RecordTaker::Followed& seen = parts.taker.followed();
  if (seen.answers == 0) give_up("nobody was answered");
  return {.shown = static_cast<double>(seen.shown) / seconds,
          .left_out = static_cast<double>(seen.missed) / seconds,
          .mean_ms = 1e3 * seen.seconds / static_cast<double>(seen.answers),
          .most_ms = 1e3 * seen.longest_s};
}

CostFigures RecordRate::cost_at(double rate) {
  Parts& parts = *parts_;
  const double ns = 1e9 / static_cast<double>(rte_get_tsc_hz());
  std::vector<double> lost, recorded, added;
  for (uint32_t round = 0; added.size() < parts.options.blocks; round++) {
    if (round == 2 * parts.options.blocks) give_up("in most rounds records were lost that should be written");
    parts.fill_ring();
    const uint64_t told = parts.counter(Counter::kSessionRecords);
    const double without = parts.paced(rate, parts.options.block_sessions) * ns;
    if (parts.counter(Counter::kSessionRecords) != told) give_up("records were written that should not be");
    parts.taker.take(true);
    parts.wait_written();
    const uint64_t no_room = parts.counter(Counter::kSessionRecordsLost);
    const double with = parts.paced(rate, parts.options.block_sessions) * ns;
    if (parts.counter(Counter::kSessionRecordsLost) != no_room) continue;  // somebody else had control's core
    lost.push_back(without);
    recorded.push_back(with);
    added.push_back(with - without);
  }
  return {quartiles(lost), quartiles(recorded), quartiles(added)};
}

}  // namespace sluice::perf

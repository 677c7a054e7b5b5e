// SPDX-License-Identifier: Apache-2.0
//
// Sessions at a steady rate through a worker, whose records a real control takes and writes meanwhile on another core:
// how many it writes, and what they cost the worker.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "perf/lib/quantile.h"

namespace sluice::perf {

struct RateOptions {
  std::string to;            // where records go, as records.to has it
  uint32_t rotate_mb = 0;    // as records.rotate_mb
  uint32_t control_cpu = 0;  // of control's threads
  double seconds = 10;       // of each rate
  uint32_t blocks = 51;      // of each kind, where the worker's cost is measured
  uint32_t block_sessions = 16'000;
};

/// Of one rate. Every session that ended is in one of the last four.
struct RateFigures {
  double seconds;             // until the last record was written
  double sessions;            // a second, that ended
  double written;             // records a second
  uint64_t no_room;           // records that found the ring full
  uint64_t too_many_waiting;  // that found too many before them at the writer
  uint64_t not_taken;         // by the output
  uint32_t most_in_ring;
  double loop_share, writer_share;  // of a core
};

/// What `sluicectl sessions --follow` would show meanwhile, and what its answers take of control's event loop.
struct FollowFigures {
  double shown, left_out;   // a second
  double mean_ms, most_ms;  // of an answer
};

/// Nanoseconds of the worker for a connection of seven segments, over blocks that take turns.
struct CostFigures {
  Quartiles lost;      // nobody takes records, and each is counted as lost: the floor
  Quartiles recorded;  // each is written
  Quartiles added;     // by the blocks of a round
};

/// A worker, and a control that takes its records. Ends the program if something is not as it should be.
class RecordRate {
 public:
  explicit RecordRate(const RateOptions& options);
  ~RecordRate();

  /// `rate`: sessions that end in a second, or as many as the worker can if it is fewer.
  RateFigures at(double rate);
  FollowFigures followed_at(double rate);
  CostFigures cost_at(double rate);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace sluice::perf

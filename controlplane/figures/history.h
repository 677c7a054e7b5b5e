// SPDX-License-Identifier: Apache-2.0
//
// What happened in the last hour: rates of each service, pool and backend, worked out from counters that are read once
// a second. Pure: time and counters come in. Bounded: at most kMaxSubjects subjects, each with kFinePoints points of
// one second and kCoarsePoints of ten; at 60 bytes a point that is 29 KB for a subject.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/figures/figures.h"

namespace sluice::control {

/// What a point tells. Rates are per second, over the point's span.
enum class Series : uint8_t {
  kFlowsNow,
  kNewFlows,
  kEstablished,
  kRefused,  // new flows that found no backend
  kBytesIn,
  kBytesOut,
  kGreetingP50,  // of the greetings within the span
  kGreetingP95,
  kGreetings2xx,
  kGreetings4xx,  // 421 among them
  kGreetings5xx,
  kGreetingsNone,  // and those that are no SMTP
  kReplies4xx,     // after the greeting
  kReplies5xx,
  kMessages,
  kCount
};

inline constexpr size_t kSeriesCount = static_cast<size_t>(Series::kCount);

/// Names as the API has them, in the order of `Series`.
inline constexpr std::array<std::string_view, kSeriesCount> kSeriesNames{
    "flows_now",           "new_flows_per_s",      "established_per_s", "refused_per_s",       "bytes_in_per_s",
    "bytes_out_per_s",     "greeting_p50_ms",      "greeting_p95_ms",   "greetings_2xx_per_s", "greetings_4xx_per_s",
    "greetings_5xx_per_s", "greetings_none_per_s", "replies_4xx_per_s", "replies_5xx_per_s",   "messages_per_s"};

/// One value for each Series; NaN where nothing is known.
class Point {
 public:
  Point();
  float& operator[](Series series) { return values_[static_cast<size_t>(series)]; }
  float operator[](Series series) const { return values_[static_cast<size_t>(series)]; }

 private:
  std::array<float, kSeriesCount> values_;
};

/// Counters of a subject, as they stand. Sums of several are those of a pool.
struct Totals {
  uint64_t flows_now = 0;
  uint64_t flows_created = 0;
  uint64_t flows_established = 0;
  uint64_t flows_refused = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  channel::SmtpCounters smtp{};

  Totals() = default;
  explicit Totals(const BackendFigures& figures);
  explicit Totals(const ServiceFigures& figures);
  Totals& operator+=(const Totals& other);
};

/// What happened between two readings, `seconds` > 0 apart.
Point point_between(const Totals& before, const Totals& now, double seconds);

/// The newest points of one resolution.
class Track {
 public:
  explicit Track(size_t most);
  void add(const Point& point);
  /// Oldest first.
  std::vector<Point> points() const;
  bool empty() const { return ring_.empty(); }
  const Point& newest() const { return ring_[(next_ + ring_.size() - 1) % ring_.size()]; }

 private:
  size_t most_;
  size_t next_ = 0;  // where the next point goes, once the ring is full
  std::vector<Point> ring_;
};

class History {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr size_t kFinePoints = 120;
  static constexpr size_t kCoarsePoints = 360;
  static constexpr uint32_t kFineSeconds = 1;
  static constexpr uint32_t kCoarseSeconds = 10;
  static constexpr size_t kMaxSubjects = 4096;

  /// Begins a reading; every subject that is there is then read. Once a second.
  void begin(Time now);
  /// `totals`: nothing while the data plane is not connected, which leaves a gap. A subject beyond kMaxSubjects has no
  /// history.
  void read(const std::string& subject, const std::optional<Totals>& totals);
  /// Ends the reading: forgets the subjects that were not read.
  void end();

  /// Points of `step_s` seconds (kFineSeconds or kCoarseSeconds), oldest first; empty for an unknown subject.
  std::vector<Point> points(const std::string& subject, uint32_t step_s) const;
  /// The newest second; nothing before there was one.
  std::optional<Point> newest(const std::string& subject) const;

 private:
  struct Reading {
    Time at;
    std::optional<Totals> totals;
  };
  struct Subject {
    Reading fine, coarse;  // the last of each
    Track fine_track{kFinePoints};
    Track coarse_track{kCoarsePoints};
    uint64_t round = 0;  // in which it was last read
  };

  void step(Reading& last, Track& track, const std::optional<Totals>& totals) const;

  Time now_;
  uint64_t round_ = 0;
  std::map<std::string, Subject> subjects_;
};

}  // namespace sluice::control

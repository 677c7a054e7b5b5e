// SPDX-License-Identifier: Apache-2.0
//
// From what the traffic shows to a factor of the weight. The members of a pool are judged together, an interval after
// another: one that is slow to greet beside the others, or defers, refuses or fails too much of what it gets, loses
// half of its factor at a time and gets it back as slowly. Pure: samples and the time come in, decisions go out.
//
// Invariants. 1. At most `max_shed` of the pool's weight is taken away, and at least `min_healthy` members keep all of
// theirs. 2. When every member is bad nothing is taken away: there is nobody to take over. 3. Nothing is judged by
// fewer than `min_samples` connections. 4. A factor is never below kLeastFactor: what gets no traffic shows nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "config/model.h"

namespace sluice::control {

/// What a member's new connections came to since the last sample.
struct PassiveSample {
  uint64_t connected = 0;    // handshakes completed
  uint64_t failed = 0;       // handshakes that the backend did not complete
  uint64_t greeted = 0;      // greetings seen
  uint64_t soft = 0;         // 4xx greetings, and sessions that were broken off with 421
  uint64_t refused = 0;      // 5xx greetings
  uint64_t greeting_ms = 0;  // sum of the times to greeting

  PassiveSample& operator+=(const PassiveSample& other);
};

class PassiveJudge {
 public:
  using Time = std::chrono::system_clock::time_point;
  static constexpr double kLeastFactor = 0.1;
  static constexpr double kStep = 2;             // a factor is divided or multiplied by this at a time
  static constexpr double kSmoothing = 0.5;      // weight of the newest window in the moving average
  static constexpr double kGoodAgain = 2.0 / 3;  // of the bound: below it what was bad is good again
  static constexpr double kLeastDelayMs = 50;    // by less than this nobody is slower than the others
  static constexpr size_t kFewestToCompare = 2;  // members with evidence, to hold one against the others

  struct Subject {
    uint64_t key = 0;   // of the member
    double weight = 0;  // without this factor; above 0: it can take traffic
    PassiveSample sample;
  };

  /// A factor that is to change; or one that ought to, but a guardrail keeps it (told once).
  struct Decision {
    uint64_t key = 0;
    double before = 1;
    double factor = 1;
    std::string reason;  // which figure against which bound, or why it comes back
  };

  struct Rules {
    config::Passive settings;
    double max_shed = 0.5;
    uint32_t min_healthy = 0;
  };

  /// Judges the members of one pool at `now`; call it every `settings.interval`. Members that cannot take traffic are
  /// to be left out; what is known of them stays.
  std::vector<Decision> judge(const Rules& rules, std::span<const Subject> subjects, Time now);

  /// 1 for a member that is not known.
  double factor(uint64_t key) const;
  /// Forgets the member: its factor is 1, and it begins anew.
  void forget(uint64_t key) { states_.erase(key); }
  /// Forgets all but these.
  void keep_only(const std::unordered_set<uint64_t>& keys);

 private:
  // A figure that is held against a bound. What it was last is kept for the hysteresis.
  struct Figure {
    std::optional<double> value;
    bool bad = false;     // until it is well below its bound
    bool beyond = false;  // its bound, in the last window: costs weight
  };
  struct State {
    PassiveSample window;  // grows until there is enough in it
    Time window_began;
    uint64_t judged_by = 0;  // connections in the last full window
    bool fresh = false;      // the window became full in this round
    Figure greeting;         // moving average, ms
    double greeting_ms = 0;  // mean of the last window
    Figure soft;             // shares
    Figure refused;
    Figure failed;
    std::string complaint;  // of the worst figure; "" = none
    double factor = 1;
    Time changed;
    double wish = 1;     // what the factor is to be after this round
    std::string reason;  // of the wish
    std::string spared;  // why a wish below 1 is not granted
    bool was_spared = false;

    bool is_bad() const { return greeting.bad || soft.bad || refused.bad || failed.bad; }
    bool is_beyond() const { return greeting.beyond || soft.beyond || refused.beyond || failed.beyond; }
  };
  struct Judged {
    const Subject* subject;
    State* state;
  };

  static void take_sample(State& state, const PassiveSample& sample, const config::Passive& settings, Time now);
  static void hold_against_bounds(const Judged& judged, std::span<const Judged> all, const config::Passive& settings);
  static void hold_against_others(const Judged& judged, std::span<const Judged> all, const config::Passive& settings);
  static void wish(State& state, const config::Passive& settings, Time now);
  static void guard(const Rules& rules, std::span<Judged> all);
  static void keep_enough_whole(const Rules& rules, std::span<Judged> all);
  static void keep_enough_weight(const Rules& rules, std::span<Judged> all);
  static void spare(State& state, std::string why);
  static std::optional<Decision> decide(State& state, Time now);

  std::unordered_map<uint64_t, State> states_;
};

}  // namespace sluice::control

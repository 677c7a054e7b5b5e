// SPDX-License-Identifier: Apache-2.0
//
// From what the traffic shows to a factor of the weight. The members of a pool are judged together, a round after
// another: one that defers, refuses or fails too much of what it gets and more than its peers, or is slow to greet
// beside them, loses half of its factor at a time and gets it back as slowly; both by evidence that adds up
// (evidence.h), and none comes back sooner than `cooldown` allows. Pure: samples and the time come in, decisions go
// out.
//
// Invariants. 1. At most `max_shed` of the pool's weight is taken away, and at least `min_healthy` members keep all of
// theirs. 2. While every member is beyond a bound, only one that is worse than the others still loses weight: there is
// nobody else to take over. 3. Nobody is convicted by fewer than `min_samples` connections, nor by one round. 4. A
// factor is never below kLeastFactor: what gets no traffic shows nothing.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "config/model.h"
#include "controlplane/weights/evidence.h"
#include "controlplane/weights/passive_sample.h"

namespace sluice::control {

class PassiveJudge {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr double kLeastFactor = 0.1;
  static constexpr double kStep = 2;       // a factor is divided or multiplied by this at a time
  static constexpr double kWorse = 3;      // times its peers' share: what is to be found
  static constexpr double kNotAsGood = 2;  // times its peers' share: what is to be ruled out before weight comes back
  static constexpr double kGoodAgain = 2.0 / 3;  // of the bound: below it what was bad is good again
  static constexpr double kDeviations = 3;       // of the lower confidence bound of a share
  static constexpr double kAlike = 1.5;          // times the others' greeting: up to this nobody is too slow
  static constexpr double kLeastDelayMs = 50;    // by less than this nobody is slower than the others
  static constexpr int kSlowWindows = 4;         // more slow windows than fast ones convict
  static constexpr unsigned kMostPatience = 16;  // times `cooldown`, for one that gets bad again and again

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
  enum ShareName : size_t { kSoft, kRefused, kFailed, kShares };

  // Something that a member can be charged with. The charge stands until the factor is whole again.
  struct Figure {
    Evidence evidence;
    bool charged = false;
    std::string words;  // of the charge, or of what speaks for it since then

    bool is_worse() const { return charged && !evidence.acquits(); }  // than the others
  };
  struct ShareFigure : Figure {
    Share round;
    Share memory;           // of some rounds, this one included
    double dispersion = 1;  // how many connections go together, by how much rounds differ
  };
  struct GreetingFigure : Figure {
    PassiveSample window;           // grows until there is enough in it
    std::optional<double> typical;  // ms, of the last full window
    double count = 0;               // of greetings in that
    bool fresh = false;             // it became full in this round
  };
  struct State {
    std::array<ShareFigure, kShares> shares;
    GreetingFigure greeting;
    std::optional<Time> judged;
    double factor = 1;
    Time changed;
    uint64_t attempts = 0;    // since then
    unsigned patience = 1;    // times `cooldown` until weight is given back
    bool was_raised = false;  // since it was convicted last
    bool convicted = false;   // in this round
    double wish = 1;          // what the factor is to be after this round
    std::string reason;       // of the wish
    std::string limit;        // why it is no lower
    std::string spared;       // why a wish below 1 is not granted
    bool was_spared = false;

    std::array<Figure*, kShares + 1> figures();
    bool is_worse();  // than the others in something
  };
  struct Judged {
    const Subject* subject;
    State* state;
  };
  using Pool = std::span<const Judged>;
  // What the members of a pool show together in one figure, to hold each against the others.
  struct Peers;

  static void take_sample(const Judged& judged, const config::Passive& settings, Time now);
  static void remember(Pool all, ShareName name);
  static bool is_beyond(State& state, const config::Passive& settings);
  static void weigh_shares(Pool all, ShareName name, const config::Passive& settings);
  static void weigh_share(State& state, const Peers& peers, ShareName name, const config::Passive& settings);
  static void weigh_greetings(Pool all, const config::Passive& settings);
  static void weigh_greeting(State& state, std::optional<double> others, const config::Passive& settings);
  static void convict(State& state, Figure& figure);
  static void wish(State& state, const config::Passive& settings, Time now);
  static void forgive(State& state, const config::Passive& settings, Time now);
  static void guard(const Rules& rules, Pool all, bool all_beyond);
  static void keep_enough_whole(const Rules& rules, Pool all);
  static void keep_enough_weight(const Rules& rules, Pool all);
  static void spare(State& state, std::string why);
  static std::optional<Decision> decide(State& state, Time now);

  std::unordered_map<uint64_t, State> states_;
};

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/passive_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice::control {

namespace {

using Seconds = std::chrono::duration<double>;

constexpr double kLeastChange = 0.01;  // of a factor, to be worth a new table
constexpr double kRounding = 1e-9;     // what is less is rounding

// What fades does so by these times, or by so many rounds where these are longer.
constexpr Seconds kMemory{60};
constexpr double kMemoryRounds = 4;
constexpr Seconds kEvidence{600};
constexpr double kEvidenceRounds = 120;
constexpr double kDispersionRounds = 120;
constexpr double kHeavyTail = 1.5;     // of what goes together: runs differ in length
constexpr double kMostSurprise = 100;  // of one round
constexpr double kMoved = 16;          // variances: the pool as a whole is not what it was
constexpr double kLeastBound = 0.01;   // of a share, for what is good again: with 0 nothing would be

double keep_for(Seconds passed, Seconds time, Seconds interval, double rounds) {
  return std::exp(-passed / std::max(time, interval * rounds));
}

/// The middle one of all but `own`, the lower of two: a bad one is no yardstick for another.
std::optional<double> median_of_others(const std::vector<double>& sorted, std::optional<double> own) {
  const size_t others = sorted.size() - (own ? 1 : 0);
  if (others == 0) return std::nullopt;
  const size_t middle = (others - 1) / 2;
  const auto place = own ? static_cast<size_t>(std::ranges::lower_bound(sorted, *own) - sorted.begin()) : sorted.size();
  return sorted[middle < place ? middle : middle + 1];
}

std::string percent(double share) {
  return fmt::format("{:.3g}%", 100 * share);
}

struct Bound {
  double value;
  const char* setting;
  const char* what;  // becomes of the connections
};

Bound bound_of(size_t name, const config::Passive& settings) {
  const Bound bounds[] = {{settings.max_soft_ratio, "max_soft_ratio", "put off with 4xx"},
                          {settings.max_refused_ratio, "max_refused_ratio", "refused with 5xx"},
                          {settings.max_failed_ratio, "max_failed_ratio", "not accepted"}};
  return bounds[name];
}

}  // namespace

struct PassiveJudge::Peers {
  Share free;  // of those that are not charged
  Share all;
  std::vector<double> shares;  // sorted, of those that have any
  double dispersions = 0;      // their sum
  double count = 0;

  /// What the others saw; those that are charged are a measure only where there is no other.
  Share others(const ShareFigure& figure) const {
    const Share out = figure.charged ? free : free - figure.memory;
    return out.whole > kRounding ? out : all - figure.memory;
  }
  /// How many connections go together elsewhere: its own rounds may differ because it is bad.
  double dispersion_of_others(const ShareFigure& figure) const {
    const double mean = count > 1 ? (dispersions - figure.dispersion) / (count - 1) : figure.dispersion;
    return 1 + kHeavyTail * std::max(0.0, mean - 1);
  }
};

std::array<PassiveJudge::Figure*, PassiveJudge::kShares + 1> PassiveJudge::State::figures() {
  return {&shares[kSoft], &shares[kRefused], &shares[kFailed], &greeting};
}

bool PassiveJudge::State::is_worse() {
  return std::ranges::any_of(figures(), &Figure::is_worse);
}

std::vector<PassiveJudge::Decision> PassiveJudge::judge(const Rules& rules, std::span<const Subject> subjects,
                                                        Time now) {
  std::vector<Judged> all;
  for (const Subject& subject : subjects) all.push_back({&subject, &states_[subject.key]});
  for (const Judged& each : all) take_sample(each, rules.settings, now);
  for (const ShareName name : {kSoft, kRefused, kFailed}) remember(all, name);
  const bool all_beyond =
      std::ranges::all_of(all, [&](const Judged& each) { return is_beyond(*each.state, rules.settings); });
  for (const ShareName name : {kSoft, kRefused, kFailed}) weigh_shares(all, name, rules.settings);
  weigh_greetings(all, rules.settings);
  for (const Judged& each : all) wish(*each.state, rules.settings, now);
  guard(rules, all, all_beyond);
  std::vector<Decision> out;
  for (const Judged& each : all) {
    if (auto decision = decide(*each.state, now)) {
      decision->key = each.subject->key;
      out.push_back(std::move(*decision));
    }
  }
  return out;
}

std::optional<PassiveJudge::Decision> PassiveJudge::decide(State& state, Time now) {
  const bool newly_spared = !state.spared.empty() && !state.was_spared;
  state.was_spared = !state.spared.empty();
  if (state.wish == 1 && !state.was_spared)
    for (Figure* figure : state.figures()) figure->charged = false;
  // Raised by however little: a guardrail may ask for it.
  const bool changes = state.wish > state.factor || state.factor - state.wish >= kLeastChange;
  if (!changes && !newly_spared) return std::nullopt;
  Decision out{.before = state.factor, .factor = state.wish, .reason = state.reason + state.limit};
  if (state.was_spared) out.reason += "; but " + state.spared;
  if (state.wish != state.factor) {
    state.changed = now;
    state.attempts = 0;
  }
  state.factor = state.wish;
  return out;
}

double PassiveJudge::factor(uint64_t key) const {
  const auto known = states_.find(key);
  return known == states_.end() ? 1 : known->second.factor;
}

void PassiveJudge::keep_only(const std::unordered_set<uint64_t>& keys) {
  std::erase_if(states_, [&](const auto& each) { return !keys.contains(each.first); });
}

void PassiveJudge::take_sample(const Judged& judged, const config::Passive& settings, Time now) {
  State& state = *judged.state;
  const PassiveSample& sample = judged.subject->sample;
  const Seconds passed = state.judged ? Seconds(now - *state.judged) : Seconds(0);
  if (!state.judged) state.changed = now;
  state.judged = now;
  state.convicted = false;
  state.attempts += sample.attempts();
  const auto greeted = static_cast<double>(sample.greeted());
  state.shares[kSoft].round = {std::min(static_cast<double>(sample.soft), greeted), greeted};
  state.shares[kRefused].round = {std::min(static_cast<double>(sample.refused), greeted), greeted};
  state.shares[kFailed].round = {static_cast<double>(sample.failed), static_cast<double>(sample.attempts())};
  const double keep = keep_for(passed, kEvidence, settings.interval, kEvidenceRounds);
  for (Figure* figure : state.figures()) figure->evidence.fade(keep);
  for (ShareFigure& figure : state.shares)
    figure.memory.fade(keep_for(passed, kMemory, settings.interval, kMemoryRounds));
  GreetingFigure& greeting = state.greeting;
  greeting.window += sample;
  greeting.fresh = greeting.window.greeted() >= settings.min_samples;
  if (!greeting.fresh) return;
  greeting.typical = typical_ms(greeting.window.greeting);
  greeting.count = static_cast<double>(greeting.window.greeted());
  greeting.window = {};
}

// Where the pool as a whole is not what it was, what was before is no measure of this round.
void PassiveJudge::remember(Pool all, ShareName name) {
  Share round;
  Share before;
  std::vector<double> dispersions;
  for (const Judged& each : all) {
    const ShareFigure& figure = each.state->shares[name];
    round += figure.round;
    before += figure.memory;
    dispersions.push_back(figure.dispersion);
  }
  std::ranges::sort(dispersions);
  const double dispersion = std::max(1.0, median_of_others(dispersions, std::nullopt).value_or(1));
  const bool moved = surprise(round, before, before + round) > kMoved * dispersion;
  for (const Judged& each : all) {
    ShareFigure& figure = each.state->shares[name];
    if (moved) {
      figure.memory = {};
    } else if (figure.round.whole > 0 && figure.memory.whole > 0) {
      const double found = std::min(surprise(figure.round, figure.memory, before + round), kMostSurprise);
      figure.dispersion += (found - figure.dispersion) / kDispersionRounds;
    }
    figure.memory += figure.round;
  }
}

bool PassiveJudge::is_beyond(State& state, const config::Passive& settings) {
  for (const ShareName name : {kSoft, kRefused, kFailed}) {
    const ShareFigure& figure = state.shares[name];
    if (figure.memory.whole >= settings.min_samples ? figure.memory.value() > bound_of(name, settings).value
                                                    : figure.charged)
      return true;
  }
  return state.greeting.typical > settings.max_greeting_ms;
}

void PassiveJudge::weigh_shares(Pool all, ShareName name, const config::Passive& settings) {
  Peers peers;
  for (const Judged& each : all) {
    const ShareFigure& figure = each.state->shares[name];
    peers.all += figure.memory;
    if (!figure.charged) peers.free += figure.memory;
    if (figure.memory.whole > 0) peers.shares.push_back(figure.memory.value());
    peers.dispersions += figure.dispersion;
    peers.count++;
  }
  std::ranges::sort(peers.shares);
  for (const Judged& each : all) weigh_share(*each.state, peers, name, settings);
}

void PassiveJudge::weigh_share(State& state, const Peers& peers, ShareName name, const config::Passive& settings) {
  ShareFigure& figure = state.shares[name];
  if (figure.round.whole <= 0) return;
  const Share others = peers.others(figure);
  const Bound bound = bound_of(name, settings);
  const double dispersion = peers.dispersion_of_others(figure);
  double worse = worse_than_bound(figure.round, bound.value, kWorse);
  double not_as_good = worse_than_bound(figure.round, std::max(kGoodAgain * bound.value, kLeastBound), kNotAsGood);
  if (others.whole > kRounding) {
    worse = std::min(worse, worse_than_others(figure.round, others, kWorse));
    not_as_good = std::min(not_as_good, worse_than_others(figure.round, others, kNotAsGood));
  }
  figure.evidence.add(worse / dispersion, -not_as_good / dispersion, figure.round);
  const auto median = median_of_others(peers.shares, figure.memory.value());
  const auto say = [&](const Share& seen, const std::string& bounds) {
    figure.words = fmt::format(
        "{} of {:.0f} connections were {}{}, {}{} is {}", percent(seen.value()), seen.whole, bound.what, bounds,
        median ? fmt::format("the others' median is {}, ", percent(*median)) : "", bound.setting, percent(bound.value));
  };
  const Share& charge = figure.evidence.charge();
  const double at_least = charge.at_least(kDeviations, dispersion);
  if (figure.evidence.convicts() && charge.whole >= settings.min_samples && charge.value() > bound.value &&
      at_least > median.value_or(0)) {
    say(charge, fmt::format(" (at least {})", percent(at_least)));
    convict(state, figure);
  } else if (figure.charged && figure.evidence.acquits()) {
    say(figure.evidence.defence(), "");
  }
}

void PassiveJudge::weigh_greetings(Pool all, const config::Passive& settings) {
  std::vector<double> sorted;
  for (const Judged& each : all)
    if (each.state->greeting.typical) sorted.push_back(*each.state->greeting.typical);
  std::ranges::sort(sorted);
  for (const Judged& each : all) {
    const GreetingFigure& greeting = each.state->greeting;
    if (greeting.fresh) weigh_greeting(*each.state, median_of_others(sorted, greeting.typical), settings);
  }
}

void PassiveJudge::weigh_greeting(State& state, std::optional<double> others, const config::Passive& settings) {
  GreetingFigure& figure = state.greeting;
  double bound = settings.max_greeting_ms;
  std::string why = fmt::format("max_greeting_ms is {}", settings.max_greeting_ms);
  if (others) {
    bound = std::max(bound, kAlike * *others);
    const double relative = std::max(settings.max_greeting_ratio * *others, *others + kLeastDelayMs);
    if (relative < bound) {
      bound = relative;
      why = fmt::format("max_greeting_ratio {:g}", settings.max_greeting_ratio);
    }
    why = fmt::format("the others' median is {:.0f} ms, {}", *others, why);
  }
  constexpr double kWindow = Evidence::kConvict / (kSlowWindows - 0.5);  // half a window for what fades meanwhile
  const bool is_slow = *figure.typical > bound;
  const bool is_good = *figure.typical < kGoodAgain * bound;
  figure.evidence.add(is_slow ? kWindow : -kWindow,
                      is_slow   ? -Evidence::kAcquit
                      : is_good ? Evidence::kAcquit / 2
                                : 0,
                      {is_slow ? figure.count : 0, figure.count});
  const auto say = [&](const Share& seen) {
    figure.words = fmt::format("the greeting takes {:.0f} ms ({:.0f} connections), allowed are {:.0f} ms: {}",
                               *figure.typical, seen.whole, bound, why);
  };
  if (figure.evidence.convicts() && figure.evidence.charge().whole >= settings.min_samples) {
    say(figure.evidence.charge());
    convict(state, figure);
  } else if (figure.charged && figure.evidence.acquits()) {
    say(figure.evidence.defence());
  }
}

void PassiveJudge::convict(State& state, Figure& figure) {
  figure.charged = true;
  figure.evidence.spend_conviction();
  state.convicted = true;
}

void PassiveJudge::wish(State& state, const config::Passive& settings, Time now) {
  state.wish = state.factor;
  const bool cooled = now - state.changed >= settings.cooldown * state.patience;
  // Whole in spite of a charge: a guardrail kept it, and may not do so any longer.
  if (state.convicted || (state.factor == 1 && state.is_worse())) {
    state.wish = std::max(kLeastFactor, state.factor / kStep);
    for (const Figure* figure : state.figures())
      if (figure->is_worse()) state.reason = figure->words;
    if (state.convicted && state.was_raised) {
      state.patience = std::min(2 * state.patience, kMostPatience);
      state.was_raised = false;
    }
    return;
  }
  if (state.factor == 1) return forgive(state, settings, now);
  if (!cooled) return;
  const bool is_suspect =
      std::ranges::any_of(state.figures(), [](const Figure* figure) { return figure->evidence.is_suspect(); });
  if (!state.is_worse()) {
    for (const Figure* figure : state.figures())
      if (figure->charged) state.reason = figure->words;
  } else if (state.attempts < settings.min_samples && !is_suspect) {
    state.reason = fmt::format("only {} connections since it was last judged, too few to go on", state.attempts);
  } else {
    return;
  }
  state.wish = std::min(1.0, state.factor * kStep);
  state.was_raised = true;
  for (Figure* figure : state.figures()) figure->evidence.spend_acquittal();
}

void PassiveJudge::forgive(State& state, const config::Passive& settings, Time now) {
  if (now - state.changed < settings.cooldown * kMostPatience) return;
  state.changed = now;
  state.was_raised = false;
  state.patience = std::max(1U, state.patience / 2);
}

void PassiveJudge::guard(const Rules& rules, Pool all, bool all_beyond) {
  for (const Judged& each : all) {
    each.state->spared.clear();
    each.state->limit.clear();
  }
  if (all_beyond || all.size() == 1)
    for (const Judged& each : all)
      if (all.size() == 1 || !each.state->is_worse())
        spare(*each.state, "every backend is bad, and nobody could take over");
  keep_enough_whole(rules, all);
  keep_enough_weight(rules, all);
}

void PassiveJudge::keep_enough_whole(const Rules& rules, Pool all) {
  std::vector<State*> shed;
  for (const Judged& each : all)
    if (each.state->wish < 1) shed.push_back(each.state);
  // Those that have lost most stay so; stable, so that equals do not take turns.
  std::ranges::stable_sort(shed, {}, &State::factor);
  const size_t may_shed = all.size() - std::min<size_t>(all.size(), rules.min_healthy);
  for (size_t i = may_shed; i < shed.size(); i++) spare(*shed[i], fmt::format("min_healthy is {}", rules.min_healthy));
}

void PassiveJudge::keep_enough_weight(const Rules& rules, Pool all) {
  double total = 0;
  double taken = 0;
  for (const Judged& each : all) {
    total += each.subject->weight;
    taken += each.subject->weight * (1 - each.state->wish);
  }
  if (taken <= rules.max_shed * total + kRounding) return;
  for (const Judged& each : all) {
    State& state = *each.state;
    if (state.wish >= 1) continue;
    state.wish = 1 - (1 - state.wish) * rules.max_shed * total / taken;
    state.limit = fmt::format("; no lower, as max_shed is {:g}", rules.max_shed);
  }
}

void PassiveJudge::spare(State& state, std::string why) {
  if (state.wish < 1) state.spared = std::move(why);
  state.wish = 1;
}

}  // namespace sluice::control

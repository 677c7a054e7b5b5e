// SPDX-License-Identifier: Apache-2.0
#include "controlplane/passive_judge.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::control {

namespace {

constexpr double kLeastChange = 0.01;  // of a factor, to be worth a new table
constexpr double kRounding = 1e-9;     // what is less is rounding

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// Whether a figure is beyond `bound`; one that was is, until it is well below.
bool is_beyond(std::optional<double> value, double bound, bool was) {
  return value && *value > (was ? bound * PassiveJudge::kGoodAgain : bound);
}

std::string percent(double share) {
  return fmt::format("{:.3g}%", 100 * share);
}

}  // namespace

PassiveSample& PassiveSample::operator+=(const PassiveSample& other) {
  connected += other.connected;
  failed += other.failed;
  greeted += other.greeted;
  soft += other.soft;
  refused += other.refused;
  greeting_ms += other.greeting_ms;
  return *this;
}

std::vector<PassiveJudge::Decision> PassiveJudge::judge(const Rules& rules, std::span<const Subject> subjects,
                                                        Time now) {
  std::vector<Judged> all;
  for (const Subject& subject : subjects) {
    const auto [at, fresh] = states_.try_emplace(subject.key);
    if (fresh) at->second.window_began = now;
    all.push_back({&subject, &at->second});
  }
  for (const Judged& each : all) take_sample(*each.state, each.subject->sample, rules.settings, now);
  for (const Judged& each : all) hold_against_bounds(each, all, rules.settings);
  for (const Judged& each : all) wish(*each.state, rules.settings, now);
  guard(rules, all);
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
  // Raised by however little: a guardrail may ask for it.
  const bool changes = state.wish > state.factor || state.factor - state.wish >= kLeastChange;
  if (!changes && !newly_spared) return std::nullopt;
  Decision out{.before = state.factor, .factor = state.wish, .reason = state.reason};
  if (state.was_spared) out.reason += "; but " + state.spared;
  if (state.wish != state.factor) state.changed = now;
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

void PassiveJudge::take_sample(State& state, const PassiveSample& sample, const config::Passive& settings, Time now) {
  state.window += sample;
  const PassiveSample& window = state.window;
  const uint64_t attempts = window.connected + window.failed;
  state.fresh = attempts >= settings.min_samples;
  if (!state.fresh) return;
  state.judged_by = attempts;
  state.failed.value = share(window.failed, attempts);
  if (window.greeted >= settings.min_samples) {
    state.soft.value = share(window.soft, window.greeted);
    state.refused.value = share(window.refused, window.greeted);
    state.greeting_ms = static_cast<double>(window.greeting_ms) / static_cast<double>(window.greeted);
    const double before = state.greeting.value.value_or(state.greeting_ms);
    state.greeting.value = kSmoothing * state.greeting_ms + (1 - kSmoothing) * before;
  }
  state.window = {};
  state.window_began = now;
}

void PassiveJudge::hold_against_bounds(const Judged& judged, std::span<const Judged> all,
                                       const config::Passive& settings) {
  State& state = *judged.state;
  state.complaint.clear();
  const auto hold = [&state](Figure& figure, double bound, const char* what, const char* setting) {
    figure.bad = is_beyond(figure.value, bound, figure.bad);
    figure.beyond = figure.bad && *figure.value > bound;
    if (figure.bad)
      state.complaint = fmt::format("{} of {} connections {}, {} is {}", percent(*figure.value), state.judged_by, what,
                                    setting, percent(bound));
  };
  hold_against_others(judged, all, settings);
  hold(state.soft, settings.max_soft_ratio, "were put off with 4xx", "max_soft_ratio");
  hold(state.refused, settings.max_refused_ratio, "were refused with 5xx", "max_refused_ratio");
  hold(state.failed, settings.max_failed_ratio, "were not accepted", "max_failed_ratio");
}

void PassiveJudge::hold_against_others(const Judged& judged, std::span<const Judged> all,
                                       const config::Passive& settings) {
  State& state = *judged.state;
  std::vector<double> others;
  for (const Judged& other : all)
    if (other.state != judged.state && other.state->greeting.value) others.push_back(*other.state->greeting.value);
  double bound = settings.max_greeting_ms;
  std::string why = "max_greeting_ms";
  if (others.size() + 1 >= kFewestToCompare) {
    // The lower of two in the middle: a slow one is no yardstick for another.
    const auto middle = others.begin() + static_cast<std::ptrdiff_t>((others.size() - 1) / 2);
    std::ranges::nth_element(others, middle);
    const double relative = std::max(settings.max_greeting_ratio * *middle, *middle + kLeastDelayMs);
    if (relative < bound) {
      bound = relative;
      why =
          fmt::format("the others' median is {:.0f} ms, max_greeting_ratio {:g}", *middle, settings.max_greeting_ratio);
    }
  }
  state.greeting.bad = is_beyond(state.greeting.value, bound, state.greeting.bad);
  state.greeting.beyond = state.greeting.bad && *state.greeting.value > bound && state.greeting_ms > bound;
  if (state.greeting.bad)
    state.complaint = fmt::format("the greeting takes {:.0f} ms (last of {} connections), allowed are {:.0f} ms: {}",
                                  *state.greeting.value, state.judged_by, bound, why);
}

void PassiveJudge::wish(State& state, const config::Passive& settings, Time now) {
  state.wish = state.factor;
  const bool cooled = now - state.changed >= settings.cooldown;
  if (state.fresh && state.is_beyond()) {
    state.wish = std::max(kLeastFactor, state.factor / kStep);
    state.reason = state.complaint;
  } else if (state.factor < 1 && cooled && state.fresh && !state.is_bad()) {
    state.wish = std::min(1.0, state.factor * kStep);
    state.reason = fmt::format("its last {} connections were within bounds", state.judged_by);
  } else if (state.factor < 1 && cooled && now - state.window_began >= settings.cooldown) {
    state.wish = std::min(1.0, state.factor * kStep);
    state.reason = fmt::format("only {} connections since it was last judged, too few to go on",
                               state.window.connected + state.window.failed);
    for (Figure* figure : {&state.greeting, &state.soft, &state.refused, &state.failed}) *figure = {};
    state.window_began = now;
  }
}

void PassiveJudge::guard(const Rules& rules, std::span<Judged> all) {
  for (const Judged& each : all) each.state->spared.clear();
  if (std::ranges::all_of(all, [](const Judged& each) { return each.state->is_bad(); })) {
    for (const Judged& each : all) spare(*each.state, "every backend is bad, and nobody could take over");
    return;
  }
  keep_enough_whole(rules, all);
  keep_enough_weight(rules, all);
}

void PassiveJudge::keep_enough_whole(const Rules& rules, std::span<Judged> all) {
  std::vector<State*> shed;
  for (const Judged& each : all)
    if (each.state->wish < 1) shed.push_back(each.state);
  // Those that have lost most stay so; stable, so that equals do not take turns.
  std::ranges::stable_sort(shed, {}, &State::factor);
  const size_t may_shed = all.size() - std::min<size_t>(all.size(), rules.min_healthy);
  for (size_t i = may_shed; i < shed.size(); i++) spare(*shed[i], fmt::format("min_healthy is {}", rules.min_healthy));
}

void PassiveJudge::keep_enough_weight(const Rules& rules, std::span<Judged> all) {
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
    state.reason += fmt::format("; no lower, as max_shed is {:g}", rules.max_shed);
  }
}

void PassiveJudge::spare(State& state, std::string why) {
  if (state.wish < 1) state.spared = std::move(why);
  state.wish = 1;
}

}  // namespace sluice::control

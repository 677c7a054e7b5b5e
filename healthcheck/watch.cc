// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "healthcheck/schedule.h"

namespace sluice::health {

namespace asio = boost::asio;
using std::chrono::microseconds;

Watch::Watch(const asio::any_io_executor& executor, std::shared_ptr<const ProbeSettings> settings, Listener& listener)
    : executor_(executor),
      timer_(executor),
      settings_(std::move(settings)),
      listener_(&listener),
      rise_fall_(settings_->plan.check.rise, settings_->plan.check.fall, settings_->wall_clock()) {}

void Watch::start(microseconds delay) {
  asio::co_spawn(executor_, [self = shared_from_this(), delay]() { return self->run(delay); }, asio::detached);
}

void Watch::retire() {
  listener_ = nullptr;
  timer_.cancel();
  if (const auto probe = under_way_.lock()) probe->give_up_connecting();
}

void Watch::update(std::shared_ptr<const ProbeSettings> settings) {
  const auto before = current_interval(settings_->plan.check, rise_fall_.is_changing());
  settings_ = std::move(settings);
  rise_fall_.set_bounds(settings_->plan.check.rise, settings_->plan.check.fall);
  const microseconds interval = current_interval(settings_->plan.check, rise_fall_.is_changing());
  if (interval < before && listener_ != nullptr)
    hurry(std::chrono::duration_cast<microseconds>(interval * listener_->random()));
}

bool Watch::check_now(OnReport on_report) {
  if (wanted_.size() >= kMaxReports) return false;
  wanted_.push_back(std::move(on_report));
  timer_.cancel();  // of no effect while a probe is under way: sleep() then returns at once
  return true;
}

void Watch::hurry(microseconds delay) {
  const auto until = std::chrono::steady_clock::now() + delay;
  hurried_ = std::min(hurried_.value_or(until), until);
  timer_.cancel();
}

void Watch::start_over(microseconds delay) {
  suspended_ = false;
  era_++;
  rise_fall_.start_over();
  hurry(delay);
}

TargetState Watch::state() const {
  return {.health = rise_fall_.health(),
          .since = rise_fall_.since(),
          .successes = rise_fall_.successes(),
          .failures = rise_fall_.failures(),
          .probes = probes_,
          .passed = passed_,
          .failed = failed_,
          .not_run = not_run_,
          .reason = reason_,
          .last = last_,
          .last_at = last_at_};
}

asio::awaitable<void> Watch::run(microseconds delay) {
  co_await sleep(delay);
  while (listener_ != nullptr) {
    const auto began = std::chrono::steady_clock::now();
    co_await probe();
    if (listener_ == nullptr) break;
    const auto elapsed = std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - began);
    co_await sleep(next_delay(settings_->plan.check, rise_fall_.is_changing(), elapsed, listener_->random()));
  }
  abandon_reports();
}

asio::awaitable<void> Watch::sleep(microseconds delay) {
  const auto latest = std::chrono::steady_clock::now() + delay;
  while (listener_ != nullptr && wanted_.empty()) {
    const auto until = std::min(latest, hurried_.value_or(latest));
    if (std::chrono::steady_clock::now() >= until) co_return;
    timer_.expires_at(until);
    co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

asio::awaitable<void> Watch::probe() {
  const std::vector<OnReport> reports = std::exchange(wanted_, {});
  CheckReport report;
  const auto one = std::make_shared<Probe>(executor_, settings_, reports.empty() ? nullptr : &report.transcript);
  under_way_ = one;
  hurried_.reset();
  const auto heard = [this] {
    const std::vector<std::string> keys = keys_;
    for (const std::string& key : keys)
      if (listener_ != nullptr) listener_->on_heard(key);
  };
  co_await one->run([this, era = era_](const Verdict& verdict) { take(verdict, era); }, heard);
  if (last_) report.verdict = *last_;
  for (const OnReport& on_report : reports) on_report(report);
}

void Watch::take(Verdict verdict, uint64_t era) {
  probes_++;
  verdict.counts = !suspended_ && era == era_;
  not_run_ = verdict.fact == Fact::kNotRun ? not_run_ + 1 : 0;
  if (verdict.fact != Fact::kNotRun) (passes(verdict.fact) ? passed_ : failed_)++;
  last_at_ = settings_->wall_clock();
  const Health before = rise_fall_.health();
  // What this machine could not do is no mark against the backend.
  const Outcome outcome = outcome_of(verdict.fact, settings_->plan.check.on_soft);
  const bool says_something = verdict.fact != Fact::kNotRun && verdict.counts;
  const bool changed = says_something && rise_fall_.on_result(outcome, last_at_);
  verdict.settled = rise_fall_.is_settled();
  last_ = verdict;
  Change change{.from = before, .to = rise_fall_.health(), .verdict = verdict};
  if (changed) {
    const uint32_t in_a_row = std::max(rise_fall_.successes(), rise_fall_.failures());
    reason_ = describe(verdict);
    change.reason = in_a_row > 1 ? fmt::format("{} ({} in a row)", reason_, in_a_row) : reason_;
  }
  tell(verdict, changed ? &change : nullptr);
}

void Watch::tell(const Verdict& verdict, const Change* change) {
  const std::vector<std::string> keys = keys_;  // a listener may replace the targets
  for (const std::string& key : keys) {
    if (listener_ != nullptr) listener_->on_result(key, verdict);
    if (listener_ != nullptr && change != nullptr) listener_->on_change(key, *change);
  }
}

void Watch::abandon_reports() {
  CheckReport report;
  report.verdict.detail = "the target was removed";
  for (const OnReport& on_report : std::exchange(wanted_, {})) on_report(report);
}

}  // namespace sluice::health

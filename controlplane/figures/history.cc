// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/history.h"

#include <limits>
#include <numeric>
#include <utility>

namespace sluice::control {

using channel::SmtpCounter;
using channel::SmtpStep;

namespace {

/// All refusals of one kind after the greeting: the counters of the steps that follow kConnect.
uint64_t refusals_in_session(const channel::SmtpCounters& smtp, SmtpCounter kind) {
  const uint64_t* at_connect = smtp.counters + static_cast<size_t>(kind);
  return std::accumulate(at_connect + 1, at_connect + static_cast<size_t>(SmtpStep::kCount), uint64_t{0});
}

}  // namespace

Point::Point() {
  values_.fill(std::numeric_limits<float>::quiet_NaN());
}

Totals::Totals(const BackendFigures& figures)
    : flows_now(figures.flows.flows_now),
      flows_created(figures.flows.flows_created),
      flows_established(figures.flows.flows_established),
      bytes_in(figures.flows.bytes_in),
      bytes_out(figures.flows.bytes_out),
      smtp(figures.smtp) {}

Totals::Totals(const ServiceFigures& figures)
    : flows_now(figures.flows.flows_now),
      flows_created(figures.flows.flows_created),
      flows_established(figures.flows.flows_established),
      flows_refused(figures.flows.flows_refused),
      bytes_in(figures.flows.bytes_in),
      bytes_out(figures.flows.bytes_out),
      smtp(figures.smtp) {}

Totals& Totals::operator+=(const Totals& other) {
  flows_now += other.flows_now;
  flows_created += other.flows_created;
  flows_established += other.flows_established;
  flows_refused += other.flows_refused;
  bytes_in += other.bytes_in;
  bytes_out += other.bytes_out;
  add(smtp, other.smtp);
  return *this;
}

Point point_between(const Totals& before, const Totals& now, double seconds) {
  const auto rate = [seconds](uint64_t from, uint64_t to) {
    return to < from ? 0.0F : static_cast<float>(static_cast<double>(to - from) / seconds);
  };
  const channel::SmtpCounters grown = difference(now.smtp, before.smtp);
  const auto smtp_rate = [&](uint64_t count) { return rate(0, count); };
  Point out;
  out[Series::kFlowsNow] = static_cast<float>(now.flows_now);
  out[Series::kNewFlows] = rate(before.flows_created, now.flows_created);
  out[Series::kEstablished] = rate(before.flows_established, now.flows_established);
  out[Series::kRefused] = rate(before.flows_refused, now.flows_refused);
  out[Series::kBytesIn] = rate(before.bytes_in, now.bytes_in);
  out[Series::kBytesOut] = rate(before.bytes_out, now.bytes_out);
  if (const auto p50 = quantile_ms(grown.greeting, 0.5)) out[Series::kGreetingP50] = static_cast<float>(*p50);
  if (const auto p95 = quantile_ms(grown.greeting, 0.95)) out[Series::kGreetingP95] = static_cast<float>(*p95);
  out[Series::kGreetings2xx] = smtp_rate(grown[SmtpCounter::kGreeting2xx]);
  out[Series::kGreetings4xx] = smtp_rate(grown[SmtpCounter::kGreeting4xx] + grown[SmtpCounter::kGreeting421]);
  out[Series::kGreetings5xx] = smtp_rate(grown[SmtpCounter::kGreeting5xx]);
  out[Series::kGreetingsNone] = smtp_rate(grown[SmtpCounter::kGreetingNone] + grown[SmtpCounter::kGreetingOther]);
  out[Series::kReplies4xx] = smtp_rate(refusals_in_session(grown, SmtpCounter::kTemporaryConnect));
  out[Series::kReplies5xx] = smtp_rate(refusals_in_session(grown, SmtpCounter::kPermanentConnect));
  out[Series::kMessages] = smtp_rate(grown[SmtpCounter::kMessagesAccepted]);
  return out;
}

Track::Track(size_t most) : most_(most) {
  // All of it at once: what control will need in an hour is known from the start. Pages are taken as points come.
  ring_.reserve(most_);
}

void Track::add(const Point& point) {
  if (ring_.size() < most_) {
    ring_.push_back(point);
    return;
  }
  ring_[next_] = point;
  next_ = (next_ + 1) % most_;
}

std::vector<Point> Track::points() const {
  std::vector<Point> out(ring_.begin() + static_cast<std::ptrdiff_t>(next_), ring_.end());
  out.insert(out.end(), ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(next_));
  return out;
}

void History::begin(Time now) {
  now_ = now;
  round_++;
}

void History::read(const std::string& name, const std::optional<Totals>& totals) {
  auto subject = subjects_.find(name);
  if (subject == subjects_.end()) {
    if (subjects_.size() == kMaxSubjects) return;
    subject = subjects_.try_emplace(name).first;
    subject->second.fine = subject->second.coarse = {now_, totals};
  } else {
    step(subject->second.fine, subject->second.fine_track, totals);
    if (now_ - subject->second.coarse.at >= std::chrono::seconds(kCoarseSeconds))
      step(subject->second.coarse, subject->second.coarse_track, totals);
  }
  subject->second.round = round_;
}

void History::end() {
  std::erase_if(subjects_, [this](const auto& subject) { return subject.second.round != round_; });
}

void History::step(Reading& last, Track& track, const std::optional<Totals>& totals) const {
  const double seconds = std::chrono::duration<double>(now_ - last.at).count();
  if (seconds <= 0) return;
  track.add(last.totals && totals ? point_between(*last.totals, *totals, seconds) : Point());
  last = {now_, totals};
}

std::vector<Point> History::points(const std::string& name, uint32_t step_s) const {
  const auto subject = subjects_.find(name);
  if (subject == subjects_.end()) return {};
  return step_s == kFineSeconds ? subject->second.fine_track.points() : subject->second.coarse_track.points();
}

std::optional<Point> History::newest(const std::string& name) const {
  const auto subject = subjects_.find(name);
  if (subject == subjects_.end() || subject->second.fine_track.empty()) return std::nullopt;
  return subject->second.fine_track.newest();
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/syn_watch.h"

#include <fmt/format.h>

namespace sluice::control {

using channel::Counter;

namespace {

uint64_t count(const WorkerCounters& counters, Counter counter) {
  return counters[static_cast<size_t>(counter)];
}

}  // namespace

void SynWatch::tick(const std::optional<WorkerCounters>& counters) {
  if (!counters) return;
  tick_answering(*counters);
  tick_shedding(*counters);
}

void SynWatch::tick_answering(const WorkerCounters& counters) {
  const uint64_t workers = count(counters, Counter::kSynProxyNow);
  const Counted now{count(counters, Counter::kSynCookiesSent), count(counters, Counter::kSynCookiesAccepted)};
  if (workers != 0 && !before_) {
    before_ = now;
    journal_.record(Severity::kWarning, "dataplane", "syn_proxy",
                    fmt::format("handshakes pile up: {} {} SYNs in the backends' place", workers,
                                workers == 1 ? "worker answers" : "workers answer"));
  } else if (workers == 0 && before_) {
    if (now.sent < before_->sent) before_ = Counted{};  // the data plane counts from the beginning
    journal_.record(
        Severity::kInfo, "dataplane", "syn_proxy",
        fmt::format("backends answer SYNs themselves again; of {} that were answered in their place, {} came "
                    "from clients that were there",
                    now.sent - before_->sent, now.accepted - before_->accepted));
    before_.reset();
  }
}

void SynWatch::tick_shedding(const WorkerCounters& counters) {
  const uint64_t workers = count(counters, Counter::kShedsSynsNow);
  const uint64_t dropped = count(counters, Counter::kDropSynShed);
  if (workers != 0 && !dropped_before_) {
    dropped_before_ = dropped;
    journal_.record(
        Severity::kWarning, "dataplane", "syn_shed",
        fmt::format("packets come faster than {} can carry: some SYNs are dropped, so that open sessions keep up",
                    workers == 1 ? "a worker" : fmt::format("{} workers", workers)));
  } else if (workers == 0 && dropped_before_) {
    if (dropped < *dropped_before_) dropped_before_ = 0;  // the data plane counts from the beginning
    journal_.record(Severity::kInfo, "dataplane", "syn_shed",
                    fmt::format("workers keep up again; {} SYNs were dropped meanwhile", dropped - *dropped_before_));
    dropped_before_.reset();
  }
}

}  // namespace sluice::control

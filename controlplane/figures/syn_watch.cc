// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/syn_watch.h"

#include <fmt/format.h>

namespace sluice::control {

using channel::Counter;

void SynWatch::tick(const std::optional<WorkerCounters>& counters) {
  if (!counters) return;
  const auto count = [&](Counter counter) { return (*counters)[static_cast<size_t>(counter)]; };
  const uint64_t workers = count(Counter::kSynProxyNow);
  const Counted now{count(Counter::kSynCookiesSent), count(Counter::kSynCookiesAccepted)};
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

}  // namespace sluice::control

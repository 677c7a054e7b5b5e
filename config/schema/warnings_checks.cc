// SPDX-License-Identifier: Apache-2.0
//
// Warnings of `checks`: time limits with which a dead server is found too late, or a good one is taken for dead.
#include <fmt/format.h>

#include <algorithm>

#include "config/schema/warnings.h"

namespace sluice::config {

namespace {

using namespace std::chrono_literals;

constexpr auto kLatest = 300s;         // until it should be known that a server is gone, or greets nobody
constexpr auto kGreetDelay = 6s;       // postscreen's, at its default
constexpr uint32_t kDaysOfNotice = 1;  // between the first report of a certificate and the fault

double in_seconds(std::chrono::milliseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

bool reads_greeting(const Check& check) {
  return check.type != CheckType::kTcp;
}

bool speaks_tls(const Check& check) {
  return check.type == CheckType::kStarttls || check.type == CheckType::kSmtps;
}

/// How long it takes until `fall` probes in a row have failed, each after `limit`.
std::chrono::milliseconds until_down(const Check& check, std::chrono::milliseconds limit) {
  return check.interval + check.fall * std::max(check.fast_interval, limit);
}

void warn_of_times(const Check& check, const std::string& path, Findings& findings) {
  const auto late = until_down(check, check.connect_timeout);
  if (late > kLatest) {
    const bool by_interval = check.interval > kLatest / 2;
    const bool by_timeout = check.connect_timeout > check.fast_interval;
    findings.warn(
        path + (by_interval  ? ".interval"
                : by_timeout ? ".connect_timeout"
                             : ".fast_interval"),
        fmt::format("a server that is gone is known to be after {:g} s (interval, and {} probes of {:g} s): "
                    "until then connections go to it",
                    in_seconds(late), check.fall, in_seconds(std::max(check.fast_interval, check.connect_timeout))));
  }
  if (!reads_greeting(check)) return;
  const auto silent = until_down(check, check.greeting_timeout);
  if (late <= kLatest && silent > kLatest)
    findings.warn(path + ".greeting_timeout",
                  fmt::format("a server that does not greet is known to be silent after {:g} s ({} probes of {:g} s)",
                              in_seconds(silent), check.fall, in_seconds(check.greeting_timeout)));
  if (check.greeting_timeout <= kGreetDelay)
    findings.warn(path + ".greeting_timeout",
                  fmt::format("{:g} s takes a server for silent that lets its clients wait for the greeting, as "
                              "postscreen does for {:g} s; usual: 15",
                              in_seconds(check.greeting_timeout), in_seconds(kGreetDelay)));
}

}  // namespace

void warn_of_checks(const Config& config, Findings& findings) {
  for (const Check& check : config.checks) {
    const std::string path = "checks." + check.name;
    warn_of_times(check, path, findings);
    if (speaks_tls(check) && check.certificate_action == CertificateAction::kDown &&
        check.certificate_warn_days < check.certificate_fail_days + kDaysOfNotice)
      findings.warn(path + ".certificate_warn_days",
                    fmt::format("{} days: a certificate takes the backend out ({} days left) before anybody is warned",
                                check.certificate_warn_days, check.certificate_fail_days));
  }
}

}  // namespace sluice::config

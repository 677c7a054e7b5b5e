// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/audit.h"

#include <fmt/format.h>

#include <utility>

#include "controlplane/base/printable.h"

namespace sluice::control {

void Audit::changed(const std::string& who, const std::string& what, unsigned status) {
  constexpr unsigned kFirstRefusal = 400;
  journal_.record(status < kFirstRefusal ? Severity::kInfo : Severity::kWarning, "api", who,
                  fmt::format("{}: {}", printable(what), status));
}

void Audit::denied(const std::string& who) {
  const SystemTime now = journal_.now();
  const bool is_soon = now >= told_ && now - told_ < kDenialsAtMostEvery;
  if (is_soon) {
    untold_++;
    return;
  }
  told_ = now;
  const uint64_t before = std::exchange(untold_, 0);
  journal_.record(
      Severity::kWarning, "api", who,
      "presents a token that is not accepted" +
          (before == 0 ? "" : fmt::format("; {} others were presented since the last of these events", before)));
}

}  // namespace sluice::control

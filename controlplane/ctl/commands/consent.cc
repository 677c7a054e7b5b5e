// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/commands/consent.h"

#include <fmt/format.h>

namespace sluice::ctl {

std::string words_for_cut(std::optional<uint64_t> flows) {
  if (!flows) return "cuts open sessions (not counted while the data plane is away)";
  return fmt::format("cuts {} open session{}", *flows, *flows == 1 ? "" : "s");
}

Outcome consent(const Invocation& invocation, const std::string& what, std::optional<uint64_t> flows) {
  if (flows == 0 || !may_ask(invocation)) return {};
  if (invocation.ask(fmt::format("{} {}. Go on?", what, words_for_cut(flows)))) return {};
  return std::unexpected(Failure{Exit::kFailed, "nothing was changed"});
}

}  // namespace sluice::ctl

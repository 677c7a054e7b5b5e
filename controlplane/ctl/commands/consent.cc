// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/commands/consent.h"

#include <fmt/format.h>

namespace sluice::ctl {

std::string words_for(const Cut& cut) {
  const std::string_view here = cut.elsewhere ? " on this node, more on others" : "";
  if (!cut.flows) return fmt::format("cuts open sessions{} (not counted while the data plane is away)", here);
  return fmt::format("cuts {} open session{}{}", *cut.flows, *cut.flows == 1 ? "" : "s", here);
}

Outcome consent(const Invocation& invocation, const std::string& what, const Cut& cut) {
  const bool cuts_nothing = cut.flows == 0 && !cut.elsewhere;
  if (cuts_nothing || !may_ask(invocation)) return {};
  if (invocation.ask(fmt::format("{} {}. Go on?", what, words_for(cut)))) return {};
  return std::unexpected(Failure{Exit::kFailed, "nothing was changed"});
}

}  // namespace sluice::ctl

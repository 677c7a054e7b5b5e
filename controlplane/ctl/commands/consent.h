// SPDX-License-Identifier: Apache-2.0
//
// What stands between an operator's command and sessions that it cuts: --dry-run, and a question where somebody is
// there to answer it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "controlplane/ctl/command.h"

namespace sluice::ctl {

inline const Option kDryRun{"dry-run", "", "Only show what it would do, and how many sessions that would cut"};
inline const Option kYes{"yes", "", "Do not ask before sessions are cut; without a terminal nobody is asked"};

/// Whether somebody is to be asked, if sessions are cut.
inline bool may_ask(const Invocation& invocation) {
  return invocation.ask && !invocation.has(kYes.name);
}

/// What a command cuts.
struct Cut {
  std::optional<uint64_t> flows;  // open sessions on this node; nothing: nobody knows how many there are
  bool elsewhere = false;         // and on other nodes, where nobody has counted
};

/// "cuts 7 open sessions", "cuts 7 open sessions on this node, more on others".
std::string words_for(const Cut& cut);

/// Asks whether to go on with `what`, unless it cuts nothing. A Failure if the answer is no.
Outcome consent(const Invocation& invocation, const std::string& what, const Cut& cut);

}  // namespace sluice::ctl

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

/// "cuts 7 open sessions"; nothing: nobody knows how many there are.
std::string words_for_cut(std::optional<uint64_t> flows);

/// Asks whether to go on with what cuts `flows` sessions, unless there are none. A Failure if the answer is no.
Outcome consent(const Invocation& invocation, const std::string& what, std::optional<uint64_t> flows);

}  // namespace sluice::ctl

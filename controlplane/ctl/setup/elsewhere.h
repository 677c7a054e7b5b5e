// SPDX-License-Identifier: Apache-2.0
//
// Who else on the machine says the same as a remedy: files of the operator and of the system, the kernel's command
// line, and what setup has written for other instances. Settings of the whole machine are of them all.
#pragma once

#include <optional>
#include <string>

#include "controlplane/ctl/doctor/machine.h"
#include "controlplane/ctl/doctor/remedy.h"

namespace sluice::ctl {

/// A name as sysctl takes it: "net/ipv4/ip_forward" is "net.ipv4.ip_forward".
std::string plain_name(std::string name);

struct Settled {
  std::optional<Remedy> remedy;  // as it is to be written; nothing: it is there, or cannot be written
  std::string conflict;          // what is to be done by hand; "" = nothing
};
/// `is_well`: the remedy would only keep what is in effect, and is dropped where that is kept already. Of counts ("room
/// for so many") the larger one is taken, of two instances. A word of the kernel's command line that somebody else has
/// there with another value is left as it is.
Settled settle(const Machine& machine, const std::string& instance, const Remedy& remedy, bool is_well);

}  // namespace sluice::ctl

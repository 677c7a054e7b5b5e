// SPDX-License-Identifier: Apache-2.0
//
// A file that `sluicectl setup` has written is known by its first line: it names the instance, and holds a digest of
// all that follows. So a file of somebody else is never taken for our own, and neither is ours once it was changed by
// hand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "controlplane/ctl/doctor/machine.h"

namespace sluice::ctl {

/// `body` with the first line above it. The body ends with a line's end.
std::string own_text(std::string_view instance, std::string_view body);

/// Whether a text begins as those of setup do, of whichever instance, and whether or not it was changed by hand.
bool is_of_setup(std::string_view text);

enum class Owner : uint8_t { kNobody, kSetup, kOthers };

struct Found {
  Owner owner = Owner::kNobody;  // kNobody: there is no such file
  std::string body;              // if it is ours
};
/// What lies at `path`. A link, and what cannot be read, is another's.
Found find_own(const Machine& machine, const std::string& path, std::string_view instance);

}  // namespace sluice::ctl

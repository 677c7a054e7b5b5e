// SPDX-License-Identifier: Apache-2.0
//
// Names of members that a source makes up from what it is told, such as the DNS. Such a name changes when others come
// or go: a target with one address is called as itself, and with two, each is called by its address as well. A member
// keeps the name that it has for as long as its endpoint is there: its place in the table hangs on it, and so does what
// operators said of it. Pure.
#pragma once

#include <expected>
#include <string>

#include "controlplane/discovery/beliefs.h"

namespace sluice::control {

/// `told`, with the names that the same endpoints have in `known`. One that is new, and whose name another one keeps,
/// is called by its endpoint as well. The error says who has no name of its own.
std::expected<DiscoveredBackends, std::string> keep_names(const DiscoveredBackends& known, DiscoveredBackends told);

}  // namespace sluice::control

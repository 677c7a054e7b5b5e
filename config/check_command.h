// SPDX-License-Identifier: Apache-2.0
//
// What `--config FILE --check` prints.
#pragma once

#include <iosfwd>
#include <string>

namespace sluice::config {

/// Prints "PATH: ok: 2 ports, 1 pool, ..." and returns 0, or every fault on a line and returns 1.
int check_command(const std::string& path, std::ostream& out);

}  // namespace sluice::config

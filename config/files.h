// SPDX-License-Identifier: Apache-2.0
//
// Which files a configuration is made of.
#pragma once

#include <string>
#include <vector>

namespace sluice::config {

/// The file at `path`, then those that it includes and that are not empty, each once, in the order in which they are
/// read. Empty if it cannot be read. Blocks on file input.
std::vector<std::string> files_of(const std::string& path);

/// In which of these files a setting stands, "fleet.node"; "" = in none, or they cannot be read. Blocks on file input.
std::string file_of(const std::string& path, const std::string& setting);

}  // namespace sluice::config

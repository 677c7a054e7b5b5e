// SPDX-License-Identifier: Apache-2.0
//
// Names that our configuration takes, made from those of another program.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace sluice::config::imports {

class Names {
 public:
  /// `wanted` with what is not allowed replaced, and a number behind it if it was given out before.
  std::string take(const std::string& wanted);

 private:
  std::map<std::string, size_t> taken_;  // and the last number that was put behind it
};

/// The same for a name of a check, which libconfig allows no dot in.
std::string check_name(const std::string& pool);

}  // namespace sluice::config::imports

// SPDX-License-Identifier: Apache-2.0
//
// One thing that is wrong with a configuration file, or most likely a mistake in it.
#pragma once

#include <string>

namespace sluice::config {

struct Fault {
  std::string file;         // the file that holds the line: the one given, or one it includes
  unsigned line = 0;        // from 1; 0 = the file as a whole (it cannot be read)
  std::string message;      // what is wrong, and what is allowed
  bool is_warning = false;  // taken as it is

  /// "FILE:LINE: MESSAGE" or "FILE:LINE: warning: MESSAGE", without a newline.
  std::string to_string() const {
    return (line == 0 ? file : file + ":" + std::to_string(line)) + (is_warning ? ": warning: " : ": ") + message;
  }
  friend bool operator==(const Fault&, const Fault&) = default;
};

}  // namespace sluice::config

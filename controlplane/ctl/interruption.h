// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C for commands that go on until they are told to end: they are to end well, and not just to die.
#pragma once

#include <csignal>

namespace sluice::ctl {

/// While it lives, SIGINT and SIGTERM only raise a flag. One at a time.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  bool raised() const;
  /// Sleeps for `ms`, or until it is raised.
  void wait(int ms) const;
  /// Sleeps for `ms` whether it is raised or not.
  static void pause(int ms);

 private:
  struct sigaction old_int_{};
  struct sigaction old_term_{};
};

}  // namespace sluice::ctl

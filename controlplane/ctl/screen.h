// SPDX-License-Identifier: Apache-2.0
//
// The terminal as a full screen that is drawn again and again. Whatever ends the program by way of the destructor, a
// signal included, leaves the terminal as it was found.
#pragma once

#include <termios.h>

#include <chrono>
#include <optional>
#include <string>

namespace sluice::ctl {

class Screen {
 public:
  /// Takes over the terminal on standard output; keys come from standard input, if that is one.
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  /// Shows `text`, cut to the terminal's size.
  void draw(const std::string& text);
  /// Waits for `time`, or shorter: true if it is time to end (q, Ctrl-C, a signal).
  bool wait(std::chrono::milliseconds time);

 private:
  std::optional<termios> before_;
};

/// The first `rows` lines of `text`, each cut to `columns` characters; colours take no room and end with the line.
std::string cut_to(const std::string& text, size_t rows, size_t columns);

}  // namespace sluice::ctl

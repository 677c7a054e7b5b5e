// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string_view>

namespace sluice::ctl {

namespace {

constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";  // another screen, no cursor
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H\x1b[J";
constexpr std::string_view kPlain = "\x1b[0m";
constexpr char kCtrlC = 3;
constexpr char kCtrlD = 4;
constexpr char kEscape = '\x1b';

volatile std::sig_atomic_t told_to_end = 0;

void on_signal(int /*number*/) {
  told_to_end = 1;
}

void put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno != EINTR && errno != EAGAIN) return;
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
}

/// Keys one at a time, unseen, Ctrl-C among them.
termios raw(termios mode) {
  mode.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
  mode.c_cc[VMIN] = 0;
  mode.c_cc[VTIME] = 0;
  return mode;
}

/// Where the character or escape sequence that begins at `at` ends; `width` is how much room it takes.
size_t end_of_unit(std::string_view line, size_t at, size_t& width) {
  width = 0;
  if (line[at] == kEscape) return std::min(line.find('m', at), line.size() - 1) + 1;
  width = 1;
  size_t end = at + 1;
  while (end < line.size() && (line[end] & 0xc0) == 0x80) end++;
  return end;
}

std::string cut_line(std::string_view line, size_t columns) {
  size_t used = 0, at = 0, width = 0;
  while (at < line.size()) {
    const size_t end = end_of_unit(line, at, width);
    if (used + width > columns) return std::string(line.substr(0, at)).append(kPlain);
    used += width;
    at = end;
  }
  return std::string(line);
}

}  // namespace

Screen::Screen() {
  told_to_end = 0;
  struct sigaction action{};
  action.sa_handler = on_signal;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
  termios mode{};
  if (tcgetattr(STDIN_FILENO, &mode) == 0) {
    before_ = mode;
    mode = raw(mode);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &mode);
  }
  put(kEnter);
}

Screen::~Screen() {
  put(kLeave);
  if (before_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &*before_);
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
}

void Screen::draw(const std::string& text) {
  winsize size{};
  const bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 && size.ws_col != 0;
  put(std::string(kHome) + cut_to(text, is_known ? size.ws_row : 24, is_known ? size.ws_col : 80));
}

bool Screen::wait(std::chrono::milliseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (told_to_end == 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd keys{before_ ? STDIN_FILENO : -1, POLLIN, 0};
    if (poll(&keys, 1, static_cast<int>(left.count())) <= 0) continue;
    char key = 0;
    if (read(STDIN_FILENO, &key, 1) <= 0) return true;  // the terminal is gone
    if (key == 'q' || key == 'Q' || key == kCtrlC || key == kCtrlD) return true;
  }
  return true;
}

std::string cut_to(const std::string& text, size_t rows, size_t columns) {
  std::string out;
  std::string_view rest = text;
  for (size_t row = 0; row < rows && !rest.empty(); row++) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (row != 0) out += "\r\n";
    out += cut_line(line, columns);
  }
  return out;
}

}  // namespace sluice::ctl

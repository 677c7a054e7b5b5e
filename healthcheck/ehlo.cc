// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/ehlo.h"

#include <algorithm>
#include <cctype>

namespace sluice::health {

namespace {

constexpr size_t kTextOffset = 4;  // after the code and its separator

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

/// Takes the first word off `text`; empty when there is none left.
std::string_view take_word(std::string_view& text) {
  const size_t begin = std::min(text.find_first_not_of(' '), text.size());
  const size_t end = std::min(text.find(' ', begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

bool has_word(std::string_view text, std::string_view wanted) {
  for (auto word = take_word(text); !word.empty(); word = take_word(text))
    if (same_word(word, wanted)) return true;
  return false;
}

bool line_offers(std::string_view line, std::string_view wanted) {
  if (line.size() < kTextOffset) return false;
  line.remove_prefix(kTextOffset);
  if (!same_word(take_word(line), take_word(wanted))) return false;
  for (auto word = take_word(wanted); !word.empty(); word = take_word(wanted))
    if (!has_word(line, word)) return false;
  return true;
}

}  // namespace

std::string ehlo_command(const std::string& helo, const config::IpAddress& local) {
  if (!helo.empty()) return "EHLO " + helo + "\r\n";
  return std::string("EHLO [") + (local.is_v4() ? "" : "IPv6:") + local.to_string() + "]\r\n";
}

bool offers(std::string_view text, std::string_view wanted) {
  for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    text.remove_prefix(end + 1);
    if (line_offers(text.substr(0, text.find('\n')), wanted)) return true;
  }
  return false;
}

}  // namespace sluice::health

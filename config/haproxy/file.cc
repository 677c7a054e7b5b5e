// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <tuple>

#include "config/haproxy/conditions.h"

namespace sluice::config::haproxy {

namespace {

constexpr size_t kMaxLineBytes = 64 << 10;  // HAProxy's own limit is 2 KiB

constexpr std::array<std::string_view, 19> kSections{
    "global",      "defaults",  "frontend",     "backend", "listen", "peers",       "resolvers",
    "userlist",    "mailers",   "program",      "ring",    "cache",  "http-errors", "fcgi-app",
    "log-forward", "crt-store", "aggregations", "traces",  "acme"};

/// One line's characters, taken apart.
class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  /// The words, or nothing if a quote does not close.
  std::optional<std::vector<std::string>> split() {
    while (at_ < text_.size() && text_[at_] != '#') {
      if (!take()) return std::nullopt;
    }
    end_word();
    return std::move(words_);
  }

  /// Names of the variables that HAProxy would have filled in.
  const std::vector<std::string>& variables() const { return variables_; }

 private:
  bool take() {
    const char c = text_[at_++];
    switch (c) {
      case ' ':
      case '\t':
      case '\r':
        end_word();
        return true;
      case '\\':
        take_escaped();
        return true;
      case '"':
      case '\'':
        return take_quoted(c);
      default:
        add(c);
        return true;
    }
  }

  void take_escaped() {
    if (at_ == text_.size()) return;
    const char c = text_[at_++];
    switch (c) {
      case 'r':
        return add('\r');
      case 'n':
        return add('\n');
      case 't':
        return add('\t');
      case 'x':
        return take_hex();
      case ' ':
      case '#':
      case '\\':
      case '"':
      case '\'':
      case '$':
        return add(c);
      default:  // no escape: patterns have many like it
        add('\\');
        add(c);
    }
  }

  void take_hex() {
    unsigned value = 0;
    const std::string_view digits = text_.substr(std::min(at_, text_.size()), 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (error != std::errc() || end != digits.data() + 2) return add('x');  // HAProxy refuses it
    at_ += 2;
    add(static_cast<char>(value));
  }

  bool take_quoted(char quote) {
    open_ = true;  // "" is a word
    while (at_ < text_.size() && text_[at_] != quote) {
      const char c = text_[at_++];
      if (quote == '"' && c == '\\') {
        take_escaped();
      } else {
        if (quote == '"' && c == '$') note_variable();
        add(c);
      }
    }
    return at_++ < text_.size();
  }

  void note_variable() {
    const size_t begin = text_.substr(at_).starts_with('{') ? at_ + 1 : at_;
    size_t end = begin;
    while (end < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[end])) != 0 || text_[end] == '_'))
      end++;
    if (end > begin) variables_.emplace_back(text_.substr(begin, end - begin));
  }

  void add(char c) {
    open_ = true;
    word_ += c;
  }

  void end_word() {
    if (open_) words_.push_back(std::move(word_));
    word_.clear();
    open_ = false;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<std::string> words_;
  std::vector<std::string> variables_;
  std::string word_;
  bool open_ = false;
};

std::optional<Line> read_line(std::string_view text, unsigned number, Remarks& remarks) {
  if (text.size() > kMaxLineBytes) {
    remarks.leave_out(number, "the line is too long");
    return std::nullopt;
  }
  Splitter splitter(text);
  auto words = splitter.split();
  if (!words) {
    remarks.leave_out(number, "a quote does not close");
    return std::nullopt;
  }
  if (words->empty()) return std::nullopt;
  for (const std::string& name : splitter.variables())
    remarks.warn(number,
                 fmt::format("variable {}: its value is known where HAProxy runs alone: write it instead", name));
  return Line{number, *std::move(words)};
}

}  // namespace

std::vector<Section> read_sections(std::string_view text, Remarks& remarks) {
  std::vector<Section> out;
  Conditions conditions;
  Remarks of_no_meaning("");  // of lines that are not read
  unsigned number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    auto line = read_line(text.substr(0, end), ++number, conditions.hold() ? remarks : of_no_meaning);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line || conditions.take(*line, remarks) || !conditions.hold()) continue;
    if (std::ranges::find(kSections, line->word(0)) != kSections.end()) {
      out.push_back({*std::move(line), {}});
    } else if (out.empty()) {
      remarks.leave_out(number, fmt::format("\"{}\" stands before the first section", line->word(0)));
    } else {
      out.back().lines.push_back(*std::move(line));
    }
  }
  return out;
}

}  // namespace sluice::config::haproxy

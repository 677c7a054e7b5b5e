// SPDX-License-Identifier: Apache-2.0
#include "config/file/scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <limits>

#include "config/bounds.h"

namespace sluice::config {

namespace {

constexpr unsigned kMaxIncludes = 256;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// libconfig's names: a letter or '*', then these.
bool is_word_part(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '*';
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\f';
}

// The value of a run of digits, the largest there is if it does not fit.
uint64_t saturated(std::string_view digits, int base) {
  uint64_t out = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out, base);
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  return error == std::errc{} ? std::min(out, kMost) : kMost;
}

}  // namespace

void Scanner::run(const std::string& path, std::string_view bytes) {
  scan_file(path, bytes);
  if (broken_) return;  // brackets cannot be trusted
  for (size_t i = 1; i < scopes_.size(); i++)
    break_at(scopes_[i].line, fmt::format("'{}' opened here is never closed; close it", scopes_[i].open));
}

void Scanner::scan_file(const std::string& path, std::string_view bytes) {
  Cursor at{out_.files_.size(), bytes};
  out_.files_.push_back(path);
  if (chain_.empty())
    out_.lines_.push_back({at.file, 1});
  else
    out_.lines_.back() = {at.file, 1};
  chain_.push_back(path);
  if (at.starts_with(kByteOrderMark)) at.position = kByteOrderMark.size();
  while (!at.done()) {
    const bool line_start = out_.text_.empty() || out_.text_.back() == '\n';
    if (!line_start || !scan_include(at)) scan_token(at);
  }
  chain_.pop_back();
}

void Scanner::scan_token(Cursor& at) {
  const char c = at.peek();
  if (c == '#' || at.starts_with("//")) return scan_line_comment(at);
  if (at.starts_with("/*")) return scan_block_comment(at);
  if (c == '"') return scan_string(at);
  if (is_digit(c)) return scan_number(at);
  if (is_letter(c) || c == '*') return scan_word(at);
  refuse_control(c);
  if (c == '{' || c == '(' || c == '[') open(c);
  if (c == '}' || c == ')' || c == ']') close(c);
  put(c);
  at.position++;
}

// @include "FILE", alone on its line but for what may follow it.
bool Scanner::scan_include(Cursor& at) {
  size_t i = 0;
  while (is_blank(at.peek(i))) i++;
  constexpr std::string_view kDirective = "@include";
  if (!at.bytes.substr(at.position + i).starts_with(kDirective)) return false;
  i += kDirective.size();
  while (is_blank(at.peek(i))) i++;
  const size_t start = at.position + i + 1;
  const size_t end = std::min(at.bytes.find_first_of("\"\n", start), at.bytes.size());
  if (at.peek(i) != '"' || end == at.bytes.size() || at.bytes[end] != '"') {
    break_at(line(), "@include needs the name of a file; allowed: @include \"FILE\"");
    scan_line_comment(at);
    return true;
  }
  at.position = end + 1;
  include(at, std::string(at.bytes.substr(start, end - start)));
  return true;
}

void Scanner::include(Cursor& at, const std::string& name) {
  const unsigned here = line();
  const auto back = out_.lines_.back();
  const auto directory = std::filesystem::path(out_.files_[at.file]).parent_path();
  const std::string path = (directory / name).string();
  const auto refuse = [&](std::string_view why) { break_at(here, fmt::format("@include \"{}\": {}", name, why)); };
  if (std::ranges::find(chain_, path) != chain_.end()) return refuse("the file includes itself");
  if (chain_.size() > kMaxIncludeDepth) return refuse("includes are nested too deeply; allowed: 10 levels");
  if (++includes_ > kMaxIncludes) return refuse("too many includes; allowed: 256 in all");
  const auto bytes = read_bytes(path);
  if (!bytes)
    return refuse(
        fmt::format("{} cannot be read: {}; allowed: the name of a file, relative to the directory of this one", path,
                    bytes.error()));
  if (out_.text_.size() + bytes->size() > kMaxTextBytes) return refuse("the whole is larger than 16 MiB");
  scan_file(path, *bytes);
  if (!out_.text_.empty() && out_.text_.back() != '\n') put('\n');
  out_.lines_.back() = back;
}

void Scanner::scan_line_comment(Cursor& at) {
  at.position = std::min(at.bytes.find('\n', at.position), at.bytes.size());
}

void Scanner::scan_block_comment(Cursor& at) {
  const size_t end = at.bytes.find("*/", at.position + 2);
  if (end == std::string_view::npos) break_at(line(), "comment opened here is never closed; allowed: /* ... */");
  const size_t stop = end == std::string_view::npos ? at.bytes.size() : end + 2;
  put(' ');
  for (; at.position < stop; at.position++)
    if (at.peek() == '\n') put('\n');
}

// libconfig 1.5 leaks a string that its grammar has no place for, so such ones do not get there.
bool Scanner::text_may_stand_here() const {
  const size_t last = out_.text_.find_last_not_of(" \t\r\f\n");
  if (last == std::string::npos) return false;
  const char before = out_.text_[last];
  if (before == ',') return scopes_.back().open != '{';
  return std::string_view("=:([\"").find(before) != std::string_view::npos;
}

void Scanner::scan_string(Cursor& at) {
  const unsigned here = line();
  if (!text_may_stand_here())
    break_at(here, "text stands here, but is no value; allowed: NAME = \"TEXT\"; or in a list, after '(' or ','");
  const auto take = [&] {
    if (at.done() || at.peek() == '\n') break_at(here, "string is not closed on its line; allowed: \"TEXT\"");
    if (broken_) return;
    refuse_control(at.peek());
    put(at.peek());
    at.position++;
  };
  take();
  while (!broken_ && at.peek() != '"') {
    if (at.peek() == '\\') take();
    if (!broken_) take();
  }
  if (!broken_) take();
  if (broken_) scan_line_comment(at);
}

void Scanner::refuse_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if ((byte < 0x20 && c != '\n' && !is_blank(c)) || byte == 0x7f)
    break_at(line(), fmt::format("byte 0x{:02x} is not text; allowed: UTF-8 text", byte));
}

// A name, or one of the words that are values. Names are noted, to find those that stand twice.
void Scanner::scan_word(Cursor& at) {
  std::string word;
  for (; is_word_part(at.peek()); at.position++) word += at.peek();
  put(word);
  size_t i = 0;
  while (is_blank(at.peek(i)) || at.peek(i) == '\n') i++;
  const bool is_name = at.peek(i) == '=' || at.peek(i) == ':';
  if (!is_name || scopes_.back().open != '{') return;
  if (word.find('*') != std::string::npos)
    note(line(), fmt::format("\"{}\": a name may not have a '*'; allowed: letters, digits, '_' and '-'", word));
  const auto [first, fresh] = scopes_.back().names.try_emplace(word, line());
  if (fresh) return;
  note(line(), fmt::format("\"{}\" stands twice in its group, first on {}; allowed: once", word,
                           out_.name_line(first->second, line())));
  put(fmt::format("*{}", out_.text_.size()));
}

// libconfig reads integers of more than 32 bits as such only if they end in L.
void Scanner::scan_number(Cursor& at) {
  std::string word;
  for (; is_word_part(at.peek()) || at.peek() == '.' || at.peek() == '+'; at.position++) word += at.peek();
  const char before = out_.text_.empty() ? '\0' : out_.text_.back();
  const bool negative = before == '-';
  const bool hex = word.size() > 2 && (word.starts_with("0x") || word.starts_with("0X"));
  const std::string_view digits = std::string_view(word).substr(hex ? 2 : 0);
  const std::string_view accepted = hex ? "0123456789abcdefABCDEF" : "0123456789";
  if (before == '.' || digits.find_first_not_of(accepted) != std::string_view::npos) return put(word);
  const uint64_t value = saturated(digits, hex ? 16 : 10);
  const uint64_t most = uint64_t{std::numeric_limits<int32_t>::max()} + (negative ? 1 : 0);
  put(value <= most ? word : fmt::format("{}L", value));
}

void Scanner::open(char bracket) {
  if (scopes_.size() == kMaxNesting) break_at(line(), "brackets are nested too deeply; allowed: 64 levels");
  scopes_.push_back({bracket, line(), {}});
}

void Scanner::close(char bracket) {
  const char wanted = bracket == '}' ? '{' : bracket == ')' ? '(' : '[';
  if (scopes_.size() == 1 && broken_) return;
  if (scopes_.size() == 1) return break_at(line(), fmt::format("'{}' closes nothing; remove it", bracket));
  const Scope& innermost = scopes_.back();
  if (innermost.open != wanted && !broken_)
    break_at(line(), fmt::format("'{}' stands here, but the '{}' of {} is still open; close that first", bracket,
                                 innermost.open, out_.name_line(innermost.line, line())));
  scopes_.pop_back();
}

void Scanner::put(char c) {
  out_.text_ += c;
  if (c != '\n') return;
  const auto [file, line] = out_.lines_.back();
  out_.lines_.push_back({file, line + 1});
}

void Scanner::put(std::string_view text) {
  out_.text_ += text;
}

void Scanner::break_at(unsigned text_line, std::string message) {
  broken_ = true;
  note(text_line, std::move(message));
}

}  // namespace sluice::config

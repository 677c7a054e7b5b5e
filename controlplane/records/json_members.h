// SPDX-License-Identifier: Apache-2.0
//
// Members of a JSON object, written one after the other: what a session's record takes to be written is mostly this.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string_view>

namespace sluice::control {

/// Each stands after a comma but for the first. Names are plain: they are not escaped.
class JsonMembers {
 public:
  /// Begins nothing: the brace is the caller's, or object()'s.
  explicit JsonMembers(fmt::memory_buffer& out) : out_(out) {}

  /// Everything but printable ASCII is escaped, byte by byte.
  void text(std::string_view name, std::string_view value) {
    begin(name);
    out_.push_back('"');
    if (std::ranges::all_of(value, is_plain)) {
      put(value);
    } else {
      put_escaped(value);
    }
    out_.push_back('"');
  }
  void number(std::string_view name, uint64_t value) {
    begin(name);
    const fmt::format_int digits(value);
    put({digits.data(), digits.size()});
  }
  void share(std::string_view name, double value) {
    begin(name);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void truth(std::string_view name, bool value) {
    begin(name);
    put(value ? "true" : "false");
  }
  /// RFC 3339, in UTC.
  void time(std::string_view name, int64_t unix_ms) {
    using namespace std::chrono;
    const sys_time<milliseconds> at{milliseconds(unix_ms)};
    const auto day = floor<days>(at);
    const year_month_day date(day);
    const hh_mm_ss clock(at - day);
    begin(name);
    char* to = room(sizeof("\"yyyy-mm-ddThh:mm:ss.mmmZ\"") - 1);
    const auto digits = [&to](uint32_t value, int count, char then) {
      for (int i = count - 1; i >= 0; i--, value /= 10) to[i] = static_cast<char>('0' + value % 10);
      to[count] = then;
      to += count + 1;
    };
    *to++ = '"';
    digits(static_cast<uint32_t>(static_cast<int>(date.year())), 4, '-');
    digits(static_cast<unsigned>(date.month()), 2, '-');
    digits(static_cast<unsigned>(date.day()), 2, 'T');
    digits(static_cast<uint32_t>(clock.hours().count()), 2, ':');
    digits(static_cast<uint32_t>(clock.minutes().count()), 2, ':');
    digits(static_cast<uint32_t>(clock.seconds().count()), 2, '.');
    digits(static_cast<uint32_t>(clock.subseconds().count()), 3, 'Z');
    *to = '"';
  }
  /// Begins an object; it is ended by close().
  JsonMembers object(std::string_view name) {
    begin(name);
    out_.push_back('{');
    return JsonMembers(out_);
  }
  void close() { out_.push_back('}'); }

 private:
  static bool is_plain(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\';
  }
  /// So many bytes more, to be written.
  char* room(size_t bytes) {
    const size_t at = out_.size();
    out_.resize(at + bytes);
    return out_.data() + at;
  }
  void put(std::string_view text) { std::memcpy(room(text.size()), text.data(), text.size()); }
  void put_escaped(std::string_view text) {
    for (const char c : text) {
      if (is_plain(c)) {
        out_.push_back(c);
      } else {
        fmt::format_to(std::back_inserter(out_), "\\u{:04x}", static_cast<unsigned char>(c));
      }
    }
  }
  void begin(std::string_view name) {
    const size_t comma = first_ ? 0 : 1;
    first_ = false;
    char* to = room(comma + name.size() + 3);
    if (comma != 0) *to++ = ',';
    *to++ = '"';
    std::memcpy(to, name.data(), name.size());
    to[name.size()] = '"';
    to[name.size() + 1] = ':';
  }

  fmt::memory_buffer& out_;
  bool first_ = true;
};

}  // namespace sluice::control

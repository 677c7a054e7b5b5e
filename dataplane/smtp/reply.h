// SPDX-License-Identifier: Apache-2.0
//
// Reads a mail server's replies (RFC 5321 section 4.2, enhanced codes of RFC 3463) as they come, cut anywhere: the
// state between two bytes is a few numbers, never text. CRLF and a lone LF end a line alike. Measured against Hyperscan
// and std::regex in perf/bench_reply_scan.cc.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice {

/// How far into a reply line a reader is.
enum class ReplyPlace : uint8_t {
  kFirstDigit = 0,
  kSecondDigit,
  kThirdDigit,
  kSeparator,
  kClass,     // of the enhanced code, which only refusals are searched for
  kClassDot,  // the dot behind it
  kSubject,   // its digits, or the dot behind them
  kDetail,    // its digits, or what ends them
  kKeyword,   // of an EHLO reply: as long as it may be STARTTLS
  kText,      // nothing more to learn before the line's end
};

/// A reply line, read up to `place`. A fresh one stands at a line's beginning.
struct ReplyLine {
  uint16_t code = 0;
  uint16_t subject = 0;  // of the enhanced code
  uint16_t detail = 0;
  ReplyPlace place = ReplyPlace::kFirstDigit;
  uint8_t digits = 0;     // of the number at `place`, or letters of the keyword
  bool more = false;      // a continuation line: "250-"
  bool enhanced = false;  // subject and detail are valid
  bool starttls = false;  // one of the reply's lines so far is the keyword STARTTLS (RFC 3207)

  bool begun() const { return place != ReplyPlace::kFirstDigit; }
  unsigned severity() const { return code / 100U; }
};

enum class ReplyResult : uint8_t {
  kIncomplete,  // the bytes ended first
  kReply,       // `line` is the last line of a reply
  kMalformed,   // not SMTP
};

namespace detail {

inline constexpr std::string_view kStartTlsKeyword = "STARTTLS";

/// What follows "NNN " or "NNN-" is worth reading only in a refusal's last line, and where a keyword may stand.
inline ReplyPlace after_separator(const ReplyLine& line) {
  if (line.code == 250) return ReplyPlace::kKeyword;
  return line.code >= 400 && !line.more ? ReplyPlace::kClass : ReplyPlace::kText;
}

/// One more digit of an enhanced code's number, three at most.
inline bool add_digit(uint16_t& number, uint8_t& digits, uint8_t c) {
  if (c < '0' || c > '9' || digits == 3) return false;
  number = static_cast<uint16_t>(number * 10 + (c - '0'));
  digits++;
  return true;
}

inline bool ends_line(uint8_t c) {
  return c == '\r' || c == '\n';
}

/// Takes in one byte that does not end the line. False: this is no reply line.
inline bool take_byte(ReplyLine& line, uint8_t c) {
  const auto next = [&](ReplyPlace place) { return line.place = place, line.digits = 0, true; };
  switch (line.place) {
    case ReplyPlace::kFirstDigit:
      line.code = static_cast<uint16_t>((c - '0') * 100);
      return c >= '2' && c <= '5' && next(ReplyPlace::kSecondDigit);
    case ReplyPlace::kSecondDigit:
      line.code = static_cast<uint16_t>(line.code + (c - '0') * 10);
      return c >= '0' && c <= '5' && next(ReplyPlace::kThirdDigit);
    case ReplyPlace::kThirdDigit:
      line.code = static_cast<uint16_t>(line.code + (c - '0'));
      return c >= '0' && c <= '9' && next(ReplyPlace::kSeparator);
    case ReplyPlace::kSeparator:
      line.more = c == '-';
      return (c == ' ' || c == '-' || c == '\r') && next(after_separator(line));
    case ReplyPlace::kClass:
      return next(c - '0' == static_cast<int>(line.severity()) ? ReplyPlace::kClassDot : ReplyPlace::kText);
    case ReplyPlace::kClassDot:
      return next(c == '.' ? ReplyPlace::kSubject : ReplyPlace::kText);
    case ReplyPlace::kSubject:
      if (add_digit(line.subject, line.digits, c)) return true;
      return next(c == '.' && line.digits != 0 ? ReplyPlace::kDetail : ReplyPlace::kText);
    case ReplyPlace::kDetail:
      if (add_digit(line.detail, line.digits, c)) return true;
      line.enhanced = line.digits != 0 && (c == ' ' || c == '\r');
      return next(ReplyPlace::kText);
    case ReplyPlace::kKeyword:
      if (line.digits == kStartTlsKeyword.size()) {
        line.starttls |= c == '\r' || c == ' ';
        return next(ReplyPlace::kText);
      }
      if ((c & 0xdf) != static_cast<uint8_t>(kStartTlsKeyword[line.digits])) return next(ReplyPlace::kText);
      line.digits++;
      return true;
    case ReplyPlace::kText:
      break;
  }
  return true;
}

/// The fast path over a line's beginning when four bytes of it are at hand. False: go byte by byte.
inline bool take_beginning(ReplyLine& line, const uint8_t* at) {
  const unsigned first = at[0] - '0', second = at[1] - '0', third = at[2] - '0';
  if (first - 2 > 3 || second > 5 || third > 9 || (at[3] != ' ' && at[3] != '-')) return false;
  line.code = static_cast<uint16_t>(first * 100 + second * 10 + third);
  line.more = at[3] == '-';
  line.place = after_separator(line);
  return true;
}

}  // namespace detail

/// Reads on from `at` to the end of the next reply, or to `end`. Moves `at` behind what was read. `line` must be
/// fresh after a result other than kIncomplete. `line_begin`: where the last line began, null if before `at`.
inline ReplyResult read_reply(const uint8_t*& at, const uint8_t* end, ReplyLine& line, const uint8_t*& line_begin) {
  line_begin = nullptr;
  while (at != end) {
    if (!line.begun()) {
      line_begin = at;
      if (end - at > 4 && detail::take_beginning(line, at)) at += 4;
    }
    if (line.place == ReplyPlace::kText) {
      const auto* newline = static_cast<const uint8_t*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
      if (newline == nullptr) {
        at = end;
        return ReplyResult::kIncomplete;
      }
      at = newline;
    }
    const uint8_t c = *at++;
    if (c != '\n') {
      if (!detail::take_byte(line, c)) return ReplyResult::kMalformed;
      continue;
    }
    if (line.place < ReplyPlace::kSeparator) return ReplyResult::kMalformed;
    if (line.place == ReplyPlace::kDetail) line.enhanced = line.digits != 0;
    if (line.place == ReplyPlace::kKeyword) line.starttls |= line.digits == detail::kStartTlsKeyword.size();
    if (!line.more) return ReplyResult::kReply;
    line = ReplyLine{.starttls = line.starttls};
  }
  return ReplyResult::kIncomplete;
}

}  // namespace sluice

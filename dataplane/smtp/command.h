// SPDX-License-Identifier: Apache-2.0
//
// Reads a mail client's command lines (RFC 5321 section 4.1, STARTTLS of RFC 3207, AUTH of RFC 4954, BDAT of RFC 3030)
// as they come, cut anywhere. What a line says beyond its verb is skipped unread, but for a chunk's size.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "dataplane/contract/flow.h"
#include "dataplane/contract/observation.h"

namespace sluice {

constexpr channel::SmtpStep step_of(SmtpCommand command) {
  using channel::SmtpStep;
  constexpr std::array kSteps{SmtpStep::kUnknown, SmtpStep::kConnect,   SmtpStep::kEhlo,  SmtpStep::kStartTls,
                              SmtpStep::kAuth,    SmtpStep::kMail,      SmtpStep::kRcpt,  SmtpStep::kData,
                              SmtpStep::kData,    SmtpStep::kEndOfData, SmtpStep::kOther, SmtpStep::kOther,
                              SmtpStep::kOther};
  static_assert(kSteps.size() == static_cast<size_t>(kLastSmtpCommand) + 1);
  return kSteps[static_cast<size_t>(command)];
}

/// How far into a command line a reader is.
enum class CommandPlace : uint8_t {
  kBegin = 0,
  kVerb,       // its first `matched` letters are those of `command`'s `verb`
  kChunkSize,  // BDAT's first argument
  kChunkLast,  // its second
  kRest,       // nothing more to learn before the line's end
};

/// A command line, read up to `place`. A fresh one stands at a line's beginning.
struct CommandLine {
  uint32_t chunk_bytes = 0;
  CommandPlace place = CommandPlace::kBegin;
  SmtpCommand command = SmtpCommand::kNone;
  uint8_t verb = 0;  // in kVerbs
  uint8_t matched = 0;

  bool begun() const { return place != CommandPlace::kBegin; }
};

namespace detail {

struct Verb {
  std::string_view letters;
  SmtpCommand command;
};

/// The first letter picks the one verb that a line may still turn out to be. Only RSET begins as another does, and
/// stands behind that.
inline constexpr std::array<Verb, 11> kVerbs{{{"EHLO", SmtpCommand::kEhlo},
                                              {"HELO", SmtpCommand::kEhlo},
                                              {"LHLO", SmtpCommand::kEhlo},
                                              {"STARTTLS", SmtpCommand::kStartTls},
                                              {"AUTH", SmtpCommand::kAuth},
                                              {"MAIL", SmtpCommand::kMail},
                                              {"RCPT", SmtpCommand::kRcpt},
                                              {"RSET", SmtpCommand::kReset},
                                              {"DATA", SmtpCommand::kData},
                                              {"BDAT", SmtpCommand::kChunk},
                                              {"QUIT", SmtpCommand::kQuit}}};
inline constexpr uint8_t kNoVerb = 0xff;
inline constexpr uint8_t kRcptVerb = 6, kRsetVerb = 7;
static_assert(kVerbs[kRcptVerb].letters == "RCPT" && kVerbs[kRsetVerb].letters == "RSET");

inline constexpr std::array<uint8_t, 256> kVerbByLetter = [] {
  std::array<uint8_t, 256> out{};
  out.fill(kNoVerb);
  for (size_t i = 0; i < kVerbs.size(); i++) {
    if (i == kRsetVerb) continue;
    const auto letter = static_cast<uint8_t>(kVerbs[i].letters[0]);
    out[letter] = static_cast<uint8_t>(i);
    out[letter | 0x20] = static_cast<uint8_t>(i);
  }
  return out;
}();

inline void skip_line(CommandLine& line, SmtpCommand command) {
  line.command = command;
  line.place = CommandPlace::kRest;
}

/// The verb is over, at `c`.
inline void end_verb(CommandLine& line, uint8_t c) {
  const Verb& verb = kVerbs[line.verb];
  const bool ends = c == ' ' || c == '\t' || c == '\r' || c == '\n';
  if (!ends || line.matched != verb.letters.size()) return skip_line(line, SmtpCommand::kOther);
  if (verb.command != SmtpCommand::kChunk) return skip_line(line, verb.command);
  line.matched = 0;
  line.place = CommandPlace::kChunkSize;
}

/// Takes in one byte that does not end the line.
inline void take_byte(CommandLine& line, uint8_t c) {
  switch (line.place) {
    case CommandPlace::kBegin:
      line.verb = kVerbByLetter[c];
      if (line.verb == kNoVerb) return skip_line(line, SmtpCommand::kOther);
      line.place = CommandPlace::kVerb;
      line.matched = 1;
      return;
    case CommandPlace::kVerb: {
      const std::string_view letters = kVerbs[line.verb].letters;
      if (line.matched < letters.size() && (c & 0xdf) == static_cast<uint8_t>(letters[line.matched])) {
        line.matched++;
        return;
      }
      if (line.verb == kRcptVerb && line.matched == 1 && (c & 0xdf) == 'S') {
        line.verb = kRsetVerb;
        line.matched++;
        return;
      }
      return end_verb(line, c);
    }
    case CommandPlace::kChunkSize:
      if (c >= '0' && c <= '9' && line.matched < 9) {
        line.chunk_bytes = line.chunk_bytes * 10 + (c - '0');
        line.matched++;
        return;
      }
      if ((c == ' ' || c == '\r') && line.matched == 0) return;
      if (c != ' ' && c != '\r') return skip_line(line, SmtpCommand::kOther);  // no size, or one beyond belief
      line.command = SmtpCommand::kChunk;
      line.place = CommandPlace::kChunkLast;
      return;
    case CommandPlace::kChunkLast:
      if ((c & 0xdf) == 'L') skip_line(line, SmtpCommand::kEndOfData);
      return;
    case CommandPlace::kRest:
      return;
  }
}

/// The line is over: what it was.
inline void end_line(CommandLine& line) {
  if (line.place == CommandPlace::kVerb) end_verb(line, '\n');
  if (line.place == CommandPlace::kChunkSize) {
    line.command = line.matched != 0 ? SmtpCommand::kChunk : SmtpCommand::kOther;
  }
  if (line.command == SmtpCommand::kNone) line.command = SmtpCommand::kOther;
}

}  // namespace detail

/// Reads on from `at` to the end of the line, or to `end`. Moves `at` behind what was read. Returns whether the line
/// is complete: then `line.command` is its command, and `line.chunk_bytes` bytes of message follow a BDAT.
inline bool read_command(const uint8_t*& at, const uint8_t* end, CommandLine& line) {
  while (at != end) {
    if (line.place == CommandPlace::kRest) {
      const auto* newline = static_cast<const uint8_t*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
      if (newline == nullptr) {
        at = end;
        return false;
      }
      at = newline;
    }
    const uint8_t c = *at++;
    if (c == '\n') {
      detail::end_line(line);
      return true;
    }
    detail::take_byte(line, c);
  }
  return false;
}

}  // namespace sluice

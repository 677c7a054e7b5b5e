// SPDX-License-Identifier: Apache-2.0
//
// Reads SMTP replies (RFC 5321 section 4.2) from a stream cut anywhere. Takes a lone LF for CRLF, a bare code for a
// code with empty text, and any byte in the text. Everything is judged as it arrives: a server that speaks another
// protocol is found out by its first wrong byte, not at a deadline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::health {

inline constexpr size_t kMaxLineBytes = 4096;    // RFC 5321 section 4.5.3.1.5 says 512; some servers exceed it
inline constexpr size_t kMaxReplyBytes = 16384;  // all lines of one reply
inline constexpr size_t kMaxReplyLines = 128;

/// A whole reply. `text` has its lines as received, codes included, parted by '\n', without CR.
struct Reply {
  uint16_t code = 0;  // the last line's: it is the one that a client acts on
  std::string text;

  unsigned digit() const { return code / 100U; }
};

class ReplyParser {
 public:
  enum class Status : uint8_t {
    kMore,      // the reply is not complete
    kComplete,  // reply() holds it
    kBroken,    // not SMTP, or beyond a bound: fault() says why; nothing more is read
  };

  /// Reads from the front of `bytes` to the end of one reply at most, and takes what it read off `bytes`.
  /// After kComplete the next call begins a new reply.
  Status read(std::string_view& bytes);

  const Reply& reply() const { return reply_; }
  /// What came since the last complete reply, an unfinished line included. At most kMaxReplyBytes.
  const std::string& received() const { return reply_.text; }
  /// Why the status is kBroken: "line longer than 4096 bytes".
  std::string_view fault() const { return fault_; }

 private:
  Status read_byte(char byte);
  Status append(char byte);
  Status end_line();
  Status broken(std::string_view fault, char byte);

  Reply reply_;
  size_t line_begin_ = 0;  // offset in reply_.text of the line being read
  size_t lines_ = 0;
  bool carriage_return_ = false;  // the last byte was a CR that may belong to the line's end
  bool complete_ = false;
  std::string_view fault_;
};

}  // namespace sluice::health

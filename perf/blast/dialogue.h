// SPDX-License-Identifier: Apache-2.0
//
// The SMTP dialogue that clients and backends hold, as texts: greeting, EHLO, MAIL, RCPT, DATA, a body, QUIT (RFC
// 5321).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::blast {

/// Where a client is in its session; from kGreeting to kQuit, what it waits for an answer to.
enum class Stage : uint8_t {
  kIdle = 0,
  kSynSent,
  kGreeting,
  kEhlo,
  kMail,
  kRcpt,
  kData,
  kBody,
  kQuit,
  kFin,
  kHeld,  // greeted, and silent until told to go on
};

/// What a client sends at a stage; the body is apart.
constexpr std::string_view command_at(Stage stage) {
  switch (stage) {
    case Stage::kEhlo:
      return "EHLO client.blast.test\r\n";
    case Stage::kMail:
      return "MAIL FROM:<a@client.blast.test>\r\n";
    case Stage::kRcpt:
      return "RCPT TO:<inbox@blast.test>\r\n";
    case Stage::kData:
      return "DATA\r\n";
    case Stage::kQuit:
      return "QUIT\r\n";
    default:
      return "";
  }
}

/// The first digit of the reply that a stage wants.
constexpr char digit_wanted(Stage stage) {
  return stage == Stage::kData ? '3' : '2';
}

inline constexpr std::string_view kGreetingText = "220 mta.blast.test ESMTP blast\r\n";
inline constexpr std::string_view kEndOfData = "\r\n.\r\n";

/// A backend's reply to a segment's payload: by its first word; empty if it is a part of a body that goes on.
constexpr std::string_view reply_to(std::string_view payload) {
  constexpr std::array<std::array<std::string_view, 2>, 6> kReplies{{
      {"EHLO", "250 mta.blast.test\r\n"},
      {"HELO", "250 mta.blast.test\r\n"},
      {"MAIL", "250 2.1.0 Ok\r\n"},
      {"RCPT", "250 2.1.5 Ok\r\n"},
      {"DATA", "354 End data with <CR><LF>.<CR><LF>\r\n"},
      {"QUIT", "221 2.0.0 Bye\r\n"},
  }};
  for (const auto& [command, reply] : kReplies) {
    if (payload.starts_with(command)) return reply;
  }
  return payload.ends_with(kEndOfData) ? "250 2.0.0 Ok: queued\r\n" : "";
}

/// A message of `bytes` in all, cut into payloads of at most `segment_bytes`. No line but the last can be taken for a
/// command or the end.
inline std::vector<std::string> body_segments(uint32_t bytes, uint32_t segment_bytes) {
  std::string body = "Subject: blast\r\n\r\n";
  while (body.size() + kEndOfData.size() < bytes) {
    const bool room_for_two = body.size() + kEndOfData.size() + 2 <= bytes;
    body += body.size() % 72 == 70 && room_for_two ? "\r\n" : "x";
  }
  body += kEndOfData;
  std::vector<std::string> out;
  for (size_t begin = 0; begin < body.size(); begin += segment_bytes) out.push_back(body.substr(begin, segment_bytes));
  if (out.size() > 1 && out.back().size() < kEndOfData.size()) {
    // The end is recognised in one piece.
    out[out.size() - 2].resize(out[out.size() - 2].size() - (kEndOfData.size() - out.back().size()));
    out.back() = kEndOfData;
  }
  return out;
}

}  // namespace sluice::blast

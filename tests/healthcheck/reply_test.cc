// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/reply.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::health {
namespace {

using Status = ReplyParser::Status;
using namespace std::string_literals;

/// Feeds `bytes` in pieces of `size`, until the parser has had enough.
Status feed(ReplyParser& parser, std::string_view bytes, size_t size) {
  Status status = Status::kMore;
  for (size_t i = 0; i < bytes.size() && status == Status::kMore; i += size) {
    std::string_view piece = bytes.substr(i, size);
    status = parser.read(piece);
  }
  return status;
}

struct ReplyCase {
  const char* name;
  std::string bytes;
  Status status;
  unsigned code;
  std::string text;
};

const std::vector<ReplyCase> kReplyCases{
    {"one line", "220 mx ESMTP\r\n", Status::kComplete, 220, "220 mx ESMTP"},
    {"lone line feed", "220 mx ESMTP\n", Status::kComplete, 220, "220 mx ESMTP"},
    {"bare code", "354\r\n", Status::kComplete, 354, "354"},
    {"code and space", "220 \r\n", Status::kComplete, 220, "220 "},
    {"several lines", "220-a\r\n220-b\n220 c\r\n", Status::kComplete, 220, "220-a\n220-b\n220 c"},
    {"the last line's code counts", "220-hello\r\n554 no\r\n", Status::kComplete, 554, "220-hello\n554 no"},
    {"a CR within the text", "220 a\rb\r\r\n", Status::kComplete, 220, "220 a\rb\r"},
    {"NUL and high bytes in the text", "220 a\0\xff\r\n"s, Status::kComplete, 220, "220 a\0\xff"s},
    {"not ended", "220-a\r\n220 b\r", Status::kMore, 0, "220-a\n220 b"},
    {"nothing", "", Status::kMore, 0, ""},
    {"HTTP", "HTTP/1.1 400 Bad Request\r\n", Status::kBroken, 0, "H"},
    {"SSH", "SSH-2.0-OpenSSH_9.2\r\n", Status::kBroken, 0, "S"},
    {"a TLS alert", "\x15\x03\x03\0\x02\x02\x46"s, Status::kBroken, 0, "\x15"},
    {"a NUL first",
     "\0"
     "220 a\r\n"s,
     Status::kBroken, 0, "\0"s},
    {"an empty line", "\r\n", Status::kBroken, 0, "\n"},
    {"two digits", "22\r\n", Status::kBroken, 0, "22\n"},
    {"a code that is none", "260 a\r\n", Status::kBroken, 0, "26"},
    {"no separator", "220x\r\n", Status::kBroken, 0, "220x"},
    {"a CR in the code", "22\r0 a\r\n", Status::kBroken, 0, "22\r"},
    {"second line is none", "220-a\r\nhello\r\n", Status::kBroken, 0, "220-a\nh"},
};

TEST(ReplyParser, ReadsAReplyCutAnywhere) {
  for (const ReplyCase& c : kReplyCases) {
    for (size_t size = 1; size <= c.bytes.size() + 1; size++) {
      SCOPED_TRACE(std::string(c.name) + ", in pieces of " + std::to_string(size));
      ReplyParser parser;
      ASSERT_EQ(feed(parser, c.bytes, size), c.status);
      EXPECT_EQ(parser.received(), c.text);
      EXPECT_EQ(parser.fault().empty(), c.status != Status::kBroken);
      EXPECT_EQ(parser.reply().code, c.code);
    }
  }
}

TEST(ReplyParser, LeavesTheNextReplyInPlace) {
  ReplyParser parser;
  std::string_view bytes = "220 a\r\n421 b\r\n";
  ASSERT_EQ(parser.read(bytes), Status::kComplete);
  EXPECT_EQ(bytes, "421 b\r\n");
  ASSERT_EQ(parser.read(bytes), Status::kComplete);
  EXPECT_EQ(parser.reply().code, 421);
  EXPECT_EQ(parser.reply().text, "421 b");
  EXPECT_EQ(bytes, "");
}

TEST(ReplyParser, TakesALineUpToItsBoundAndNoMore) {
  const std::string longest = "220 " + std::string(kMaxLineBytes - 4, 'x');
  ReplyParser fits;
  EXPECT_EQ(feed(fits, longest + "\r\n", 1000), Status::kComplete);
  ReplyParser too_long;
  EXPECT_EQ(feed(too_long, longest + "x\r\n", 1000), Status::kBroken);
  EXPECT_EQ(too_long.fault(), "a line longer than 4096 bytes");
}

TEST(ReplyParser, BoundsWhatItKeepsOfAMegabyteLine) {
  for (const char filler : {'x', '\r', '\0'}) {
    SCOPED_TRACE(static_cast<int>(filler));
    ReplyParser parser;
    EXPECT_EQ(feed(parser, "220 " + std::string(1 << 20, filler), 4096), Status::kBroken);
    EXPECT_LE(parser.received().size(), kMaxLineBytes + 1);
  }
}

TEST(ReplyParser, BoundsAnEndlessReply) {
  std::string short_lines;
  for (int i = 0; i < 10000; i++) short_lines += "220-\r\n";
  ReplyParser by_lines;
  EXPECT_EQ(feed(by_lines, short_lines, 512), Status::kBroken);
  EXPECT_EQ(by_lines.fault(), "a reply of more than 128 lines");

  std::string long_lines;
  for (int i = 0; i < 100; i++) long_lines += "220-" + std::string(1000, 'x') + "\r\n";
  ReplyParser by_bytes;
  EXPECT_EQ(feed(by_bytes, long_lines, 512), Status::kBroken);
  EXPECT_EQ(by_bytes.fault(), "a reply longer than 16384 bytes");
  EXPECT_LE(by_bytes.received().size(), kMaxReplyBytes + kMaxReplyLines);
}

}  // namespace
}  // namespace sluice::health

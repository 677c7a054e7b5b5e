// SPDX-License-Identifier: Apache-2.0
//
// The bytes: who is spoken with, how what it says is cut, and what it says.
#include <gtest/gtest.h>

#include <algorithm>

#include "healthcheck/agent_reply.h"
#include "healthcheck/reply.h"
#include "tests/fuzz/inputs.h"
#include "tests/healthcheck/dialogue_stage.h"

namespace sluice::testing {
namespace {

using health::Stage;

/// Pieces of `bytes` bytes each, the last one shorter.
std::vector<std::string_view> cut(std::string_view text, size_t bytes) {
  std::vector<std::string_view> out;
  for (size_t at = 0; at < text.size(); at += bytes) out.push_back(text.substr(at, bytes));
  return out;
}

std::vector<std::string> replies_of(std::string_view text, size_t piece) {
  std::vector<std::string> out;
  health::ReplyParser parser;
  for (std::string_view bytes : cut(text, piece)) {
    while (!bytes.empty()) {
      const auto status = parser.read(bytes);
      if (status == health::ReplyParser::Status::kBroken) {
        out.emplace_back(parser.fault());
        return out;
      }
      if (status == health::ReplyParser::Status::kComplete) out.push_back(parser.reply().text);
    }
  }
  return out;
}

std::string agent_line(std::string_view text, size_t piece) {
  health::AgentLineReader reader;
  for (const std::string_view bytes : cut(text, piece)) {
    const auto status = reader.on_bytes(bytes);
    if (status == health::AgentLineReader::Status::kTooLong) return "too long";
    if (status == health::AgentLineReader::Status::kComplete) break;
  }
  return reader.line();
}

/// Plays a whole probe. What it found, or "none" if it has not come to that.
std::string verdict_of(const config::Check& check, std::string_view text, size_t piece) {
  Stage stage(check);
  if (check.type == config::CheckType::kSmtps) {
    stage.connect();
    stage.end_tls(health::good_tls());
  } else {
    stage.connect();
  }
  EXPECT_EQ(stage.take_sent(), "") << "said before the greeting";
  for (const std::string_view bytes : cut(text, piece)) {
    if (stage.next() == health::Next::kAbort) break;
    if (stage.next() == health::Next::kTls) stage.end_tls(health::good_tls());
    stage.say(bytes);
  }
  if (stage.next() == health::Next::kTls) stage.end_tls(health::good_tls());
  for (int i = 0; i < 4 && stage.next() != health::Next::kAbort; i++) stage.end("the server closed the connection");
  EXPECT_TRUE(stage.dialogue().verdict().has_value());
  return stage.dialogue().verdict() ? std::string(name_of(stage.dialogue().verdict()->fact)) : "none";
}

void play_agent(const std::string& text, size_t piece) {
  const std::string line = agent_line(text, text.size() + 1);
  EXPECT_EQ(agent_line(text, piece), line);
  const auto reply = health::parse_agent_line(line);
  if (!reply) {
    EXPECT_FALSE(reply.error().empty());
    return;
  }
  EXPECT_GE(reply->share.value_or(0), 0.0);
  EXPECT_LE(reply->share.value_or(0), health::kMaxAgentPercent / 100.0);
}

}  // namespace

void play_probe(FuzzInput bytes) {
  if (bytes.size() < 3) return;
  const std::string text = text_of(bytes.subspan(2));
  const size_t piece = 1 + bytes[1] % 16;
  using enum config::CheckType;
  static constexpr config::CheckType kTypes[] = {kBanner, kEhlo, kStarttls, kSmtps};
  const unsigned who = bytes[0] % 5;
  if (who == 4) return play_agent(text, piece);
  EXPECT_EQ(replies_of(text, piece), replies_of(text, text.size()));
  const config::Check check =
      health::requiring(kTypes[who], who == 0 ? std::vector<std::string>{} : std::vector<std::string>{"PIPELINING"});
  const std::string found = verdict_of(check, text, piece);
  // What comes with the reply to STARTTLS is a fault by itself, so there it matters how it was cut.
  if (kTypes[who] != kStarttls) {
    EXPECT_EQ(found, verdict_of(check, text, text.size()));
  }
}

}  // namespace sluice::testing

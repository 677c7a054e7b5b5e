// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/agent_reply.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "healthcheck/verdict.h"

namespace sluice::health {

namespace {

constexpr std::string_view kSeparators = " \t,";
constexpr std::string_view kMaxConnections = "maxconn:";
constexpr uint32_t kMostConnections = 10'000'000;

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::optional<uint32_t> number(std::string_view text, uint32_t most) {
  uint32_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out > most) return std::nullopt;
  return out;
}

/// Takes one word into `reply`: whether it is known. The error: it is, but its number is none.
std::expected<bool, std::string> take_word(const std::string& word, AgentReply& reply) {
  if (word == "up") {
    reply.up = true;
  } else if (word == "down" || word == "fail" || word == "stopped") {
    reply.up = false;
  } else if (word == "ready") {
    reply.mode = AgentMode::kReady;
  } else if (word == "drain") {
    reply.mode = AgentMode::kDrain;
  } else if (word == "maint") {
    reply.mode = AgentMode::kMaint;
  } else if (word.ends_with('%')) {
    const auto percent = number(std::string_view(word).substr(0, word.size() - 1), kMaxAgentPercent);
    if (!percent) return std::unexpected("\"" + sanitised(word, 32) + "\" is no percentage from 0% to 1000%");
    reply.share = *percent / 100.0;
  } else if (word.starts_with(kMaxConnections)) {
    reply.max_connections = number(std::string_view(word).substr(kMaxConnections.size()), kMostConnections);
    if (!reply.max_connections) return std::unexpected("\"" + sanitised(word, 32) + "\" has no number of connections");
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::expected<AgentReply, std::string> parse_agent_line(std::string_view line) {
  AgentReply reply;
  reply.text = sanitised(line, kMaxTextBytes);
  std::string_view words = line.substr(0, line.find('#'));  // what follows is for people
  bool any = false;
  while (true) {
    words.remove_prefix(std::min(words.find_first_not_of(kSeparators), words.size()));
    if (words.empty()) break;
    const size_t end = std::min(words.find_first_of(kSeparators), words.size());
    const auto known = take_word(lower(words.substr(0, end)), reply);
    if (!known) return std::unexpected(known.error());
    any |= *known;
    words.remove_prefix(end);
  }
  if (!any) return std::unexpected("the line has no word that is known: \"" + sanitised(line, 64) + "\"");
  return reply;
}

AgentLineReader::Status AgentLineReader::on_bytes(std::string_view bytes) {
  const size_t end = bytes.find_first_of("\r\n");
  const std::string_view part = bytes.substr(0, end);
  if (line_.size() + part.size() > kMaxAgentLineBytes) return Status::kTooLong;
  line_.append(part);
  return end == std::string_view::npos ? Status::kMore : Status::kComplete;
}

std::expected<void, std::string> AgentLineReader::on_closed() const {
  if (line_.empty()) return std::unexpected("it closed the connection without a word");
  return {};
}

}  // namespace sluice::health

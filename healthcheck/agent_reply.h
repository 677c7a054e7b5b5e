// SPDX-License-Identifier: Apache-2.0
//
// The text protocol of HAProxy's agent-check: a program on the backend accepts a connection, says one line of words
// ("up 75%", "drain", "down # disk full"), and closes. Words are parted by blanks or commas and may come in any case;
// those that we do not know are passed over, as the protocol asks. Sans-I/O: bytes come in, a line or a fault comes
// out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::health {

enum class AgentMode : uint8_t { kReady, kDrain, kMaint };

/// What one line says. What it does not mention stays as it was.
struct AgentReply {
  std::optional<double> share;              // "75%": 0.75 of the configured weight
  std::optional<AgentMode> mode;            // "ready", "drain", "maint"
  std::optional<bool> up;                   // "up"; "down", "fail", "stopped"
  std::optional<uint32_t> max_connections;  // "maxconn:30"; 0 = no limit
  std::string text;                         // the line, sanitised
};

inline constexpr size_t kMaxAgentLineBytes = 512;
inline constexpr uint32_t kMaxAgentPercent = 1000;

/// The error says, for the operator, what is wrong with the line: no word that is known, or a number that is none.
std::expected<AgentReply, std::string> parse_agent_line(std::string_view line);

/// Gathers the line. A line ends with CR, LF or the end of the connection.
class AgentLineReader {
 public:
  enum class Status : uint8_t { kMore, kComplete, kTooLong };

  Status on_bytes(std::string_view bytes);
  /// The server has closed: what has come is the line. The error: nothing has.
  std::expected<void, std::string> on_closed() const;
  /// Without its end.
  const std::string& line() const { return line_; }

 private:
  std::string line_;
};

}  // namespace sluice::health

// SPDX-License-Identifier: Apache-2.0
//
// What a domain says of MTA-STS: a record in the DNS that a policy is there, and the policy (RFC 8461 section 3). Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::control {

enum class StsMode : uint8_t { kEnforce, kTesting, kNone };

/// "enforce", "testing", "none".
std::string_view name_of(StsMode mode);

struct StsPolicy {
  StsMode mode = StsMode::kNone;
  std::vector<std::string> mx;  // patterns, in lower case
  std::chrono::seconds max_age{};

  friend bool operator==(const StsPolicy&, const StsPolicy&) = default;
};

/// TXT records, the strings of each joined.
struct TextAnswer {
  std::vector<std::string> texts;
  std::chrono::seconds ttl{};  // the least of them
};

/// The error says that the message is malformed.
std::expected<TextAnswer, std::string> texts_from(std::span<const uint8_t> message);

/// The id of the policy that is announced. Texts about other things are passed over. The error says why there is none:
/// no text, several, or one that is malformed.
std::expected<std::string, std::string> sts_id(std::span<const std::string> texts);

/// The error says what is wrong, for a terminal. Keys that are not known are passed over, as the RFC demands; of a key
/// that stands twice the first counts.
std::expected<StsPolicy, std::string> parse_policy(std::string_view text);

/// Whether a pattern is about a host: the same name, or "*." in the place of its first label alone (RFC 8461 section
/// 4.1).
bool is_about(std::string_view pattern, std::string_view host);

}  // namespace sluice::control

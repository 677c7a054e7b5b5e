// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/sts_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "controlplane/discovery/dns_message.h"
#include "controlplane/discovery/dns_types.h"
#include "healthcheck/verdict.h"

namespace sluice::control {

namespace {

constexpr std::string_view kVersion = "STSv1";
constexpr size_t kMostIdBytes = 32;
constexpr size_t kMostMx = 256;
constexpr size_t kMostNameBytes = 253;
constexpr uint64_t kMostAge_s = 31557600;  // a year
constexpr std::string_view kBlank = " \t";

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

char lowered(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// Takes what stands before `mark` off the front of `rest`, and the mark.
std::string_view take_until(std::string_view& rest, char mark) {
  const size_t end = std::min(rest.find(mark), rest.size());
  const std::string_view out = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return out;
}

std::string quoted(std::string_view text) {
  constexpr size_t kShown = 80;
  return "\"" + health::sanitised(text, kShown) + "\"";
}

bool is_key(std::string_view text) {
  return !text.empty() && text.size() <= 32 &&
         std::ranges::all_of(text, [](char c) { return is_letter_or_digit(c) || c == '_' || c == '-' || c == '.'; });
}

std::optional<std::string> pattern_from(std::string_view text) {
  std::string_view name = text.starts_with("*.") ? text.substr(2) : text;
  if (name.empty() || name.size() > kMostNameBytes || name.front() == '.' || name.back() == '.') return std::nullopt;
  if (name.find("..") != std::string_view::npos) return std::nullopt;
  if (!std::ranges::all_of(name, [](char c) { return is_letter_or_digit(c) || c == '-' || c == '.'; }))
    return std::nullopt;
  std::string out(text);
  std::ranges::transform(out, out.begin(), lowered);
  return out;
}

using Fault = std::unexpected<std::string>;

std::expected<StsMode, std::string> mode_from(std::string_view text) {
  for (const StsMode mode : {StsMode::kEnforce, StsMode::kTesting, StsMode::kNone})
    if (text == name_of(mode)) return mode;
  return Fault(fmt::format("mode: {} is none; allowed: enforce, testing, none", quoted(text)));
}

std::expected<std::chrono::seconds, std::string> age_from(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > kMostAge_s)
    return Fault(fmt::format("max_age: {} is none; allowed: 0 to {} seconds", quoted(text), kMostAge_s));
  return std::chrono::seconds(value);
}

/// The lines of a policy, taken apart.
struct Lines {
  std::map<std::string, std::string_view, std::less<>> first;  // by key, of all but mx
  std::vector<std::string> mx;
};

std::expected<Lines, std::string> lines_of(std::string_view text) {
  Lines out;
  for (size_t number = 1; !text.empty(); number++) {
    std::string_view line = take_until(text, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trimmed(line).empty()) continue;
    if (line.find(':') == std::string_view::npos)
      return Fault(fmt::format("line {}: {} is no \"key: value\"", number, quoted(line)));
    const std::string_view key = trimmed(take_until(line, ':'));
    const std::string_view value = trimmed(line);
    if (!is_key(key)) return Fault(fmt::format("line {}: {} is no key", number, quoted(key)));
    if (key != "mx") {
      out.first.try_emplace(std::string(key), value);
      continue;
    }
    auto pattern = pattern_from(value);
    if (!pattern)
      return Fault(fmt::format("line {}: mx: {} is no host name, nor one behind \"*.\"", number, quoted(value)));
    if (out.mx.size() == kMostMx) return Fault(fmt::format("has more than {} mx lines", kMostMx));
    out.mx.push_back(std::move(*pattern));
  }
  return out;
}

}  // namespace

std::string_view name_of(StsMode mode) {
  return mode == StsMode::kEnforce ? "enforce" : mode == StsMode::kTesting ? "testing" : "none";
}

std::expected<TextAnswer, std::string> texts_from(std::span<const uint8_t> message) {
  TextAnswer out;
  const auto read = for_each_record(message, ns_s_an, kTypeTxt, [&](const ns_msg&, const ns_rr& record) {
    out.ttl = out.texts.empty() ? ttl_of(record) : std::min(out.ttl, ttl_of(record));
    std::string& text = out.texts.emplace_back();
    std::span<const uint8_t> rest(ns_rr_rdata(record), ns_rr_rdlen(record));
    while (!rest.empty()) {
      const size_t size = rest.front();
      if (size >= rest.size()) return false;
      text.append(rest.begin() + 1, rest.begin() + 1 + static_cast<ptrdiff_t>(size));
      rest = rest.subspan(size + 1);
    }
    return true;
  });
  if (!read) return Fault(read.error());
  return out;
}

std::expected<std::string, std::string> sts_id(std::span<const std::string> texts) {
  const auto speaks_of_it = [](const std::string& text) { return text.starts_with("v=STSv1;"); };
  const auto count = std::ranges::count_if(texts, speaks_of_it);
  if (count == 0) return Fault("there is no record of MTA-STS");
  if (count > 1) return Fault("there are several records of MTA-STS, which count as none");
  std::string_view rest = *std::ranges::find_if(texts, speaks_of_it);
  while (!rest.empty()) {
    std::string_view field = trimmed(take_until(rest, ';'));
    const std::string_view key = trimmed(take_until(field, '='));
    const std::string_view value = trimmed(field);
    if (key != "id") continue;
    if (value.empty() || value.size() > kMostIdBytes || !std::ranges::all_of(value, is_letter_or_digit))
      return Fault(fmt::format("the id {} is none; allowed: 1 to {} letters and digits", quoted(value), kMostIdBytes));
    return std::string(value);
  }
  return Fault("the record of MTA-STS has no id");
}

std::expected<StsPolicy, std::string> parse_policy(std::string_view text) {
  auto lines = lines_of(text);
  if (!lines) return Fault(lines.error());
  for (const std::string_view key : {"version", "mode", "max_age"})
    if (!lines->first.contains(key)) return Fault(fmt::format("has no \"{}\"", key));
  if (lines->first.find("version")->second != kVersion)
    return Fault(
        fmt::format("version: {} is not known; allowed: {}", quoted(lines->first.find("version")->second), kVersion));
  const auto mode = mode_from(lines->first.find("mode")->second);
  if (!mode) return Fault(mode.error());
  const auto max_age = age_from(lines->first.find("max_age")->second);
  if (!max_age) return Fault(max_age.error());
  if (lines->mx.empty() && *mode != StsMode::kNone) return Fault("has no \"mx\"");
  return StsPolicy{.mode = *mode, .mx = std::move(lines->mx), .max_age = *max_age};
}

bool is_about(std::string_view pattern, std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  if (pattern.starts_with("*.")) {
    const size_t dot = host.find('.');
    if (dot == 0 || dot == std::string_view::npos) return false;
    pattern.remove_prefix(2);
    host.remove_prefix(dot + 1);
  }
  return std::ranges::equal(pattern, host, {}, lowered, lowered);
}

}  // namespace sluice::control

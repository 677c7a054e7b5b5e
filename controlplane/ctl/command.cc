// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/command.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

namespace sluice::ctl {

namespace {

/// The number that `text` begins with; what follows it goes to `rest`.
std::optional<uint64_t> leading_number(std::string_view text, std::string_view& rest) {
  uint64_t out = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  if (parsed.ec != std::errc()) return std::nullopt;
  rest = text.substr(static_cast<size_t>(parsed.ptr - text.data()));
  return out;
}

/// Seconds in a unit of time; nothing for an unknown one.
std::optional<uint64_t> seconds_in(std::string_view unit) {
  if (unit.empty() || unit == "s") return 1;
  if (unit == "m") return 60;
  if (unit == "h") return 3600;
  if (unit == "d") return 86400;
  return std::nullopt;
}

}  // namespace

std::expected<Client, Failure> Invocation::client() const {
  auto socket = socket_();
  if (!socket) return std::unexpected(std::move(socket.error()));
  return Client(std::move(*socket));
}

std::string Invocation::text(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() || found->second.empty() ? "" : found->second.front();
}

std::vector<std::string> Invocation::texts(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::expected<uint64_t, Failure> Invocation::number(const std::string& name, uint64_t otherwise, uint64_t least,
                                                    uint64_t most) const {
  if (!has(name)) return otherwise;
  std::string_view rest;
  const std::string given = text(name);
  const auto out = leading_number(given, rest);
  if (out && rest.empty() && *out >= least && *out <= most) return *out;
  return std::unexpected(
      Failure{Exit::kUsage, fmt::format("{}: allowed: a whole number from {} to {}", name, least, most)});
}

std::expected<uint64_t, Failure> Invocation::seconds(const std::string& name, uint64_t otherwise, uint64_t most) const {
  if (!has(name)) return otherwise;
  std::string_view unit;
  const std::string given = text(name);
  const auto out = leading_number(given, unit);
  const auto factor = seconds_in(unit);
  if (out && factor && *out <= most / *factor) return *out * *factor;
  return std::unexpected(
      Failure{Exit::kUsage, fmt::format("{}: allowed: a time such as 90s, 10m, 2h or 1d, at most {}s", name, most)});
}

Outcome show(const Invocation& invocation, const std::string& path,
             const std::function<std::string(const nlohmann::json&)>& view) {
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const auto answer = client->get(path);
  if (!answer) return std::unexpected(answer.error());
  return show_answer(invocation, *answer, view);
}

Outcome show_answer(const Invocation& invocation, const nlohmann::json& answer,
                    const std::function<std::string(const nlohmann::json&)>& view) {
  try {
    invocation.out() << (invocation.json ? answer.dump(2) + "\n" : view(answer));
    return {};
  } catch (const nlohmann::json::exception&) {
    return std::unexpected(Failure{
        Exit::kFailed, "control's answer has another form than this sluicectl knows; use the one of its version"});
  }
}

}  // namespace sluice::ctl

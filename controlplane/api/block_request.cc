// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/block_request.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sluice::control {

using nlohmann::json;

std::expected<BlockRequest, std::string> block_request_from(const std::string& text) {
  const json body = json::parse(text, nullptr, false);
  if (!body.is_object()) return std::unexpected("the body is no JSON object");
  for (const auto& [name, value] : body.items()) {
    if (name != "action" && name != "prefix" && name != "for_s" && name != "fleet") {
      return std::unexpected("unknown member \"" + name + "\"");
    }
  }
  const auto word = [&](const char* name) {
    return body.contains(name) && body[name].is_string() ? body[name].get<std::string>() : std::string();
  };
  BlockRequest out;
  const std::string action = word("action");
  if (action != "block" && action != "unblock") return std::unexpected("\"action\": allowed: \"block\", \"unblock\"");
  out.blocks = action == "block";
  const auto prefix = config::IpPrefix::parse(word("prefix"));
  if (!prefix)
    return std::unexpected(fmt::format("\"prefix\": \"{}\" {}; {}", word("prefix"), prefix.error(), kPrefixAllowed));
  out.prefix = *prefix;
  if (body.contains("fleet") && !body["fleet"].is_boolean()) return std::unexpected("\"fleet\": allowed: true, false");
  out.fleet = body.contains("fleet") && body["fleet"].get<bool>();
  if (!body.contains("for_s") || body["for_s"].is_null()) return out;
  const json& duration = body["for_s"];
  const bool fits =
      duration.is_number_integer() && (!duration.is_number_unsigned() || duration.get<uint64_t>() <= INT64_MAX);
  if (!out.blocks || !fits || duration.get<int64_t>() < 1 || duration.get<int64_t>() > BlockRequest::kLongestS) {
    return std::unexpected(
        fmt::format("\"for_s\": allowed: a whole number from 1 to {}, with \"block\"", BlockRequest::kLongestS));
  }
  out.duration = std::chrono::seconds(duration.get<int64_t>());
  return out;
}

}  // namespace sluice::control

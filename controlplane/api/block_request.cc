// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/block_request.h"

#include <fmt/format.h>

#include "controlplane/api/request_body.h"

namespace sluice::control {

std::expected<BlockRequest, std::string> block_request_from(const std::string& text) {
  const auto body = RequestBody::parse(text, {"action", "prefix", "for_s", "fleet"});
  if (!body) return std::unexpected(body.error());
  BlockRequest out;
  const auto action = body->text("action");
  if (!action || (*action != "block" && *action != "unblock"))
    return std::unexpected("\"action\": allowed: \"block\", \"unblock\"");
  out.blocks = *action == "block";
  const std::string prefix_text = body->text("prefix").value_or("");
  const auto prefix = config::IpPrefix::parse(prefix_text);
  if (!prefix)
    return std::unexpected(fmt::format("\"prefix\": \"{}\" {}; {}", prefix_text, prefix.error(), kPrefixAllowed));
  out.prefix = *prefix;
  const auto fleet = body->flag("fleet");
  if (!fleet) return std::unexpected(fleet.error());
  out.fleet = *fleet;
  const auto duration = body->number("for_s", 1, BlockRequest::kLongestS);
  if (!duration) return std::unexpected(duration.error());
  if (!*duration) return out;
  if (!out.blocks) return std::unexpected("\"for_s\": allowed: with \"block\" alone");
  out.duration = std::chrono::seconds(**duration);
  return out;
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/fleet_request.h"

#include "controlplane/api/request_body.h"

namespace sluice::control {

std::expected<void, std::string> fleet_request_from(const std::string& text) {
  const auto body = RequestBody::parse(text, {"action"});
  if (!body || body->text("action") != "accept") return std::unexpected(R"(allowed: {"action": "accept"})");
  return {};
}

}  // namespace sluice::control

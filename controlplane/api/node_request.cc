// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/node_request.h"

#include "controlplane/api/request_body.h"

namespace sluice::control {

std::expected<NodeRequest, std::string> node_request_from(const std::string& text) {
  const auto body = RequestBody::parse(text, {"action", "deadline_s"});
  if (!body) return std::unexpected(body.error());
  const auto action = body->text("action");
  if (!action || (*action != "drain" && *action != "undrain"))
    return std::unexpected("\"action\": allowed: \"drain\", \"undrain\"");
  const auto deadline = body->number("deadline_s", 0, NodeRequest::kLongestDeadlineS);
  if (!deadline) return std::unexpected(deadline.error());
  NodeRequest out{.drains = *action == "drain", .deadline = {}};
  if (!*deadline) return out;
  if (!out.drains) return std::unexpected("\"deadline_s\": allowed: with \"drain\" alone");
  out.deadline = std::chrono::seconds(**deadline);
  return out;
}

}  // namespace sluice::control

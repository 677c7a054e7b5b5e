// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/discovered_request.h"

#include "controlplane/api/request_body.h"

namespace sluice::control {

namespace {

std::expected<DiscoveredRequest::Action, std::string> action_of(const RequestBody& body) {
  const auto action = body.text("action");
  if (action && *action == "add") return DiscoveredRequest::Action::kAdd;
  if (action && *action == "remove") return DiscoveredRequest::Action::kRemove;
  if (action && *action == "accept") return DiscoveredRequest::Action::kAccept;
  return std::unexpected("\"action\": allowed: \"add\", \"remove\", \"accept\"");
}

}  // namespace

std::expected<DiscoveredRequest, std::string> discovered_request_from(const std::string& text) {
  const auto body = RequestBody::parse(text, {"action", "pool", "name", "backend"});
  if (!body) return std::unexpected(body.error());
  const auto pool = body->text("pool");
  if (!pool || pool->empty()) return std::unexpected("\"pool\": allowed: the name of a pool");
  const auto action = action_of(*body);
  if (!action) return std::unexpected(action.error());
  const auto name = body->text("name");
  if (!name) return std::unexpected(name.error());
  const auto backend = body->object("backend");
  if (!backend || (*action == DiscoveredRequest::Action::kAdd && backend->empty()))
    return std::unexpected("\"backend\": allowed: an object as in `backends` of a document of discovered ones");
  return DiscoveredRequest{.action = *action, .pool = *pool, .name = *name, .backend = *backend};
}

}  // namespace sluice::control

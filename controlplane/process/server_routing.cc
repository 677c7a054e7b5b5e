// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/server_routing.h"

#include <fmt/format.h>

#include <utility>

namespace sluice::control {

namespace {

std::string in_words(const RoutingFacts& facts) {
  const auto who = [](std::string_view family, const std::string& why_not) {
    return why_not.empty() ? fmt::format("{} by the workers", family)
                           : fmt::format("{} by the kernel, as {}", family, why_not);
  };
  if (facts.why_not_v4 == facts.why_not_v6) return who("IPv4 and IPv6", facts.why_not_v4);
  return who("IPv4", facts.why_not_v4) + "; " + who("IPv6", facts.why_not_v6);
}

}  // namespace

ServerRouting::ServerRouting(boost::asio::io_context& io, const Model& model, Journal& journal,
                             std::function<void()> changed)
    : model_(model),
      journal_(journal),
      changed_(std::move(changed)),
      watch_(io, [this](const RoutingFacts& facts) { on_changed(facts); }) {}

void ServerRouting::follow(config::ServerRouting rule) {
  RouteWays ways;
  for (const BoundPort& port : model_.ports())
    if (port.index) ways.emplace(port.twin, RouteWay{*port.index, port.vlan});
  watch_.follow(rule, std::move(ways));
}

void ServerRouting::on_changed(const RoutingFacts& facts) {
  std::string text = in_words(facts);
  if (text != told_)
    journal_.record(Severity::kInfo, "dataplane", "server_routing", "mail servers' own traffic is routed: " + text);
  told_ = std::move(text);
  if (std::exchange(published_, facts.routes.table) != facts.routes.table) changed_();
}

}  // namespace sluice::control

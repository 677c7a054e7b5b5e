// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/limits.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/choices.h"
#include "controlplane/model/model.h"

namespace sluice::control {

namespace {

constexpr uint8_t kV4Start = 96;  // bits before an IPv4 address

channel::LimitAction action_of(config::LimitAction action) {
  switch (action) {
    case config::LimitAction::kDrop:
      return channel::LimitAction::kDrop;
    case config::LimitAction::kReset:
      return channel::LimitAction::kReset;
    case config::LimitAction::kTarpit:
      return channel::LimitAction::kTarpit;
    case config::LimitAction::k421:
      break;
  }
  return channel::LimitAction::k421;
}

}  // namespace

uint8_t source_bits(const config::Limit& limit, bool v4) {
  if (limit.of == config::LimitOf::kAddress) return 128;
  return v4 ? static_cast<uint8_t>(kV4Start + limit.prefix_v4) : limit.prefix_v6;
}

bool holds_for(const config::Limit& limit, const std::string& service) {
  return limit.services.empty() || std::ranges::find(limit.services, service) != limit.services.end();
}

std::string in_words(const config::Limit& limit) {
  std::string out;
  if (limit.connections != 0) out = fmt::format("{} connections", limit.connections);
  if (limit.per_second != 0) {
    out += fmt::format("{}{} a second ({} at once)", out.empty() ? "" : ", ", limit.per_second, limit.burst);
  }
  out += limit.of == config::LimitOf::kAddress ? " of each address"
                                               : fmt::format(" of each /{} or /{}", limit.prefix_v4, limit.prefix_v6);
  if (!limit.services.empty()) out += fmt::format(" to {}", fmt::join(limit.services, ", "));
  return out + fmt::format(": {}", config::name_of(limit.action));
}

DesiredLimits limits_of(const config::Config& config) {
  DesiredLimits out;
  const auto key_of = [](const config::Service& service) {
    return service_key({to_wire(service.vip), Be16::of(service.port)});
  };
  for (const config::Limit& limit : config.sources.limits) {
    DesiredLimit desired;
    desired.rule.v4_bits = static_cast<uint8_t>(source_bits(limit, true) - kV4Start);
    desired.rule.v6_bits = source_bits(limit, false);
    desired.rule.action = action_of(limit.action);
    desired.rule.connections = limit.connections;
    desired.rule.per_second = limit.per_second;
    desired.rule.burst = std::max(1U, limit.burst);
    for (const config::Service& service : config.services) {
      if (holds_for(limit, service.name)) desired.services.push_back(key_of(service));
    }
    out.rules.push_back(std::move(desired));
  }
  for (const config::Service& service : config.services) {
    if (config.clients_speak_first(service)) out.clients_first.push_back(key_of(service));
  }
  return out;
}

}  // namespace sluice::control

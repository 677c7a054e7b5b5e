// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/source_rules.h"

#include <algorithm>
#include <iterator>
#include <span>

namespace sluice {

using channel::RejectReason;

SourceRules::Refused SourceRules::put_sources(const ChannelArena& arena, const channel::PutSources& message) noexcept {
  const uint16_t id = message.header.id;
  if (id >= channel::kSourceLists) return RejectReason::kIdOutOfRange;
  const auto list = arena.list(message.offset, message.v4_borders, message.v6_borders);
  if (!list) return list.error();
  sources_[id] = *list;
  sources_named_[id] = true;
  return std::nullopt;
}

SourceRules::Refused SourceRules::put_limits(const ChannelArena& arena, const channel::PutLimits& message) noexcept {
  if (message.rules > channel::kMaxLimits || (message.rules != 0 && message.layout == 0)) {
    return RejectReason::kBadLimits;
  }
  if (message.rules == 0) {
    drop_limits();
  } else {
    auto rules = arena.copy<channel::LimitRules>(message.offset);
    if (!rules) return rules.error();
    for (const channel::LimitRule& rule : std::span(rules->rule).first(message.rules)) {
      if (rule.action > channel::LimitAction::kTarpit) return RejectReason::kBadEnum;
      if (rule.v4_bits > 32 || rule.v6_bits > 128) return RejectReason::kBadLimits;
    }
    for (uint8_t& of : rules->rules_of) of &= static_cast<uint8_t>((1U << message.rules) - 1);
    std::fill(rules->rule + message.rules, std::end(rules->rule), channel::LimitRule{});
    limits_ = *rules;
    limits_layout_ = channel::limit_layout(arena.epoch(), message.layout);
  }
  limits_named_ = true;
  return std::nullopt;
}

void SourceRules::drop_limits() noexcept {
  limits_ = {};
  limits_layout_ = 0;
}

SourceRules::Refused SourceRules::put_route(const ChannelArena& arena, const channel::PutRoute& message) noexcept {
  const uint16_t id = message.header.id;
  if (id >= channel::kMaxRoutes) return RejectReason::kIdOutOfRange;
  if (message.service == channel::kNoService) return drop_route(id), std::nullopt;
  if (message.service >= channel::kMaxServices) return RejectReason::kIdOutOfRange;
  const auto table = arena.table(message.table_offset, message.table_entries, message.table_generation);
  if (!table) return table.error();
  const auto sources = arena.list(message.sources_offset, message.v4_borders, message.v6_borders);
  if (!sources) return sources.error();
  routes_ += route_[id].service == channel::kNoService ? 1 : 0;
  route_[id] = {message.service, *sources, *table};
  route_named_[id] = true;
  return std::nullopt;
}

void SourceRules::drop_route(uint16_t id) noexcept {
  routes_ -= route_[id].service == channel::kNoService ? 0 : 1;
  route_[id] = {};
}

[[gnu::noinline]] uint16_t SourceRules::find_route(channel::ServiceId service, const Address& client) const noexcept {
  for (uint16_t id = 0; id < channel::kMaxRoutes; id++) {
    if (route_[id].service == service && route_[id].sources.list.contains(client)) return id;
  }
  return channel::kMaxRoutes;
}

void SourceRules::begin_snapshot() noexcept {
  sources_named_.fill(false);
  route_named_.fill(false);
  limits_named_ = false;
}

void SourceRules::end_snapshot() noexcept {
  for (uint32_t id = 0; id < channel::kSourceLists; id++) {
    if (!sources_named_[id]) sources_[id] = {};
  }
  for (uint16_t id = 0; id < channel::kMaxRoutes; id++) {
    if (!route_named_[id]) drop_route(id);
  }
  if (!limits_named_) drop_limits();
}

void SourceRules::forget_before(uint64_t epoch) noexcept {
  for (ListedSources& sources : sources_) {
    if (sources.list.base != nullptr && sources.epoch < epoch) sources = {};
  }
  for (uint16_t id = 0; id < channel::kMaxRoutes; id++) {
    const Route& route = route_[id];
    const bool has_sources = route.sources.list.base != nullptr;
    if (has_sources && route.sources.epoch < epoch) drop_route(id);
  }
}

uint64_t SourceRules::oldest_epoch(uint64_t epoch) const noexcept {
  for (const ListedSources& sources : sources_) {
    if (sources.list.base != nullptr) epoch = std::min(epoch, sources.epoch);
  }
  for (const Route& route : route_) {
    if (route.sources.list.base != nullptr) epoch = std::min(epoch, route.sources.epoch);
  }
  return epoch;
}

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// What is published of sources: lists of them, limits, and the tables that some have of their own; and where the mail
// servers' own traffic goes.
#include <algorithm>
#include <cstring>

#include "controlplane/channel/publisher.h"

namespace sluice::control {

using channel::Command;
using channel::CommandType;

namespace {

/// Whether what was counted by the rules of one is what the other counts.
bool counts_alike(const channel::LimitRules& one, const channel::LimitRules& other) {
  const auto same = [](const channel::LimitRule& a, const channel::LimitRule& b) {
    return a.v4_bits == b.v4_bits && a.v6_bits == b.v6_bits;
  };
  return std::ranges::equal(one.rule, other.rule, same) && std::ranges::equal(one.rules_of, other.rules_of);
}

}  // namespace

std::optional<ArenaSlot> Publisher::place_image(std::span<const std::byte> image, std::string_view what) {
  if (image.empty()) return std::nullopt;
  const auto slot = allocator_.allocate(image.size());
  if (slot) {
    std::ranges::copy(image, arena_.begin() + static_cast<ptrdiff_t>(size_t{slot->offset} * channel::kArenaUnit));
  } else if (allocator_.lent() == 0) {
    fault_ = "the channel's memory has no room for " + std::string(what);
  }
  return slot;
}

std::optional<ArenaSlot> Publisher::place_list(const SourceList* list) {
  return place_image(list == nullptr ? std::span<const std::byte>() : list->image(), "a list of sources");
}

void Publisher::put_sources(channel::SourceListId id, const std::shared_ptr<const SourceList>& list,
                            std::vector<Command>& out) {
  PublishedList& published = lists_[id];
  if (list == published.list) return;
  channel::PutSources message{};
  const std::optional<ArenaSlot> slot = place_list(list.get());
  if (!slot && list != nullptr && !list->image().empty()) {  // the list of before stays meanwhile
    waiting_ = true;
    return;
  }
  if (slot) {
    message.offset = slot->offset;
    message.v4_borders = list->layout().v4.keys;
    message.v6_borders = list->layout().v6.keys;
  }
  message.header = header(CommandType::kPutSources, id);
  out.emplace_back(message);
  if (published.slot) allocator_.release(*published.slot, sequence_);
  published = {list, slot};
}

channel::LimitRules Publisher::limit_rules() const {
  channel::LimitRules out{};
  const auto& rules = desired_.limits.rules;
  for (size_t i = 0; i < rules.size(); i++) {
    out.rule[i] = rules[i].rule;
    for (const uint64_t key : rules[i].services) {
      const channel::ServiceId id = service_id(key);
      if (id != channel::kNoService) out.rules_of[id] |= static_cast<uint8_t>(1U << i);
    }
  }
  for (const uint64_t key : desired_.limits.clients_first) {
    const channel::ServiceId id = service_id(key);
    if (id != channel::kNoService) out.clients_first[id] = 1;
  }
  return out;
}

void Publisher::put_limits(std::vector<Command>& out) {
  const size_t count = desired_.limits.rules.size();
  if (count == 0 && limits_ == 0) return;
  const channel::LimitRules rules = limit_rules();
  if (count == limits_ && std::memcmp(&rules, &limit_rules_, sizeof rules) == 0) return;
  channel::PutLimits message{};
  std::optional<ArenaSlot> slot;
  if (count != 0) {
    slot = allocator_.allocate(sizeof rules);
    if (!slot) {  // those of before stay meanwhile
      if (allocator_.lent() == 0) fault_ = "the channel's memory has no room for the limits on sources";
      waiting_ = true;
      return;
    }
    std::memcpy(arena_.data() + size_t{slot->offset} * channel::kArenaUnit, &rules, sizeof rules);
    if (count != limits_ || !counts_alike(rules, limit_rules_)) limits_layout_++;
    message.offset = slot->offset;
    message.rules = static_cast<uint32_t>(count);
    message.layout = limits_layout_;
  }
  message.header = header(CommandType::kPutLimits);
  out.emplace_back(message);
  if (limits_slot_) allocator_.release(*limits_slot_, sequence_);
  limits_slot_ = slot;
  limit_rules_ = rules;
  limits_ = count;
}

void Publisher::put_routes(std::vector<Command>& out) {
  for (uint16_t place = 0; place < channel::kMaxRoutes; place++) {
    const DesiredRoute none;
    const DesiredRoute& wanted = place < desired_.routes.size() ? desired_.routes[place] : none;
    if (wanted != routes_[place].route && !put_route(place, wanted, out)) waiting_ = true;
  }
}

bool Publisher::put_route(uint16_t place, const DesiredRoute& route, std::vector<Command>& out) {
  PublishedRoute& published = routes_[place];
  PublishedRoute next;
  channel::PutRoute message{};
  message.service = route.service == 0 ? channel::kNoService : service_id(route.service);
  if (message.service != channel::kNoService) {
    next.sources = place_list(route.sources.get());
    if (!next.sources) return false;
    message.sources_offset = next.sources->offset;
    message.v4_borders = route.sources->layout().v4.keys;
    message.v6_borders = route.sources->layout().v6.keys;
    next.route = route;
    next.route.table = publishable(route.table);
    const TableSlot* slot = place_table(next.route.table);
    if (slot == nullptr && !route.table->entries.empty()) {
      allocator_.release(*next.sources, sequence_);
      return false;
    }
    if (slot != nullptr) {
      message.table_generation = slot->generation;
      message.table_offset = slot->slot.offset;
      message.table_entries = static_cast<uint32_t>(route.table->entries.size());
    }
  }
  message.header = header(CommandType::kPutRoute, place);
  out.emplace_back(message);
  if (published.sources) allocator_.release(*published.sources, sequence_);
  if (published.route.table != nullptr) let_go(published.route.table.get());
  published = std::move(next);
  return true;
}

void Publisher::put_server_routes(std::vector<Command>& out) {
  const std::shared_ptr<const ServerRouteTable>& table = desired_.server_routes;
  if (table == server_routes_.table) return;
  const auto image = table == nullptr ? std::span<const std::byte>() : table->image();
  const std::optional<ArenaSlot> slot = place_image(image, "the routes of mail servers' own traffic");
  channel::PutServerRoutes message{};
  if (slot) {
    message.offset = slot->offset;
    message.v4_borders = table->layout().borders.v4.keys;
    message.v6_borders = table->layout().borders.v6.keys;
    message.hops = table->layout().hops;
  } else if (!image.empty()) {  // the kernel routes meanwhile: the table of before may be wrong
    waiting_ |= allocator_.lent() != 0;
    if (!server_routes_.slot) return;
    waiting_ = true;  // for the room of that one
    fault_.clear();
  }
  message.header = header(CommandType::kPutServerRoutes);
  out.emplace_back(message);
  if (server_routes_.slot) allocator_.release(*server_routes_.slot, sequence_);
  server_routes_ = {slot || image.empty() ? table : nullptr, slot};
}

}  // namespace sluice::control

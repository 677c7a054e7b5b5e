// SPDX-License-Identifier: Apache-2.0
//
// What control would tell the workers.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

void WorkerBench::command(const channel::Command& command) {
  channel::Command numbered = command;
  numbered.header.sequence = ++sequence_;
  for (uint32_t worker = 0; worker < workers(); worker++) {
    ASSERT_TRUE(
        channel::put_all(channel::command_ring(segment_, worker), std::span<const channel::Command>(&numbered, 1)));
  }
}

void WorkerBench::command(channel::CommandType type, uint16_t id) {
  command(channel::Command(channel::CommandHeader{type, 0, id, 0}));
}

channel::PutBackend WorkerBench::backend_message(uint16_t id, const Endpoint& endpoint) {
  channel::PutBackend message{};
  message.header = {channel::CommandType::kPutBackend, 0, id, 0};
  message.key = 1000U + id;
  message.address = endpoint.address;
  message.port = endpoint.port;
  message.generation = 1;
  message.next_hop = backend_mac(id);
  message.port_index = kBack;
  message.flags = channel::kBackendReachable;
  message.weight = 100;
  message.sole_service = channel::kNoService;
  return message;
}

void WorkerBench::put_backend(uint16_t id, const Endpoint& endpoint, uint8_t flags, uint16_t generation,
                              uint16_t vlan) {
  channel::PutBackend message = backend_message(id, endpoint);
  message.generation = generation;
  message.vlan = vlan;
  message.flags = flags;
  command(channel::Command(message));
}

void WorkerBench::put_backend(uint16_t id, const Endpoint& endpoint, uint16_t weight, uint32_t max_connections) {
  channel::PutBackend message = backend_message(id, endpoint);
  message.weight = weight;
  message.max_connections = max_connections;
  command(channel::Command(message));
}

void WorkerBench::put_refusal(uint16_t id, const std::string& text) {
  channel::PutRefusal message{};
  message.header = {channel::CommandType::kPutRefusal, 0, id, 0};
  message.bytes = static_cast<uint8_t>(text.size());
  text.copy(message.text, channel::PutRefusal::kMaxBytes);
  command(channel::Command(message));
}

void WorkerBench::put_sole_backend(uint16_t id, const Endpoint& endpoint, uint16_t service) {
  channel::PutBackend message = backend_message(id, endpoint);
  message.sole_service = service;
  command(channel::Command(message));
}

void WorkerBench::put_service(uint16_t id, const Endpoint& vip, const std::vector<uint16_t>& table,
                              channel::OnBackendDown on_backend_down) {
  channel::PutService message{};
  message.on_backend_down = on_backend_down;
  put_service(id, vip, table, message);
}

void WorkerBench::put_service(uint16_t id, const Endpoint& vip, const std::vector<uint16_t>& table,
                              channel::PutService message) {
  message.header = {channel::CommandType::kPutService, 0, id, 0};
  message.key = 1U + id;
  message.vip = vip.address;
  message.port = vip.port;
  message.table_generation = 1;
  message.table_offset = write_table(table);
  message.table_entries = static_cast<uint32_t>(table.size());
  command(channel::Command(message));
}

void WorkerBench::put_list(uint16_t id, const std::vector<uint32_t>& v4_borders,
                           const std::vector<uint64_t>& v6_borders) {
  channel::PutSources message{};
  message.header = {channel::CommandType::kPutSources, 0, id, 0};
  message.v4_borders = static_cast<uint32_t>(v4_borders.size());
  message.v6_borders = static_cast<uint32_t>(v6_borders.size());
  message.offset = write_list(v4_borders, v6_borders);
  command(channel::Command(message));
}

uint32_t WorkerBench::write_list(const std::vector<uint32_t>& v4_borders, const std::vector<uint64_t>& v6_borders) {
  const auto layout =
      channel::SourceListLayout::of(static_cast<uint32_t>(v4_borders.size()), static_cast<uint32_t>(v6_borders.size()));
  std::byte* const base = segment_ + attachment_.arena_offset + size_t{arena_used_} * channel::kArenaUnit;
  const auto v6_at = [&](uint32_t i) {
    Address out;
    const uint64_t high = __builtin_bswap64(v6_borders[i]);
    std::memcpy(out.bytes.data(), &high, sizeof high);
    return out;
  };
  layout.write([&](uint32_t i) { return Address::v4(Be32::of(v4_borders[i])); }, v6_at, base);
  return std::exchange(arena_used_, arena_used_ + static_cast<uint32_t>(layout.bytes() / channel::kArenaUnit + 1));
}

uint32_t WorkerBench::write_table(const std::vector<uint16_t>& table) {
  std::byte* const base = segment_ + attachment_.arena_offset + size_t{arena_used_} * channel::kArenaUnit;
  if (!table.empty()) std::memcpy(base, table.data(), table.size() * sizeof(uint16_t));
  return std::exchange(arena_used_,
                       arena_used_ + static_cast<uint32_t>(table.size() * sizeof(uint16_t) / channel::kArenaUnit + 1));
}

void WorkerBench::put_route(uint16_t place, uint16_t service, const std::vector<uint32_t>& v4_borders,
                            const std::vector<uint16_t>& table) {
  channel::PutRoute message{};
  message.header = {channel::CommandType::kPutRoute, 0, place, 0};
  message.service = service;
  message.table_generation = 1;
  message.table_offset = write_table(table);
  message.table_entries = static_cast<uint32_t>(table.size());
  message.sources_offset = write_list(v4_borders, {});
  message.v4_borders = static_cast<uint32_t>(v4_borders.size());
  command(channel::Command(message));
}

void WorkerBench::put_server_routes(const std::vector<channel::RouteBorder>& v4,
                                    const std::vector<channel::RouteBorder>& v6,
                                    const std::vector<channel::RouteHop>& hops) {
  channel::PutServerRoutes message{};
  message.header = {channel::CommandType::kPutServerRoutes, 0, 0, 0};
  message.offset = arena_used_;
  message.v4_borders = static_cast<uint32_t>(v4.size());
  message.v6_borders = static_cast<uint32_t>(v6.size());
  message.hops = static_cast<uint32_t>(hops.size());
  const auto layout = channel::ServerRoutesLayout::of(message.v4_borders, message.v6_borders, message.hops);
  std::byte* const base = segment_ + attachment_.arena_offset + size_t{arena_used_} * channel::kArenaUnit;
  layout.write(v4, v6, hops, base);
  arena_used_ += static_cast<uint32_t>(layout.bytes() / channel::kArenaUnit + 1);
  command(channel::Command(message));
}

void WorkerBench::put_secret(uint64_t secret) {
  command(channel::Command(channel::PutSecret{{channel::CommandType::kPutSecret, 0, 0, 0}, secret}));
}

void WorkerBench::put_limits(const channel::LimitRules& rules, uint32_t count, uint32_t layout) {
  channel::PutLimits message{};
  message.header.type = channel::CommandType::kPutLimits;
  message.offset = arena_used_;
  message.rules = count;
  message.layout = layout;
  std::memcpy(segment_ + attachment_.arena_offset + size_t{arena_used_} * channel::kArenaUnit, &rules, sizeof rules);
  arena_used_ += static_cast<uint32_t>(sizeof rules / channel::kArenaUnit);
  command(channel::Command(message));
}

void WorkerBench::put_local(uint16_t id, const Address& address, uint8_t flags) {
  channel::PutLocal message{};
  message.header = {channel::CommandType::kPutLocal, 0, id, 0};
  message.key = 5000U + id;
  message.address = address;
  message.generation = 1;
  message.port_index = kBack;
  message.flags = flags;
  command(channel::Command(message));
}

}  // namespace sluice::testing

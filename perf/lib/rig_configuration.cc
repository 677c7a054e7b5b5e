// SPDX-License-Identifier: Apache-2.0
//
// What a rig's workers are told, as control would tell them.
#include <array>
#include <cstdio>
#include <cstdlib>

#include "perf/lib/worker_rig.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kTableEntries = 65537;
constexpr uint16_t kLocals = 2;

Endpoint local_endpoint(uint16_t n, bool v6) {
  Endpoint out = backend_endpoint(0xf0 + n, v6);
  out.port = {};
  return out;
}

channel::Forwarding forwarding_of(FlowKind kind) {
  switch (kind) {
    case FlowKind::kFullnat:
      return channel::Forwarding::kFullnat;
    case FlowKind::kDsr:
      return channel::Forwarding::kDsr;
    case FlowKind::kIpip:
      return channel::Forwarding::kIpip;
    case FlowKind::kGue:
      return channel::Forwarding::kGue;
    case FlowKind::kPlain:
    case FlowKind::kVlan:
    case FlowKind::kProxy:
    case FlowKind::kSpliced:
      break;
  }
  return channel::Forwarding::kNat;
}

}  // namespace

void WorkerRig::name_endpoints() {
  for (uint32_t n = 0; n < options_.backends; n++) backends_.push_back(backend_endpoint(n, options_.v6));
  table_.resize(kTableEntries);
  for (uint32_t i = 0; i < kTableEntries; i++) table_[i] = static_cast<uint16_t>(i % options_.backends);
  vip_ = {Address::v4(Be32::of(kVip)), Be16::of(25)};
  if (options_.v6) vip_ = {Address{{0x20, 0x01, 0x0d, 0xb8, 0, 0x25}}, Be16::of(25)};
}

void WorkerRig::push(const channel::Command& message) {
  channel::Command command = message;
  command.header.sequence = ++pushed_;
  for (uint32_t i = 0; i < options_.workers; i++) {
    rte_ring* commands = channel::command_ring(segment_, i);
    if (!channel::put_all(commands, std::span<const channel::Command>(&command, 1))) {
      fprintf(stderr, "command ring failed\n");
      exit(1);
    }
  }
}

void WorkerRig::push_configuration() {
  push(channel::Command(channel::CommandHeader{channel::CommandType::kSnapshotBegin}));
  push_backends();
  push_locals();
  push_service();
  push(channel::Command(channel::CommandHeader{channel::CommandType::kSnapshotEnd}));
  while (counter(channel::Counter::kCommandsApplied) < uint64_t{pushed_} * options_.workers) {
    for (uint32_t i = 0; i < options_.workers; i++) poll(i);
  }
}

void WorkerRig::push_backends() {
  for (uint16_t id = 0; id < static_cast<uint16_t>(options_.backends); id++) {
    channel::PutBackend message{};
    message.header = {channel::CommandType::kPutBackend, 0, id, 0};
    message.key = id + 1U;
    message.address = backends_[id].address;
    message.port = backends_[id].port;
    message.generation = 1;
    message.next_hop = {{0x02, 0, 0, 0, 1, static_cast<uint8_t>(id)}};
    message.vlan = options_.kind == FlowKind::kVlan ? kBackVlan : 0;
    message.port_index = 1;
    message.flags = channel::kBackendReachable;
    message.weight = 100;
    push(channel::Command(message));
  }
}

/// Of the kinds that need any.
void WorkerRig::push_locals() {
  if (options_.kind != FlowKind::kFullnat && options_.kind < FlowKind::kIpip) return;
  for (uint16_t id = 0; id < kLocals; id++) {
    channel::PutLocal message{};
    message.header = {channel::CommandType::kPutLocal, 0, id, 0};
    message.key = id + 1U;
    message.address = local_endpoint(id, options_.v6).address;
    message.generation = 1;
    message.port_index = 1;
    push(channel::Command(message));
  }
}

void WorkerRig::push_service() {
  std::memcpy(segment_ + channel::arena_offset(options_.workers), table_.data(), table_.size() * sizeof(uint16_t));
  channel::PutService message{};
  message.header = {channel::CommandType::kPutService, 0, 0, 0};
  message.key = 1;
  message.vip = vip_.address;
  message.port = vip_.port;
  message.forwarding = forwarding_of(options_.kind);
  message.proxy = options_.kind == FlowKind::kProxy ? channel::ProxyHeader::kV2 : channel::ProxyHeader::kNone;
  message.syn_proxy = options_.syn_proxy;
  message.table_generation = 1;
  message.table_entries = kTableEntries;
  push(channel::Command(message));
}

}  // namespace sluice::perf

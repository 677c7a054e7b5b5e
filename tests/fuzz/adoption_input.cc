// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/inputs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/flow/inheritance.h"
#include "tests/dataplane/support/traffic.h"

namespace sluice::testing {
namespace {

constexpr uint32_t kCapacity = 64;
constexpr size_t kMaxDamages = 48;
constexpr size_t kDamageBytes = 5;
constexpr PortIdentity kPorts[] = {{1, {{2, 0, 0, 0, 0, 1}}, 0}, {2, {{2, 0, 0, 0, 0, 2}}, 0}};

using Memory = std::unique_ptr<std::byte, decltype(&free)>;

Memory blank() {
  const size_t bytes = channel::align_up(flow_memory_bytes(kCapacity), 4096);
  Memory memory(static_cast<std::byte*>(aligned_alloc(4096, bytes)), &free);
  std::memset(memory.get(), 0, bytes);
  return memory;
}

void play(WorkerBench& bench, Traffic& traffic) {
  const auto turn = [&](uint64_t wait_ms) {
    bench.turn(wait_ms);
    bench.expect_counter_law();
    bench.punted();
    bench.front().take();
    bench.back().take();
  };
  uint32_t waiting = 0;
  while (const auto step = traffic.next()) {
    for (const Bytes& frame : step->frames) {
      (step->kind == Step::Kind::kClientFrame ? bench.front() : bench.back()).arrive(frame);
      waiting++;
    }
    if (step->kind == Step::Kind::kCommand) bench.command(step->command);
    waiting += step->kind == Step::Kind::kCommand ? 1 : 0;
    const bool pauses = step->kind == Step::Kind::kTurn || step->kind == Step::Kind::kWait;
    if (pauses || waiting >= 32) {
      turn(step->wait_ms);
      waiting = 0;
    }
  }
  for (int i = 0; i < 4; i++) turn(1);
}

/// The memory of a run that had proxied, embryonic, established and closing flows over both families.
const std::vector<std::byte>& image() {
  static const std::vector<std::byte> kImage = [] {
    WorkerBench bench({.flow_capacity = kCapacity});
    Traffic::configure(bench);
    for (uint16_t port = 1000; port < 1016; port++) {
      const Endpoint client = endpoint("203.0.113.9", port);
      bench.client_sends(Frame().from(client).to(endpoint("192.0.2.25", 25)).syn().seq(1));
    }
    bench.turn();
    std::vector<uint8_t> bytes(1500);
    uint32_t state = 12345;
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
    Traffic traffic(bytes, false);
    play(bench, traffic);
    std::byte* memory = bench.flow_memory();
    name_ports(*reinterpret_cast<FlowMemoryHeader*>(memory), kPorts);
    return std::vector<std::byte>(memory, memory + flow_memory_bytes(kCapacity));
  }();
  return kImage;
}

const FlowMemoryHeader& header_of(const Memory& memory) {
  return *reinterpret_cast<const FlowMemoryHeader*>(memory.get());
}

/// What is damaged: which part of the memory, where in it, and how.
void damage(std::byte* memory, std::span<const uint8_t> how) {
  struct Part {
    size_t offset;
    size_t bytes;
  };
  const Part parts[] = {{0, sizeof(FlowMemoryHeader)},
                        {kServicesOffset, 8 * sizeof(Service)},
                        {kBackendsOffset, 8 * sizeof(Backend)},
                        {kLocalsOffset, channel::kMaxLocals * sizeof(Local)},
                        {kBucketsOffset, sizeof(FlowBucket)},
                        {flows_offset(kCapacity), kCapacity * sizeof(Flow)},
                        {flows_offset(kCapacity), kCapacity * sizeof(Flow)},
                        {0, flow_memory_bytes(kCapacity)}};
  const Part& part = parts[how[0] & 7];
  const size_t at = part.offset + (size_t{how[1]} << 8 | how[2]) * (part.bytes > 65536 ? 17 : 1) % part.bytes;
  const size_t bytes = std::min<size_t>(1U << (how[0] >> 5), part.offset + part.bytes - at);  // 1 to 128
  const uint8_t value = how[3];
  for (size_t i = 0; i < bytes; i++) {
    uint8_t& byte = reinterpret_cast<uint8_t*>(memory)[at + i];
    byte = (how[4] & 1) != 0 ? static_cast<uint8_t>(byte ^ value) : value;
  }
}

/// Moves what can be used to the memories of `workers` workers. Returns the first's.
Memory move_to(const std::byte* memory, uint32_t workers) {
  std::vector<Memory> memories;
  std::vector<std::byte*> heirs;
  for (uint32_t i = 0; i < workers; i++) {
    memories.push_back(blank());
    heirs.push_back(memories.back().get());
  }
  Inheritance inheritance;
  inheritance.take(memory, 0);
  const size_t placed = inheritance.hand_out({.memories = heirs, .flow_capacity = kCapacity, .boot_id = 1});
  EXPECT_LE(placed, inheritance.flows());
  // The bench's worker is alone, and has the bench's ports.
  reinterpret_cast<FlowMemoryHeader*>(heirs[0])->workers = 1;
  return std::move(memories[0]);
}

}  // namespace

void play_adoption(FuzzInput bytes) {
  if (bytes.size() < 2) return;
  Memory memory = blank();
  std::memcpy(memory.get(), image().data(), image().size());
  const uint8_t choice = bytes[0];
  const size_t damages = std::min<size_t>(bytes[1] % (kMaxDamages + 1), (bytes.size() - 2) / kDamageBytes);
  for (size_t i = 0; i < damages; i++) damage(memory.get(), bytes.subspan(2 + i * kDamageBytes, kDamageBytes));
  const bool moved =
      (choice & 1) != 0 && flaw_of(header_of(memory), flow_memory_bytes(kCapacity), 1) == KeptFlaw::kNone;
  if (moved) memory = move_to(memory.get(), 1U + (choice >> 1 & 3));
  // As the main lcore does before workers start: a file without a magic, of a process that was killed while it took it
  // up, is removed (make_flow_memories), and what a worker finds without one is fresh.
  if (header_of(memory).magic == 0) memory = blank();
  if (flaw_of(header_of(memory), flow_memory_bytes(kCapacity), 1) == KeptFlaw::kNone) take_up(memory.get(), kPorts);
  {
    WorkerBench bench({.flow_capacity = kCapacity,
                       .front = (choice & 8) != 0 ? Faces::kBoth : Faces::kClients,
                       .back = (choice & 8) != 0 ? Faces::kBoth : Faces::kBackends,
                       .flow_memory = memory.get(),
                       .snapshot = (choice & 16) != 0});
    if ((choice & 32) != 0) Traffic::configure(bench);
    Traffic traffic(bytes.subspan(2 + damages * kDamageBytes), true);
    play(bench, traffic);
  }
  EXPECT_EQ(WorkerBench::buffers_in_use(), 0u);
}

}  // namespace sluice::testing

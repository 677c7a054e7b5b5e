// SPDX-License-Identifier: Apache-2.0
//
// Finding 64 flows and touching (reading and writing) each one's entry, uniformly over all flows.
// Ours does what Worker::parse and Worker::look_up_flows do; rte_hash is measured as its users call it and, which
// is kinder to it, with the entries prefetched before they are touched.
#include <rte_hash.h>
#include <rte_hash_crc.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>

#include "dataplane/flow/flow_table.h"
#include "perf/lib/bench.h"
#include "perf/lib/flow_keys.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kBurst = KeyStream<Endpoint>::kBurst;

[[noreturn]] void lost_flow() {
  fprintf(stderr, "a flow that was put in is not found: the figures would mean nothing\n");
  exit(1);
}

struct OurTable {
  FlowTable flows;
  KeyStream<Endpoint> stream;

  explicit OurTable(uint32_t n)
      : flows(map_memory(flow_memory_bytes(n + n / 16)), n + n / 16, 0x5eed, 1),
        stream(n, kBenchSeed, [](const Endpoint& client) { return client; }) {
    for (uint32_t i = 0; i < n; i++) {
      const Endpoint client = client_endpoint(i, false);
      const FlowIndex index = flows.insert(flows.place(flows.hash(client)));
      if (index == kNoFlow) lost_flow();
      flows[index].client = client.address;
      flows[index].client_port = client.port;
      flows[index].state = TcpState::kEstablished;
    }
  }
};

void sluice_table(benchmark::State& state) {
  OurTable& table = kept<OurTable>(static_cast<uint32_t>(state.range(0)));
  FlowTable& flows = table.flows;
  std::array<FlowPlace, kBurst> place;
  std::array<FlowIndex, kBurst> found;
  for (auto _ : state) {
    const Endpoint* keys = table.stream.next();
    for (uint32_t i = 0; i < kBurst; i++) {
      place[i] = flows.place(flows.hash(keys[i]));
      flows.prefetch_bucket(place[i]);
    }
    for (uint32_t i = 0; i < kBurst; i++) {
      found[i] = flows.first_candidate(place[i]);
      if (found[i] != kNoFlow) flows.prefetch_flow(found[i]);
    }
    for (uint32_t i = 0; i < kBurst; i++) {
      if (found[i] == kNoFlow || !flows[found[i]].is_of(keys[i])) {
        found[i] = flows.find(place[i], [&](const Flow& flow) { return flow.is_of(keys[i]); });
        if (found[i] == kNoFlow) lost_flow();
      }
      flows[found[i]].deadline_ms++;
    }
  }
  report_per_item(state, kBurst);
}

struct DpdkTable {
  rte_hash* hash;
  Flow* entries;
  KeyStream<PlainKey> stream;

  explicit DpdkTable(uint32_t n) : stream(n, kBenchSeed, PlainKey::of) {
    const std::string name = "look_up" + std::to_string(n);
    rte_hash_parameters parameters{};
    parameters.name = name.c_str();
    parameters.entries = n + n / 16;
    parameters.key_len = sizeof(PlainKey);
    parameters.hash_func = rte_hash_crc;
    hash = rte_hash_create(&parameters);
    if (hash == nullptr) {
      fprintf(stderr, "rte_hash_create failed\n");
      exit(1);
    }
    entries = reinterpret_cast<Flow*>(map_memory(sizeof(Flow) * (uint64_t{n} + n / 16 + 1)));
    for (uint32_t i = 0; i < n; i++) {
      const PlainKey key = PlainKey::of(client_endpoint(i, false));
      const int32_t position = rte_hash_add_key(hash, &key);
      if (position < 0) lost_flow();
      entries[position].deadline_ms = 1;
    }
  }
};

template <bool kPrefetchEntries>
void rte_hash_bulk(benchmark::State& state) {
  DpdkTable& table = kept<DpdkTable>(static_cast<uint32_t>(state.range(0)));
  std::array<const void*, kBurst> pointers;
  std::array<int32_t, kBurst> position;
  for (auto _ : state) {
    const PlainKey* keys = table.stream.next();
    for (uint32_t i = 0; i < kBurst; i++) pointers[i] = &keys[i];
    if (rte_hash_lookup_bulk(table.hash, pointers.data(), kBurst, position.data()) != 0) lost_flow();
    if constexpr (kPrefetchEntries) {
      for (uint32_t i = 0; i < kBurst; i++) __builtin_prefetch(&table.entries[position[i]], 1);
    }
    for (uint32_t i = 0; i < kBurst; i++) {
      if (position[i] < 0) lost_flow();
      table.entries[position[i]].deadline_ms++;
    }
  }
  report_per_item(state, kBurst);
}

struct StandardTable {
  std::unordered_map<PlainKey, Flow, PlainKeyHash> map;
  KeyStream<PlainKey> stream;

  explicit StandardTable(uint32_t n) : stream(n, kBenchSeed, PlainKey::of) {
    map.reserve(n);
    for (uint32_t i = 0; i < n; i++) map[PlainKey::of(client_endpoint(i, false))].deadline_ms = 1;
  }
};

void unordered_map(benchmark::State& state) {
  StandardTable& table = kept<StandardTable>(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    const PlainKey* keys = table.stream.next();
    for (uint32_t i = 0; i < kBurst; i++) {
      const auto found = table.map.find(keys[i]);
      if (found == table.map.end()) lost_flow();
      found->second.deadline_ms++;
    }
  }
  report_per_item(state, kBurst);
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  using namespace sluice::perf;
  register_for_flows("look_up/sluice", sluice_table);
  register_for_flows("look_up/rte_hash_bulk", rte_hash_bulk<false>);
  register_for_flows("look_up/rte_hash_bulk_prefetch", rte_hash_bulk<true>);
  register_for_flows("look_up/unordered_map", unordered_map);
  return bench_main(argc, argv, 220);
}

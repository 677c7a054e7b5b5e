// SPDX-License-Identifier: Apache-2.0
//
// Insert and delete: in a full table one flow goes and a new one comes, 32 at a time as a burst of SYNs
// would bring them. The flow that goes is looked up first, as the segment that ends it has to find it. Victims
// follow no order in memory; which flow is where is computed, not stored, so that nothing but the table takes cache.
#include <rte_hash.h>
#include <rte_hash_crc.h>

#include <array>
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

constexpr uint32_t kBurst = 32;

[[noreturn]] void table_failed(const char* what) {
  fprintf(stderr, "%s failed: the figures would mean nothing\n", what);
  exit(1);
}

/// Flow numbers that leave and enter: in round r, flow `slot + r * flows` leaves for `slot + (r + 1) * flows`, in an
/// order that visits all slots with a stride prime to their count.
class Turnover {
 public:
  explicit Turnover(uint32_t flows) : flows_(flows), stride_(2'654'435'761U % flows) {
    while (gcd(stride_, flows_) != 1) stride_++;
  }
  struct Step {
    uint32_t leaving, entering;
  };
  Step next() {
    const auto slot = static_cast<uint32_t>(position_);
    const Step out{slot + round_ * flows_, slot + (round_ + 1) * flows_};
    position_ += stride_;
    if (position_ >= flows_) position_ -= flows_;
    if (++count_ == flows_) {
      count_ = 0;
      round_++;
      if ((uint64_t{round_} + 2) * flows_ >= kNumbers) table_failed("running for longer than there are client numbers");
    }
    return out;
  }

 private:
  static constexpr uint64_t kNumbers = 1ULL << 32;

  static uint64_t gcd(uint64_t a, uint64_t b) { return b == 0 ? a : gcd(b, a % b); }

  uint32_t flows_;
  uint64_t stride_;
  uint64_t position_ = 0;
  uint32_t count_ = 0;
  uint32_t round_ = 0;
};

struct OurTable {
  FlowTable flows;
  Turnover turnover;

  explicit OurTable(uint32_t n) : flows(map_memory(flow_memory_bytes(n + n / 16)), n + n / 16, 0x5eed, 1), turnover(n) {
    for (uint32_t i = 0; i < n; i++) {
      const Endpoint client = client_endpoint(i, false);
      add(client, flows.place(flows.hash(client)));
    }
  }
  void add(const Endpoint& client, FlowPlace place) {
    const FlowIndex index = flows.insert(place);
    if (index == kNoFlow) table_failed("insert");
    Flow& flow = flows[index];
    flow.client = client.address;
    flow.client_port = client.port;
    flow.deadline_ms = 60'000;
    flow.state = TcpState::kSynSent;
  }
};

void sluice_table(benchmark::State& state) {
  OurTable& table = kept<OurTable>(static_cast<uint32_t>(state.range(0)));
  FlowTable& flows = table.flows;
  std::array<Endpoint, kBurst> leaving, entering;
  std::array<FlowPlace, kBurst> from, to;
  std::array<FlowIndex, kBurst> found;
  for (auto _ : state) {
    for (uint32_t i = 0; i < kBurst; i++) {
      const Turnover::Step step = table.turnover.next();
      leaving[i] = client_endpoint(step.leaving, false);
      entering[i] = client_endpoint(step.entering, false);
      from[i] = flows.place(flows.hash(leaving[i]));
      to[i] = flows.place(flows.hash(entering[i]));
      flows.prefetch_bucket(from[i]);
      flows.prefetch_bucket(to[i]);
    }
    for (uint32_t i = 0; i < kBurst; i++) {
      found[i] = flows.first_candidate(from[i]);
      if (found[i] != kNoFlow) flows.prefetch_flow(found[i]);
    }
    for (uint32_t i = 0; i < kBurst; i++) {
      const FlowIndex index = flows.find(from[i], [&](const Flow& flow) { return flow.is_of(leaving[i]); });
      if (index == kNoFlow) table_failed("find");
      flows.erase(index);
    }
    for (uint32_t i = 0; i < kBurst; i++) table.add(entering[i], to[i]);
    flows.end_burst();
  }
  report_per_item(state, kBurst);
}

struct DpdkTable {
  rte_hash* hash;
  Flow* entries;
  Turnover turnover;

  explicit DpdkTable(uint32_t n) : turnover(n) {
    const std::string name = "insert" + std::to_string(n);
    rte_hash_parameters parameters{};
    parameters.name = name.c_str();
    parameters.entries = n + n / 16;
    parameters.key_len = sizeof(PlainKey);
    parameters.hash_func = rte_hash_crc;
    hash = rte_hash_create(&parameters);
    if (hash == nullptr) table_failed("rte_hash_create");
    entries = reinterpret_cast<Flow*>(map_memory(sizeof(Flow) * (uint64_t{n} + n / 16 + 1)));
    for (uint32_t i = 0; i < n; i++) add(client_endpoint(i, false));
  }
  void add(const Endpoint& client) {
    const PlainKey key = PlainKey::of(client);
    const int32_t position = rte_hash_add_key(hash, &key);
    if (position < 0) table_failed("rte_hash_add_key");
    Flow& flow = entries[position];
    flow.client = client.address;
    flow.client_port = client.port;
    flow.deadline_ms = 60'000;
    flow.state = TcpState::kSynSent;
  }
};

void rte_hash_table(benchmark::State& state) {
  DpdkTable& table = kept<DpdkTable>(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    for (uint32_t i = 0; i < kBurst; i++) {
      const Turnover::Step step = table.turnover.next();
      const PlainKey key = PlainKey::of(client_endpoint(step.leaving, false));
      const int32_t position = rte_hash_del_key(table.hash, &key);
      if (position < 0) table_failed("rte_hash_del_key");
      table.entries[position].state = TcpState::kFree;
      table.add(client_endpoint(step.entering, false));
    }
  }
  report_per_item(state, kBurst);
}

struct StandardTable {
  std::unordered_map<PlainKey, Flow, PlainKeyHash> map;
  Turnover turnover;

  explicit StandardTable(uint32_t n) : turnover(n) {
    map.reserve(n);
    for (uint32_t i = 0; i < n; i++) add(client_endpoint(i, false));
  }
  void add(const Endpoint& client) {
    Flow& flow = map[PlainKey::of(client)];
    flow.client = client.address;
    flow.client_port = client.port;
    flow.deadline_ms = 60'000;
    flow.state = TcpState::kSynSent;
  }
};

void unordered_map(benchmark::State& state) {
  StandardTable& table = kept<StandardTable>(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    for (uint32_t i = 0; i < kBurst; i++) {
      const Turnover::Step step = table.turnover.next();
      if (table.map.erase(PlainKey::of(client_endpoint(step.leaving, false))) != 1) table_failed("erase");
      table.add(client_endpoint(step.entering, false));
    }
  }
  report_per_item(state, kBurst);
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  using namespace sluice::perf;
  register_for_flows("insert_and_delete/sluice", sluice_table);
  register_for_flows("insert_and_delete/rte_hash", rte_hash_table);
  register_for_flows("insert_and_delete/unordered_map", unordered_map);
  return bench_main(argc, argv, 220);
}

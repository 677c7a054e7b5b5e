// SPDX-License-Identifier: Apache-2.0
//
// What it costs that nodes tell each other of flows. `tell`: a worker's share of a flow's whole life, which is told of
// when it is placed, when it is established and when it ends, beside a store of the same word into memory. `say`: what
// the exchange's thread does for a flow told once: put it into a datagram, and seal that; the counter `wire_bytes` is
// what a flow's life takes on the wire, IPv4 and UDP headers counted in. `hear`: what it does for one that it is told
// of. `ask`: what a packet without a flow costs a worker in the table.
#include <rte_ring_elem.h>

#include <array>
#include <vector>

#include "dataplane/peers/batch.h"
#include "dataplane/peers/peer_link.h"
#include "dataplane/peers/told_table.h"
#include "dataplane/worker/flow_teller.h"
#include "perf/lib/bench.h"
#include "perf/lib/flow_keys.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kFlowsAtOnce = 256;
constexpr uint32_t kRing = 4096;
constexpr size_t kIpv4AndUdp = 28;
const std::vector<uint8_t> kSecret(32, 7);

rte_ring* ring() {
  static rte_ring* made =
      rte_ring_create_elem("bench-tells", sizeof(FlowIndex), kRing, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  return made;
}

void drain(std::vector<FlowIndex>& into) {
  into.resize(kRing);
  rte_ring_sc_dequeue_burst_elem(ring(), into.data(), sizeof(FlowIndex), kRing, nullptr);
}

void sluice_tell(benchmark::State& state) {
  auto stats = std::make_unique<channel::WorkerStats>();
  Counters counters(*stats);
  PollClock clock(FlowTimers{}, 1000);
  FlowTeller teller(clock, counters, ring());
  std::vector<FlowIndex> taken;
  uint64_t now_ms = 1000;
  for (auto _ : state) {
    clock.set(now_ms += 10);  // as many as may be told of
    for (FlowIndex i = 0; i < kFlowsAtOnce; i++) {
      teller.begins(i);
      teller.changed(i);
      teller.changed(i);
    }
    state.PauseTiming();
    drain(taken);
    state.ResumeTiming();
  }
  if (counters[Counter::kTellsLost] != 0) state.SkipWithError("something was not told");
  report_per_item(state, kFlowsAtOnce);
}

void array_tell(benchmark::State& state) {
  std::vector<FlowIndex> words(kRing);
  for (auto _ : state) {
    for (FlowIndex i = 0; i < 3 * kFlowsAtOnce; i++) benchmark::DoNotOptimize(words[i] = i);
  }
  report_per_item(state, kFlowsAtOnce);
}

ToldFlow flow_of(uint32_t n, channel::Forwarding forwarding) {
  ToldFlow out;
  out.client = client_endpoint(n, false);
  out.vip = {Address::v4(Be32::of(0xc0000219)), Be16::of(25)};
  out.backend = {Address::v4(Be32::of(0x0a00010a)), Be16::of(2525)};
  out.forwarding = forwarding;
  if (forwarding == channel::Forwarding::kFullnat) {
    out.local = {Address::v4(Be32::of(0x0a000101)), Be16::of(static_cast<uint16_t>(1024 + n % 31744))};
  }
  out.stage = FlowStage::kOpen;
  return out;
}

/// Puts flows into sealed datagrams. Returns their bytes on the wire.
class Sayer {
 public:
  void say(const ToldFlow& flow) {
    if (append_flow(text_, used_, flow)) return;
    flush();
    append_flow(text_, used_, flow);
  }
  void flush() {
    wire_bytes_ += kIpv4AndUdp + key_.seal(++number_, {text_.data(), used_}, datagram_.data());
    used_ = kTextHeaderBytes;
  }
  uint64_t wire_bytes() const { return wire_bytes_; }

 private:
  SessionKey key_{kSecret, 1, true};
  std::array<uint8_t, kMostTextBytes> text_{};
  std::array<uint8_t, kMostDatagramBytes> datagram_;
  size_t used_ = kTextHeaderBytes;
  uint64_t number_ = 0;
  uint64_t wire_bytes_ = 0;
};

void sluice_say(benchmark::State& state) {
  const auto forwarding = static_cast<channel::Forwarding>(state.range(0));
  Sayer sayer;
  uint32_t n = 0;
  for (auto _ : state) sayer.say(flow_of(n++, forwarding));
  Sayer whole;
  constexpr uint32_t kLives = 10'000;
  for (uint32_t i = 0; i < kLives; i++) {
    ToldFlow flow = flow_of(i, forwarding);
    whole.say(flow);
    whole.say(flow);
    flow.stage = FlowStage::kEnded;
    whole.say(flow);
  }
  whole.flush();
  state.counters["wire_bytes"] = static_cast<double>(whole.wire_bytes()) / kLives;
  report_per_item(state, 1);
}

struct Table {
  ToldTable table;

  explicit Table(uint32_t flows) : table(map_memory(ToldTable::bytes_for({flows})), {flows}, kBenchSeed) {
    for (uint32_t i = 0; i < flows / 2; i++) table.put(flow_of(i, channel::Forwarding::kNat), 0, 1);
  }
};

void sluice_hear(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  ToldTable& table = kept<Table>(flows).table;
  uint32_t n = 0;
  for (auto _ : state) {
    table.put(flow_of(n, channel::Forwarding::kNat), 0, 2);
    n = (n + 2'654'435'761U) % (flows / 2);
  }
  report_per_item(state, 1);
  state.counters["entry_bytes"] =
      static_cast<double>(ToldTable::bytes_for({flows})) / static_cast<double>(table.capacity());
}

void sluice_ask(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  const ToldTable& table = kept<Table>(flows).table;
  const Endpoint vip = flow_of(0, channel::Forwarding::kNat).vip;
  uint32_t n = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.from_client(client_endpoint(n, false), vip));
    n = (n + 2'654'435'761U) % (flows / 2);
  }
  report_per_item(state, 1);
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  using namespace sluice::perf;
  benchmark::RegisterBenchmark("tell/sluice", sluice_tell);
  benchmark::RegisterBenchmark("tell/array", array_tell);
  for (const auto forwarding : {sluice::channel::Forwarding::kNat, sluice::channel::Forwarding::kFullnat}) {
    benchmark::RegisterBenchmark("say/sluice", sluice_say)->Arg(static_cast<int64_t>(forwarding));
  }
  register_for_flows("hear/sluice", sluice_hear);
  register_for_flows("ask/sluice", sluice_ask);
  return bench_main(argc, argv, 64);
}

// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/inputs.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/traffic.h"

namespace sluice::testing {
namespace {

/// The set-up that an input's first byte stands for.
BenchOptions options_of(uint8_t choice) {
  BenchOptions options;
  options.flow_capacity = (choice & 1) != 0 ? 64 : 4096;
  options.workers = 1U + (choice >> 1 & 1);
  options.on_table_full = static_cast<OnTableFull>((choice >> 3 & 3) % 3);
  options.on_idle_expiry = static_cast<OnIdleExpiry>(choice >> 5 & 1);
  const bool one_arm = (choice >> 6 & 1) != 0;
  options.front = one_arm ? Faces::kBoth : Faces::kClients;
  options.back = one_arm ? Faces::kBoth : Faces::kBackends;
  options.snapshot = (choice & 0x80) == 0;
  return options;
}

/// Fills a small table, so that inputs need not say how.
void crowd(WorkerBench& bench) {
  for (uint16_t port = 1000; port < 1064; port++) {
    bench.client_sends(Frame().from(endpoint("203.0.113.9", port)).to(endpoint("192.0.2.25", 25)).syn().seq(1));
    if (port % 16 == 0) bench.turn();
  }
  bench.turn();
}

void play(WorkerBench& bench, Traffic& traffic) {
  uint32_t waiting = 0;
  const auto turn = [&](uint64_t wait_ms) {
    bench.turn(wait_ms);
    bench.expect_counter_law();
    bench.punted();
    bench.front().take();
    bench.back().take();
    waiting = 0;
  };
  while (const auto step = traffic.next()) {
    for (const Bytes& frame : step->frames) {
      (step->kind == Step::Kind::kClientFrame ? bench.front() : bench.back()).arrive(frame);
      if (++waiting == 64) turn(0);
    }
    if (step->kind == Step::Kind::kCommand) {
      bench.command(step->command);
      if (++waiting == 64) turn(0);
    }
    if (step->kind == Step::Kind::kTurn || step->kind == Step::Kind::kWait) turn(step->wait_ms);
  }
  for (int i = 0; i < 4; i++) turn(1);
}

}  // namespace

void play_worker(FuzzInput bytes) {
  if (bytes.empty()) return;
  {
    const BenchOptions options = options_of(bytes[0]);
    WorkerBench bench(options);
    Traffic::configure(bench);
    if (options.flow_capacity == 64) crowd(bench);
    Traffic traffic(bytes.subspan(1), true);
    play(bench, traffic);
  }
  EXPECT_EQ(WorkerBench::buffers_in_use(), 0u);
}

}  // namespace sluice::testing

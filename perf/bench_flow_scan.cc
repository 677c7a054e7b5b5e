// SPDX-License-Identifier: Apache-2.0
//
// Listing live flows out of a worker's memory. `scan`: time to read all of a table, in the steps in which control does
// it, beside copying the same memory as it is. `step`: the longest of these steps, for which control's event loop
// waits. `worker`: what a worker's access to a flow (random, read and written) costs while another CPU scans the table,
// and while none does.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "controlplane/inspect/flow_scan.h"

namespace sluice::control {
namespace {

constexpr size_t kStep = 1024;  // as FlowLister

/// `count` live flows in memory of its own, in huge pages where there are any.
class Table {
 public:
  explicit Table(size_t count)
      : bytes_((count * (sizeof(Flow) + sizeof(channel::SessionNotes)) + (2U << 20) - 1) >> 21 << 21) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    madvise(memory, bytes_, MADV_HUGEPAGE);
    flows_ = {static_cast<Flow*>(memory), count};
    notes_ = {reinterpret_cast<channel::SessionNotes*>(flows_.data() + count), count};
    for (uint32_t i = 0; i < count; i++) {
      Flow& flow = flows_[i];
      flow.client = Address::v4(Be32::of(0x0a000000 + i));
      flow.client_port = Be16::of(static_cast<uint16_t>(i));
      notes_[i].begun_ms = i * 2654435761U % 1'000'000;
      flow.state = TcpState::kEstablished;
    }
  }
  ~Table() { munmap(flows_.data(), bytes_); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  FlowEntries entries() const { return {flows_, notes_}; }
  std::span<Flow> flows() { return flows_; }

 private:
  size_t bytes_;
  std::span<Flow> flows_;
  std::span<channel::SessionNotes> notes_;
};

Table& table_of(int64_t flows) {
  static std::map<int64_t, std::unique_ptr<Table>> all;
  auto& one = all[flows];
  if (!one) one = std::make_unique<Table>(static_cast<size_t>(flows));
  return *one;
}

/// Reads the whole table, and returns the longest step in seconds.
double scan_all(const FlowEntries& flows, size_t limit) {
  using Clock = std::chrono::steady_clock;
  double longest = 0;
  FlowScan scan({}, limit, 1'000'000);
  for (size_t i = 0; i < flows.size(); i += kStep) {
    const auto begin = Clock::now();
    scan.look_at(flows.part(i, std::min(kStep, flows.size() - i)), 0);
    longest = std::max(longest, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  if (scan.matched() != flows.size()) std::abort();
  benchmark::DoNotOptimize(scan.take_oldest().data());
  return longest;
}

void sluice_scan(benchmark::State& state) {
  Table& table = table_of(state.range(0));
  double longest = 0;
  for (auto _ : state) longest = std::max(longest, scan_all(table.entries(), 100));
  state.counters["longest_step_s"] = longest;
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void copy_scan(benchmark::State& state) {
  Table& table = table_of(state.range(0));
  std::vector<Flow> copy(kStep);
  for (auto _ : state) {
    for (size_t i = 0; i < table.entries().size(); i += kStep) {
      const auto part = table.entries().flows.subspan(i, std::min(kStep, table.entries().size() - i));
      std::copy(part.begin(), part.end(), copy.begin());
      benchmark::DoNotOptimize(copy.data());
      benchmark::ClobberMemory();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void worker(benchmark::State& state, bool scanned) {
  Table& table = table_of(state.range(0));
  std::atomic<bool> stop{false};
  std::thread scanner;
  if (scanned) {
    scanner = std::thread([&] {
      while (!stop.load(std::memory_order_relaxed)) scan_all(table.entries(), 100);
    });
  }
  const std::span<Flow> flows = table.flows();
  uint64_t random = 88172645463325252;
  for (auto _ : state) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    Flow& flow = flows[random % flows.size()];
    flow.deadline_ms = static_cast<uint32_t>(random);
    flow.bytes_up++;
  }
  stop = true;
  if (scanner.joinable()) scanner.join();
  state.SetItemsProcessed(state.iterations());
}

}  // namespace
}  // namespace sluice::control

int main(int argc, char** argv) {
  using namespace sluice::control;
  const char* flows_text = std::getenv("SLUICE_BENCH_FLOWS");
  std::vector<int64_t> sizes{1'000'000, 10'000'000};
  if (flows_text != nullptr) sizes = {std::atoll(flows_text)};
  for (const int64_t flows : sizes) {
    benchmark::RegisterBenchmark("scan/sluice", sluice_scan)->Arg(flows)->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("scan/copy", copy_scan)->Arg(flows)->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("worker/alone", worker, false)->Arg(flows);
    benchmark::RegisterBenchmark("worker/scanned", worker, true)->Arg(flows);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/flow_memories.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "dataplane/base/setup_error.h"
#include "dataplane/contract/segment.h"
#include "dataplane/flow/inheritance.h"

namespace sluice {
namespace {

FlowMemoryHeader& header_of(const FlowMemory& memory) {
  return *reinterpret_cast<FlowMemoryHeader*>(memory.mapping.data());
}

FlowStoreOptions options_of(const FlowMemoryPlan& plan, const std::string& store, uint32_t worker) {
  return {.directory = store,
          .instance = plan.files,
          .worker = worker,
          .bytes = flow_memory_bytes(plan.flow_capacity),
          .hugepages = plan.hugepages};
}

/// Writes down that a run begins with this memory, before anything in it is used.
void note_start(const FlowMemory& memory, uint64_t now_ms) {
  FlowMemoryHeader& header = header_of(memory);
  const bool short_run = header.started_ms != 0 && now_ms - header.started_ms < kShortRunMs;
  header.short_runs = short_run ? std::min(header.short_runs, kMaxShortRuns) + 1 : 0;
  header.started_ms = now_ms;
}

/// By how many classes flows are dealt: as those that are kept, if that can be. What is dealt anew costs those of
/// fullnat whose replies would reach another worker.
uint32_t classes_of(const FlowMemoryHeader& kept, const FlowMemoryPlan& plan) {
  const bool can_stay = kept.version == kFlowMemoryVersion && kept.workers == plan.workers &&
                        std::has_single_bit(kept.classes) && kept.classes >= plan.workers &&
                        kept.classes <= plan.classes;
  return can_stay ? kept.classes : plan.classes;
}

struct LeftMemory {
  FlowMemory memory;
  uint32_t worker = 0;
};

/// What lies in one store.
struct Left {
  std::string store;
  std::vector<LeftMemory> memories;  // that can be taken up
  uint32_t files = 0;
  uint32_t classes = 0;
  bool usable = false;  // some of it
  bool fits = false;    // as it lies
  KeptFlaw flaw = KeptFlaw::kEmpty;
};

Left survey(const FlowMemoryPlan& plan, const std::string& store) {
  Left left{.store = store};
  uint32_t fitting = 0;
  for (uint32_t worker = 0; worker < channel::kMaxWorkers && !store.empty(); worker++) {
    auto memory = open_kept(options_of(plan, store, worker));
    if (!memory) continue;
    left.files++;
    if (memory->mapping.bytes() < kBucketsOffset) continue;
    note_start(*memory, plan.now_ms);
    const FlowMemoryHeader& header = header_of(*memory);
    const KeptFlaw flaw = flaw_of(header, memory->mapping.bytes(), plan.boot_id);
    left.flaw = worker == 0 || left.flaw == KeptFlaw::kEmpty ? flaw : left.flaw;
    if (flaw != KeptFlaw::kNone) continue;
    if (!left.usable) left.classes = classes_of(header, plan);
    const KeptFlaw misfit = flaw_of(header, plan.flow_capacity, {plan.workers, left.classes}, plan.boot_id);
    fitting += misfit == KeptFlaw::kNone && worker < plan.workers ? 1 : 0;
    if (misfit != KeptFlaw::kNone) left.flaw = misfit;
    left.memories.push_back({std::move(*memory), worker});
    left.usable = true;
  }
  left.fits = fitting == plan.workers && left.files == plan.workers;
  return left;
}

/// What has to be moved to other memories, taken out of the first store that has some.
Inheritance gather(std::vector<Left>& all) {
  Inheritance out;
  for (Left& left : all) {
    if (left.fits || !out.empty()) continue;
    try {
      for (const LeftMemory& from : left.memories) out.take(from.memory.mapping.data(), from.worker);
    } catch (const std::bad_alloc&) {
      spdlog::warn("flow memory in {}: no memory to move its flows; they are forgotten", left.store);
      return {};
    }
  }
  return out;
}

/// The flow memories in one store.
FlowMemories make_in(const FlowMemoryPlan& plan, const std::string& store, bool fits) {
  FlowMemories out{.of = {}, .hash_seed = plan.fresh_seed, .store = store};
  const size_t bytes = flow_memory_bytes(plan.flow_capacity) * plan.workers;
  if (const std::string lack = store.empty() || fits ? "" : lack_of_room(store, bytes); !lack.empty()) {
    throw SetupError(lack);
  }
  try {
    for (uint32_t worker = 0; worker < plan.workers; worker++) {
      out.of.push_back(map_flow_memory(options_of(plan, store, worker)));
      const FlowMemory& memory = out.of.back();
      const int error = plan.populate(worker, memory);
      if (error != 0) {
        throw SetupError(fmt::format("flow memory of worker {}: {} MiB in {}: {}; free as much, or lower flow_capacity",
                                     worker, memory.mapping.bytes() >> 20, memory.where, std::strerror(error)));
      }
    }
  } catch (const SetupError&) {
    out.of.clear();
    if (!fits) remove_flow_files(store, plan.files, 0);
    throw;
  }
  if (!store.empty()) remove_flow_files(store, plan.files, plan.workers);
  return out;
}

/// Tries the stores in turn.
FlowMemories make_somewhere(const FlowMemoryPlan& plan, const std::vector<Left>& all) {
  for (size_t i = 0;; i++) {
    const std::string& store = all[i].store;
    try {
      FlowMemories out = make_in(plan, store, all[i].fits);
      for (size_t other = 0; other < all.size(); other++) {
        if (other != i) remove_flow_files(all[other].store, plan.files, 0);
      }
      return out;
    } catch (const SetupError& error) {
      if (i + 1 == all.size()) throw;
      spdlog::warn("flows are not kept in {}: {}", store, error.what());
    }
  }
}

std::vector<Left> survey_all(const FlowMemoryPlan& plan) {
  std::vector<Left> all;
  for (size_t i = 0; i < plan.stores.size(); i++) {
    try {
      all.push_back(survey(plan, plan.stores[i]));
    } catch (const SetupError& error) {
      if (i + 1 == plan.stores.size()) throw;
      spdlog::warn("flows are not kept in {}: {}", plan.stores[i], error.what());
    }
  }
  // What fits stays where it is.
  std::ranges::stable_partition(all, [](const Left& left) { return left.fits; });
  return all;
}

std::vector<std::byte*> addresses_of(const FlowMemories& memories) {
  std::vector<std::byte*> out;
  out.reserve(memories.of.size());
  for (const FlowMemory& memory : memories.of) out.push_back(memory.mapping.data());
  return out;
}

void hand_out(const FlowMemoryPlan& plan, const Inheritance& inheritance, FlowMemories& out) {
  const std::vector<std::byte*> memories = addresses_of(out);
  out.hash_seed = inheritance.hash_seed();
  const size_t placed = inheritance.hand_out(
      {.memories = memories, .flow_capacity = plan.flow_capacity, .boot_id = plan.boot_id, .classes = plan.classes});
  spdlog::info("flows of the last run: {} moved to the workers that own them now, {} could not be used", placed,
               inheritance.flows() - placed + inheritance.dropped());
}

/// What was taken out goes back to where it lay, in memories of the same geometry and dealt as it was.
void put_back(const FlowMemoryPlan& plan, const std::vector<Left>& all, const Inheritance& inheritance) {
  const auto source = std::ranges::find_if(all, [](const Left& left) { return left.usable && !left.fits; });
  if (inheritance.empty() || source == all.end()) return;
  FlowMemoryPlan before = plan;
  before.workers = inheritance.workers();
  before.flow_capacity = inheritance.flow_capacity();
  before.populate = [&](uint32_t worker, const FlowMemory& memory) {
    return plan.populate(std::min(worker, plan.workers - 1), memory);
  };
  try {
    FlowMemories out = make_in(before, source->store, false);
    const size_t placed = inheritance.put_back(addresses_of(out), plan.boot_id);
    end_in_order(out);
    spdlog::warn("{} flows of the last run are put back into {}, for a run with {} workers and flow_capacity = {}",
                 placed, source->store, before.workers, before.flow_capacity);
  } catch (const SetupError& error) {
    spdlog::error("the flows of the last run are forgotten: {}", error.what());
  }
}

/// Tries the stores in turn. If none will do, the flows of the last run are put back before it throws.
FlowMemories make_or_put_back(const FlowMemoryPlan& plan, const std::vector<Left>& all,
                              const Inheritance& inheritance) {
  try {
    return make_somewhere(plan, all);
  } catch (const SetupError&) {
    put_back(plan, all, inheritance);
    throw;
  }
}

void say_what_became(const std::vector<Left>& all, bool moved, const FlowMemories& out) {
  spdlog::info("flows {}", out.store.empty() ? "end with the process: flow_store has no place to keep them"
                                             : "outlive the process, in " + out.store);
  for (const Left& left : all) {
    if (left.files == 0) continue;
    if (left.fits && left.store == out.store) {
      spdlog::info("the flows of the last run are taken up as they lie in {}", left.store);
    } else if (!moved || !left.usable) {
      spdlog::warn("the flows of the last run in {} are forgotten: {}", left.store, describe(left.flaw));
    } else {
      spdlog::info("the flows of the last run are moved out of {}: {}", left.store, describe(left.flaw));
    }
  }
}

}  // namespace

std::vector<std::string> flow_stores(const std::string& flow_store, bool hugepages) {
  if (flow_store != "auto") return {flow_store};
  std::vector<std::string> stores = find_flow_stores(hugepages);
  stores.emplace_back();
  return stores;
}

FlowMemories make_flow_memories(const FlowMemoryPlan& wish) {
  FlowMemoryPlan plan = wish;
  std::vector<Left> all = survey_all(plan);
  // What fits is first, and else what is moved.
  const auto kept = std::ranges::find_if(all, &Left::usable);
  if (kept != all.end()) plan.classes = kept->classes;
  const bool fits = all.front().fits;
  const Inheritance inheritance = fits ? Inheritance{} : gather(all);
  uint64_t seed = plan.fresh_seed;
  if (fits) seed = header_of(all.front().memories.front().memory).hash_seed;
  for (Left& left : all) {
    left.memories.resize(0);  // gives up the locks
    if (!left.fits) remove_flow_files(left.store, plan.files, 0);
  }
  FlowMemories out = make_or_put_back(plan, all, inheritance);
  const bool as_it_lies = fits && out.store == all.front().store;
  out.hash_seed = as_it_lies ? seed : plan.fresh_seed;
  out.classes = plan.classes;
  if (!inheritance.empty()) hand_out(plan, inheritance, out);
  say_what_became(all, !inheritance.empty(), out);
  for (FlowMemory& memory : out.of) {
    memory.kept = as_it_lies || !inheritance.empty();
    if (memory.kept) {
      take_up(memory.mapping.data(), plan.ports);
    } else {
      name_ports(header_of(memory), plan.ports);
      header_of(memory).started_ms = plan.now_ms;
    }
  }
  return out;
}

void end_in_order(const FlowMemories& memories) {
  for (const FlowMemory& memory : memories.of) header_of(memory).started_ms = 0;
}

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// Flows that an earlier run of the same boot left in flow memories which do not fit as they lie, because the number of
// workers, the way they were dealt or the capacity was another: they are taken out, and handed to the workers that own
// them now. Main lcore.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/flow/adoption.h"
#include "dataplane/flow/flow_memory.h"
#include "dataplane/flow/flow_table.h"

namespace sluice {

/// The flow memories that flows are handed out to: of one worker each, populated, and not in use yet.
struct Heirs {
  std::span<std::byte* const> memories;
  uint32_t flow_capacity = 0;
  uint64_t boot_id = 0;
  uint32_t classes = kMostClasses;  // by which flows are dealt between them (owner_table.h)
};

class Inheritance {
 public:
  /// Takes what can be used out of a worker's memory, whose header has no flaw. Services, backends and own addresses
  /// are those of the first memory; flows of another that knows them otherwise are dropped.
  void take(const std::byte* memory, uint32_t worker);

  bool empty() const { return header_.magic == 0; }
  size_t flows() const { return flows_.size(); }
  size_t dropped() const { return dropped_; }
  uint64_t hash_seed() const { return header_.hash_seed; }
  /// Of the memories that flows were taken out of.
  uint32_t workers() const { return header_.workers; }
  uint32_t flow_capacity() const { return header_.flow_capacity; }

  /// Formats the heirs' memories and fills them. Returns how many flows found a place.
  size_t hand_out(const Heirs& heirs) const;
  /// Likewise, with memories of workers() workers and of flow_capacity(): each flow goes back to the worker that it was
  /// taken from, whose it was by whatever dealing. The headers speak of that as they did.
  size_t put_back(std::span<std::byte* const> memories, uint64_t boot_id) const;

 private:
  using Tables = std::vector<std::unique_ptr<FlowTable>>;
  struct Kept;

  Tables format(const Heirs& heirs) const;
  /// `owner_of` says whose a flow is; a number beyond the tables: nobody's.
  size_t fill(Tables& tables, const std::function<size_t(const Kept&)>& owner_of) const;
  bool means_the_same(const Flow& flow, const Service* services, const Backend* backends, const Local* locals) const;

  FlowMemoryHeader header_{};  // of the first memory: its ports are what indices mean
  std::vector<Service> services_;
  std::vector<Backend> backends_;
  std::vector<Local> locals_;
  struct Kept {
    Flow flow;
    channel::SessionNotes notes;
    Splice splice;
    uint32_t worker;  // that had it
  };
  std::vector<Kept> flows_;
  size_t dropped_ = 0;
};

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// Reads a worker's flows while it writes them, and says them as peers are told. What is torn is left out: it has just
// changed, so the worker tells of it again.
#pragma once

#include <cstddef>
#include <optional>

#include "dataplane/flow/flow_memory.h"
#include "dataplane/peers/told_flow.h"

namespace sluice {

class FlowNames {
 public:
  /// Flow memory of a worker (flow_memory.h), which may not have laid it out yet.
  FlowNames(const std::byte* memory, uint32_t flow_capacity) noexcept : memory_(memory), capacity_(flow_capacity) {}

  /// What a flow is now; of one that is over, or whose place is free, that it has ended. Nothing if it cannot be told.
  std::optional<ToldFlow> at(FlowIndex index) const noexcept;

  /// Likewise of a flow that is established and not over; nothing of any other.
  std::optional<ToldFlow> established_at(FlowIndex index) const noexcept;

  /// Flows from here on have never been taken.
  uint32_t used() const noexcept;

 private:
  std::optional<Flow> read(FlowIndex index) const noexcept;
  std::optional<ToldFlow> name(FlowIndex index, const Flow& flow) const noexcept;
  bool name_special(FlowIndex index, const Flow& flow, bool has_header, ToldFlow& out) const noexcept;

  const std::byte* memory_;
  uint32_t capacity_;
};

}  // namespace sluice

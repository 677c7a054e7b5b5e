// SPDX-License-Identifier: Apache-2.0
//
// Reads the workers' flows out of their memory while they go on writing it: no worker is asked, none is stopped. An
// entry counts if it was of one flow throughout (contract/flow.h); one that changed hands under the reader is read
// again, and left out and counted if it keeps changing. Of the flows that match, the oldest are kept. No I/O, no clock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/contract/flow.h"
#include "dataplane/contract/session.h"

namespace sluice::control {

/// Whether the first `bits` of 128 are the same.
bool is_in_prefix(const Address& address, const Address& prefix, uint32_t bits);

/// Which flows, and how many of them.
struct FlowFilter {
  Address client;
  uint32_t prefix_bits = 0;
  uint16_t client_port = 0;                          // 0 = any
  channel::ServiceId service = channel::kNoService;  // kNoService = any
  /// By id, the generation; nothing = any backend, none in it = no flow matches.
  std::optional<std::map<channel::BackendId, uint16_t>> backends;

  bool matches(const Flow& flow) const;
};

struct SeenFlow {
  Flow flow;
  uint32_t worker = 0;
  uint32_t age_ms = 0;
};

/// What a flow table holds of flows, and the notes beside each.
struct FlowEntries {
  std::span<const Flow> flows;
  std::span<const channel::SessionNotes> notes;  // as many

  size_t size() const { return flows.size(); }
  FlowEntries part(size_t first, size_t count) const {
    return {flows.subspan(first, count), notes.subspan(first, count)};
  }
};

/// `std::nullopt` while its worker has not laid it out, or if it is not laid out as we know it.
std::optional<FlowEntries> flows_in(std::span<const std::byte> memory);

/// A copy of an entry that is of one flow; nothing if it is free. `torn` is set if it changed hands all the time.
std::optional<Flow> read_flow(const Flow& entry, bool& torn);

class FlowScan {
 public:
  /// Keeps the `limit` oldest. `now_ms`: CLOCK_MONOTONIC, low 32 bits.
  FlowScan(FlowFilter filter, size_t limit, uint32_t now_ms);

  /// Looks at these entries of `worker`'s table.
  void look_at(const FlowEntries& entries, uint32_t worker);

  uint64_t matched() const { return matched_; }
  uint64_t looked_at() const { return looked_at_; }
  uint64_t torn() const { return torn_; }
  /// By TcpState, of those that matched.
  const std::map<TcpState, uint64_t>& states() const { return states_; }
  /// Oldest first.
  std::vector<SeenFlow> take_oldest();

 private:
  FlowFilter filter_;
  size_t limit_;
  uint32_t now_ms_;
  uint64_t matched_ = 0;
  uint64_t looked_at_ = 0;
  uint64_t torn_ = 0;
  std::map<TcpState, uint64_t> states_;
  std::vector<SeenFlow> oldest_;  // a heap, youngest on top
};

/// How long nothing has come, as the deadline says.
uint32_t idle_ms(const Flow& flow, const FlowTimers& timers, uint32_t now_ms);

}  // namespace sluice::control

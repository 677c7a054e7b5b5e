// SPDX-License-Identifier: Apache-2.0
//
// What inspections (inspections.h) get to see: records of what became of a packet, for a trace, and copies of frames,
// for a capture. A packet that one wants is noted as it came, goes through the same functions as every other, and what
// they did with it is read off afterwards: the counters that moved, the flow it has, the frames that wait to be sent.
// So nothing on a packet's way knows of inspections, and no decision can be left out. Thread safety: none; one worker
// owns it.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/contract/trace.h"
#include "dataplane/worker/burst.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/exception_frame.h"
#include "dataplane/worker/inspections.h"
#include "dataplane/worker/placement.h"

namespace sluice {

class Inspector {
 public:
  Inspector(const Context& context, const Placement& placement) noexcept
      : setup_(context.setup),
        clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        egress_(context.egress),
        placement_(placement),
        inspections_(context.setup.stats->inspections) {}

  /// A new connection of control, and where its records go.
  void attach(rte_ring* trace) noexcept;
  std::optional<channel::RejectReason> start(const channel::StartInspection& message) noexcept;
  std::optional<channel::RejectReason> stop(uint16_t id) noexcept { return inspections_.drop(id); }

  bool any() const noexcept { return inspections_.any(); }
  /// Ends those whose time has come, or whose control is gone. To be called between bursts.
  void expire() noexcept;

  /// The inspections that want a packet, and may have it: 0 if none.
  uint8_t wanting(const Burst& burst, uint32_t i) noexcept;
  uint8_t wanting(const ExceptionFrame& frame) noexcept;
  uint8_t wanting(const rte_mbuf& mbuf) noexcept;

  /// What is noted of one packet. Handed on only when it is certain whose it is.
  struct Notes {
    static constexpr uint32_t kRecords = 24;
    static constexpr uint32_t kFrames = 8;  // that a packet may cause; more are sent and not told of
    /// Counters that tell what became of a packet: all before the gauges.
    static constexpr uint32_t kCounters = static_cast<uint32_t>(Counter::kFlowsEmbryonicNow);

    channel::TraceRecord* add(channel::TraceStage stage, uint8_t detail = 0) noexcept;

    uint8_t inspections;
    uint32_t port;
    uint64_t time_ns;
    // Of a segment, before it is placed.
    bool was_known;
    channel::ServiceId service;
    Endpoint client;

    uint32_t records = 0;
    std::array<channel::TraceRecord, kRecords> record;
    uint32_t copies = 0;
    std::array<rte_mbuf*, kFrames + 1> copy;
    bool lost = false;  // a record or copy found no room
    std::array<uint64_t, kCounters> counters;
    std::array<uint32_t, channel::kMaxPorts> queued;
  };

  void begin(Notes& notes, uint8_t inspections, uint32_t port, const rte_mbuf& mbuf) noexcept;
  /// Of a segment, before it is placed; and after, which returns the inspections whose it is.
  void begin(Notes& notes, uint8_t inspections, const Burst& burst, uint32_t i) noexcept;
  uint8_t note_flow(Notes& notes, const Burst& burst, uint32_t i) noexcept;
  /// `inspections`: those of the notes' whose it is.
  void end(Notes& notes, uint8_t inspections) noexcept;

 private:
  uint8_t admit(uint8_t inspections) noexcept {
    return inspections == 0 ? inspections : inspections_.admit(inspections, clock_.now_ms());
  }
  uint8_t wanting(const Endpoint& one, const Endpoint& other) noexcept;
  void trace_flow(Notes& notes, const Burst& burst, uint32_t i) noexcept;
  void note_frame(Notes& notes, channel::TraceStage stage, uint32_t port, const rte_mbuf& mbuf) noexcept;
  void note_sent(Notes& notes) noexcept;
  rte_mbuf* copy_for_capture(const Notes& notes, uint32_t port, const rte_mbuf& mbuf, uint32_t header_bytes,
                             bool in) noexcept;
  void put_records(Notes& notes, uint8_t tracing) noexcept;
  void put_copies(Notes& notes, uint8_t capturing) noexcept;

  const WorkerSetup& setup_;
  const PollClock& clock_;
  const Counters& counters_;
  const FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
  const Placement& placement_;
  Inspections inspections_;
  rte_ring* trace_ = nullptr;
  uint32_t packets_ = 0;  // traced
};

}  // namespace sluice

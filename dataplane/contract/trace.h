// SPDX-License-Identifier: Apache-2.0
//
// Inspections: what control asks a worker to tell of some clients' packets, and what the worker answers. An inspection
// names packets by client, service and backend; it traces them (records of what each stage decided, in a ring of their
// own), hands copies of them to the capture, or both. An inspection ends by itself: by its deadline, by its count of
// packets, and with the connection of the control that asked for it. Records hold addresses, numbers and decisions,
// never payload.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "dataplane/contract/address.h"
#include "dataplane/contract/flow.h"
#include "dataplane/contract/messages.h"

namespace sluice::channel {

/// What a record tells. The records of one packet stand together, in this order; `packet` counts packets.
enum class TraceStage : uint8_t {
  kReceived = 1,  // `frame`, through `port`
  kFound,         // `flow`: it belongs to this one
  kPlaced,        // `flow`: this one was made for it; `detail` is a PlacedBy
  kNoFlow,        // it belongs to none
  kSent,          // `frame` as it left through `port`
  kMade,          // likewise, and the worker made it: a reset, a PROXY header, an ICMP error
  kCounted,       // `counter` went up: a drop, a punt, a hand-over, a reset, ...
};

/// The rule by which a new flow got its backend.
enum class PlacedBy : uint8_t {
  kTable = 0,     // the entry that the hash names
  kTableFurther,  // an entry after it: the first choice is down, full or taken
  kTurn,          // wrr
  kLoad,          // least_conn
  kAdopted,       // met in mid-stream: by the table
  kPeer,          // met in mid-stream: where another node has told that it is
  kCount
};

/// A frame with a TCP segment, or another frame of IP: then ports, numbers and flags are 0.
struct TracedFrame {
  Endpoint source;
  Endpoint destination;
  uint16_t ip_bytes;
  uint16_t payload_bytes;
  uint32_t sequence;  // host order
  uint32_t ack;
};

struct TracedFlow {
  ServiceId service;
  BackendId backend;
  uint32_t index;
  uint32_t age_ms;
  TcpState state;
  SmtpPhase smtp_phase;
  uint8_t flow_flags;  // FlowFlags
  uint8_t reserved;
};

/// A record as it lies in a ring.
struct alignas(64) TraceRecord {
  uint64_t time_ns;  // CLOCK_MONOTONIC
  uint32_t packet;
  TraceStage stage;
  uint8_t detail;  // of frames: TCP flags
  uint8_t port;
  uint8_t inspections;  // bit i: for the inspection at place i
  union {
    TracedFrame frame;
    TracedFlow flow;
    uint16_t counter;  // Counter
    uint8_t bytes[48];
  };

  TraceRecord() : time_ns(0), packet(0), stage(TraceStage::kReceived), detail(0), port(0), inspections(0), bytes{} {}
};

static_assert(sizeof(TraceRecord) == 64 && std::is_trivially_copyable_v<TraceRecord>);

inline constexpr std::string_view kCaptureFilePrefix = "capture-", kCaptureFileSuffix = ".pcapng";

/// Name of a capture's file in the instance's runtime directory.
inline std::string capture_file_name(uint64_t key) {
  std::string digits(16, '0');
  for (size_t i = 0; i < digits.size(); i++) digits[i] = "0123456789abcdef"[key >> (60 - 4 * i) & 0xf];
  return std::string(kCaptureFilePrefix) + digits + std::string(kCaptureFileSuffix);
}

}  // namespace sluice::channel

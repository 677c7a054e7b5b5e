// SPDX-License-Identifier: Apache-2.0
//
// Packets that one worker gives to another. Flows are never shared: where the devices cannot put a packet before the
// worker that owns its flow, whoever received it hands it over, through a ring of one producer and one consumer for
// each pair of workers. The owner follows from a hash of the client endpoint, which both directions know. A worker
// without a transmit queue of its own on a port hands what it forwards to the one that has it.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/worker_setup.h"

namespace sluice {

/// What is asked of the worker that gets an mbuf.
enum class Handed : uint8_t {
  kProcess,   // yours by its client
  kAsk,       // a fragment or ICMP error whose flow is not known here; go on if it is not known there either
  kSend,      // forwarded; send it through port mbuf->port
  kSendMade,  // made by a worker; likewise
};

/// Rides with an mbuf in `hash.usr`, which nothing else uses between receive and transmit.
struct HandoverNote {
  Handed what = Handed::kProcess;
  uint8_t asker = 0;  // kAsk: the worker that asked first
};

inline void put_note(rte_mbuf& mbuf, HandoverNote note) noexcept {
  mbuf.hash.usr = static_cast<uint32_t>(note.what) | uint32_t{note.asker} << 8;
}
inline HandoverNote note_of(const rte_mbuf& mbuf) noexcept {
  return {static_cast<Handed>(mbuf.hash.usr & 0xff), static_cast<uint8_t>(mbuf.hash.usr >> 8)};
}

/// The worker that owns the flows of clients with this hash. The bits are none of those that the index uses.
constexpr uint32_t owner_of(uint64_t client_hash, uint32_t workers) {
  return static_cast<uint32_t>(((client_hash >> 32 & 0xffff) * workers) >> 16);
}

/// Packets on their way to one worker, until a burst's worth is handed over at once.
struct HandoverQueue {
  uint32_t count = 0;
  uint64_t made = 0;  // bit i: mbufs[i] was made here, not received
  std::array<void*, kMaxBurst> mbufs;
};

}  // namespace sluice

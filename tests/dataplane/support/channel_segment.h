// SPDX-License-Identifier: Apache-2.0
//
// A channel segment of one worker, laid out as the main lcore does it, and how a worker gets to know of it.
#pragma once

#include <sys/mman.h>

#include <cstdlib>

#include "dataplane/contract/segment.h"
#include "dataplane/worker/setup.h"

namespace sluice::testing {

class ChannelSegment {
 public:
  explicit ChannelSegment(uint64_t epoch)
      : attachment_{epoch, 0, map(), channel::segment_bytes(1), channel::arena_offset(1)} {
    for (rte_ring* ring : {commands(), events(), trace()}) {
      if (rte_ring_init(ring, "segment", channel::kRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) abort();
    }
    if (rte_ring_init(sessions(), "sessions", channel::kSessionRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
      abort();
    if (rte_ring_init(hellos(), "hellos", channel::kHelloRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) abort();
  }
  ~ChannelSegment() { munmap(attachment_.base, attachment_.bytes); }
  ChannelSegment(const ChannelSegment&) = delete;
  ChannelSegment& operator=(const ChannelSegment&) = delete;

  const ChannelAttachment& attachment() const { return attachment_; }
  /// Its control is gone.
  void end() { attachment_.ended = true; }
  rte_ring* commands() const { return channel::command_ring(attachment_.base, 0); }
  rte_ring* events() const { return channel::event_ring(attachment_.base, 0); }
  rte_ring* trace() const { return channel::trace_ring(attachment_.base, 0); }
  rte_ring* hellos() const { return channel::hello_ring(attachment_.base, 1, 0); }
  rte_ring* sessions() const { return channel::session_ring(attachment_.base, 1, 0); }

 private:
  static std::byte* map() {
    void* base = mmap(nullptr, channel::segment_bytes(1), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) abort();
    return static_cast<std::byte*>(base);
  }

  ChannelAttachment attachment_;
};

}  // namespace sluice::testing

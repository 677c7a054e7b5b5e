// SPDX-License-Identifier: Apache-2.0
//
// A worker that other nodes have told of their flows.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "dataplane/contract/placement.h"
#include "tests/dataplane/support/told_memory.h"

namespace sluice::testing {

inline const Endpoint kVip = endpoint("192.0.2.25", 25);
inline const Endpoint kClient = endpoint("198.51.100.7", 40000);
inline const Endpoint kNear = endpoint("198.51.100.9", 1);  // by whom the worker knows the way to clients
inline const Endpoint kBackends[] = {endpoint("10.0.1.10", 2525), endpoint("10.0.1.11", 2525),
                                     endpoint("10.0.1.12", 2525)};

inline const Address kOurAddress = address("10.0.1.1");
inline const Address kPeersAddress = address("10.0.1.2");

/// Who speaks with whom. The hash leads `client` to one of the backends.
struct ToldEnds {
  Endpoint vip, client, near;
  std::array<Endpoint, 3> backends;
  Address ours, peers;  // towards the backends
};
inline const ToldEnds kEnds4{kVip,        kClient,      kNear, {kBackends[0], kBackends[1], kBackends[2]},
                             kOurAddress, kPeersAddress};
inline const ToldEnds kEnds6{endpoint("2001:db8:25::25", 25),
                             endpoint("2001:db8:1::7", 40000),
                             endpoint("2001:db8:1::9", 1),
                             {endpoint("fd00:1::10", 2525), endpoint("fd00:1::11", 2525), endpoint("fd00:1::12", 2525)},
                             address("fd00:1::1"),
                             address("fd00:1::2")};

/// A worker with three backends, of which the hash leads the client to `by_hash`, and with addresses towards them: one
/// of its own, and one of another node's.
struct ToldNode : ToldMemory, WorkerBench {
  static constexpr uint32_t kFlowCapacity = 4096;

  /// `flows`: of other nodes that it has room for.
  explicit ToldNode(const channel::PutService& service = {}, uint64_t flows = 64, uint32_t workers = 1,
                    const ToldEnds& between = kEnds4, uint32_t flow_capacity = kFlowCapacity)
      : ToldNode(tell_ring(), service, flows, workers, between, flow_capacity) {}
  ToldNode(rte_ring* ring, const channel::PutService& service, uint64_t flows, uint32_t workers,
           const ToldEnds& between, uint32_t flow_capacity)
      : ToldMemory(flows),
        WorkerBench({.flow_capacity = flow_capacity, .workers = workers, .tells = ring, .told = &table}),
        ends(between),
        tells(ring) {
    put_local(0, ends.ours);
    put_local(1, ends.peers, channel::kLocalOfPeer);
    for (uint16_t id = 0; id < 3; id++) put_sole_backend(id, ends.backends[id], 0);
    put_service(0, ends.vip, {0, 1, 2}, service);
    turn();
    client_sends(Frame().from(ends.near).to(ends.vip).syn().seq(1));
    turn();
    EXPECT_EQ(back().take().size(), 1U);
    told();
    const uint64_t hash = placement_hash(ends.client, ends.vip, channel::HashOn::kConnection);
    by_hash = static_cast<uint16_t>(table_index(hash, 3));
    other = by_hash == 0 ? 1 : 0;
  }

  void tell(uint16_t backend, FlowStage stage = FlowStage::kOpen, uint8_t proxy_bytes = 0,
            channel::Forwarding forwarding = channel::Forwarding::kNat) {
    ToldFlow flow = flow_with(backend, ends);
    flow.forwarding = forwarding;
    flow.stage = stage;
    flow.proxy_bytes = proxy_bytes;
    tell(flow);
  }
  void tell(const ToldFlow& flow) { table.put(flow, 0, 1); }
  static ToldFlow flow_with(uint16_t backend, const ToldEnds& ends = kEnds4) {
    return {.client = ends.client,
            .vip = ends.vip,
            .backend = ends.backends[backend],
            .local = {},
            .stage = FlowStage::kOpen,
            .splice = {}};
  }
  /// The flows of which the worker has told since the last call.
  std::vector<FlowIndex> told() { return take_told(tells); }

  const ToldEnds& ends;
  rte_ring* tells;
  uint16_t by_hash = 0;
  uint16_t other = 0;
};

inline Frame from_client(const ToldEnds& ends = kEnds4) {
  return Frame().from(ends.client).to(ends.vip).seq(700).ack(900).psh().payload("RCPT\r\n");
}
inline Frame from_backend(uint16_t backend, const ToldEnds& ends = kEnds4) {
  return Frame().from(ends.backends[backend]).to(ends.client).seq(900).ack(706).psh().payload("250 ok\r\n");
}

}  // namespace sluice::testing

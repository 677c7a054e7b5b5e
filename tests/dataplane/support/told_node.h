// SPDX-License-Identifier: Apache-2.0
//
// A worker that other nodes have told of their flows.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/contract/placement.h"
#include "dataplane/peers/told_table.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

inline const Endpoint kVip = endpoint("192.0.2.25", 25);
inline const Endpoint kClient = endpoint("198.51.100.7", 40000);
inline const Endpoint kNear = endpoint("198.51.100.9", 1);  // by whom the worker knows the way to clients
inline const Endpoint kBackends[] = {endpoint("10.0.1.10", 2525), endpoint("10.0.1.11", 2525),
                                     endpoint("10.0.1.12", 2525)};

inline const Address kOurAddress = address("10.0.1.1");
inline const Address kPeersAddress = address("10.0.1.2");

struct ToldMemory {
  explicit ToldMemory(uint64_t flows)
      : bytes(static_cast<std::byte*>(aligned_alloc(64, ToldTable::bytes_for({flows}))), &free),
        table((std::memset(bytes.get(), 0, ToldTable::bytes_for({flows})), bytes.get()), {flows}, 1) {}

  std::unique_ptr<std::byte, decltype(&free)> bytes;
  ToldTable table;
};

inline rte_ring* tell_ring() {
  start_eal();
  static int next = 0;
  const std::string name = "tells" + std::to_string(next++);
  return rte_ring_create_elem(name.c_str(), sizeof(FlowIndex), 64, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

/// A worker with three backends, of which the hash leads `kClient` to `by_hash`, and with addresses towards them: one
/// of its own, and one of another node's.
struct ToldNode : ToldMemory, WorkerBench {
  /// `flows`: of other nodes that it has room for.
  explicit ToldNode(const channel::PutService& service = {}, uint64_t flows = 64, uint32_t workers = 1)
      : ToldNode(tell_ring(), service, flows, workers) {}
  ToldNode(rte_ring* ring, const channel::PutService& service, uint64_t flows, uint32_t workers)
      : ToldMemory(flows),
        WorkerBench({.workers = workers,
                     .spread = workers == 1 ? Spread::kAlone : Spread::kHandover,
                     .tells = ring,
                     .told = &table}),
        tells(ring) {
    put_local(0, kOurAddress);
    put_local(1, kPeersAddress, channel::kLocalOfPeer);
    for (uint16_t id = 0; id < 3; id++) put_sole_backend(id, kBackends[id], 0);
    put_service(0, kVip, {0, 1, 2}, service);
    turn();
    EXPECT_TRUE(client_to_backend(Frame().from(kNear).to(kVip).syn().seq(1)));
    told();
    const uint64_t hash = placement_hash(kClient, kVip, channel::HashOn::kConnection);
    by_hash = static_cast<uint16_t>(table_index(hash, 3));
    other = by_hash == 0 ? 1 : 0;
  }

  void tell(uint16_t backend, FlowStage stage = FlowStage::kOpen, uint8_t proxy_bytes = 0,
            channel::Forwarding forwarding = channel::Forwarding::kNat) {
    ToldFlow flow = flow_with(backend);
    flow.forwarding = forwarding;
    flow.stage = stage;
    flow.proxy_bytes = proxy_bytes;
    tell(flow);
  }
  void tell(const ToldFlow& flow) { table.put(flow, 0, 1); }
  static ToldFlow flow_with(uint16_t backend) {
    return {.client = kClient,
            .vip = kVip,
            .backend = kBackends[backend],
            .local = {},
            .stage = FlowStage::kOpen,
            .splice = {}};
  }
  /// The flows of which the worker has told since the last call.
  std::vector<FlowIndex> told() {
    std::vector<FlowIndex> out(64);
    out.resize(rte_ring_sc_dequeue_burst_elem(tells, out.data(), sizeof(FlowIndex), 64, nullptr));
    return out;
  }

  rte_ring* tells;
  uint16_t by_hash = 0;
  uint16_t other = 0;
};

inline Frame from_client() {
  return Frame().from(kClient).to(kVip).seq(700).ack(900).psh().payload("RCPT\r\n");
}
inline Frame from_backend(uint16_t backend) {
  return Frame().from(kBackends[backend]).to(kClient).seq(900).ack(706).psh().payload("250 ok\r\n");
}

}  // namespace sluice::testing

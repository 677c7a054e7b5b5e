// SPDX-License-Identifier: Apache-2.0
//
// Nodes that exchange over the loopback interface: each a worker on a bench, its rings, and what the other has told.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <rte_ring_elem.h>
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/peers/exchange.h"
#include "dataplane/peers/passed_answer.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

inline const Endpoint kVip = endpoint("192.0.2.25", 25);
inline const Endpoint kBackend = endpoint("10.0.1.10", 2525);
inline const std::vector<uint8_t> kSecret(32, 7);

inline Endpoint client(uint16_t port) {
  return endpoint("198.51.100.7", port);
}

/// The rings between a worker and its exchange.
struct Rings {
  template <typename Element>
  static rte_ring* make(uint32_t entries) {
    start_eal();
    static int next = 0;
    const std::string name = "exchange" + std::to_string(sizeof(Element)) + "-" + std::to_string(next++);
    return rte_ring_create_elem(name.c_str(), sizeof(Element), entries, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  }
  TellingWorker with(const FlowNames& flows) const { return {flows, tells, answers_out, answers_in}; }

  rte_ring* tells = make<FlowIndex>(kTellRingEntries);
  rte_ring* answers_out = make<PassedAnswer>(kAnswerRingEntries);
  rte_ring* answers_in = make<PassedAnswer>(kAnswerRingEntries);
};

/// A port of the loopback interface that nobody has.
inline Endpoint free_endpoint() {
  const Descriptor probe(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof at;
  EXPECT_EQ(bind(probe.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  getsockname(probe.get(), reinterpret_cast<sockaddr*>(&at), &bytes);
  return {endpoint("127.0.0.1", 0).address, Be16{at.sin_port}};
}

/// A node, with one service over one backend, or as `configure` has it.
struct Node {
  static constexpr ToldTable::Room kRoom{.flows = 64, .entries_each = ToldTable::kMostEntries};

  Node(const Endpoint& here, const Endpoint& there, const std::vector<uint8_t>& secret = kSecret,
       std::byte* flow_memory = nullptr, const std::function<void(WorkerBench&)>& configure = configure_plainly)
      : bench({.flow_memory = flow_memory,
               .tells = rings.tells,
               .told = &table,
               .answers_out = rings.answers_out,
               .answers_in = rings.answers_in}) {
    configure(bench);
    bench.turn();
    exchange =
        std::make_unique<Exchange>(ExchangeOptions{.node = "edge", .listen = here, .to = {there}, .secret = secret},
                                   std::vector{worker()}, table, *status);
  }

  static void configure_plainly(WorkerBench& bench) {
    bench.put_backend(0, kBackend);
    bench.put_service(0, kVip, {0});
  }
  TellingWorker worker() { return rings.with(FlowNames(bench.flow_memory(), 4096)); }

  std::unique_ptr<std::byte, decltype(&free)> memory{
      static_cast<std::byte*>(aligned_alloc(64, ToldTable::bytes_for(kRoom))), &free};
  ToldTable table{(std::memset(memory.get(), 0, ToldTable::bytes_for(kRoom)), memory.get()), kRoom, 1};
  std::unique_ptr<channel::PeersStatus> status = std::make_unique<channel::PeersStatus>();
  Rings rings;
  WorkerBench bench;
  std::unique_ptr<Exchange> exchange;
};

struct Pair {
  Endpoint here = free_endpoint();
  Endpoint there = free_endpoint();
};

/// Turns both until the condition holds.
inline void turn_until(Node& a, Node& b, const std::function<bool()>& condition) {
  for (int i = 0; i < 10'000 && !condition(); i++) {
    a.exchange->turn(1);
    b.exchange->turn(1);
  }
  EXPECT_TRUE(condition());
}

}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// Two nodes with their exchange between them, of which one has the clients' packets, and the other the servers'.
#pragma once

#include "tests/dataplane/support/exchange_node.h"

namespace sluice::testing {

inline constexpr uint32_t kIsn = 1000, kServerIsn = 5000;
inline const Endpoint kSecond = endpoint("10.0.1.11", 2525);
inline const Endpoint kNeighbour = endpoint("198.51.100.9", 1);  // by whom a node knows the way to clients
inline const Bytes kServerOptions{2, 4, 5, 0xb4, 1, 3, 3, 9};

/// `asks_` has the clients' packets, `hears_` the servers'.
class Elsewhere : public ::testing::Test {
 protected:
  explicit Elsewhere(const channel::PutService& service) : service_(service) {}

  void SetUp() override {
    turn_until(asks_, hears_,
               [&] { return asks_.status->peer[0].datagrams > 1 && hears_.status->peer[0].datagrams > 1; });
    hears_.bench.client_sends(Frame().from(kNeighbour).to(kVip).syn().seq(1));
    hears_.bench.turn();
    if (service_.syn_proxy == channel::SynProxy::kAlways) {
      const auto promised = hears_.bench.to_clients();
      ASSERT_EQ(promised.size(), 1U);
      hears_.bench.client_sends(Frame().from(kNeighbour).to(kVip).seq(2).ack(promised[0].seq + 1));
      hears_.bench.turn();
    }
    ASSERT_EQ(hears_.bench.back().take().size(), 1U);
  }
  void TearDown() override {
    asks_.bench.expect_counter_law();
    hears_.bench.expect_counter_law();
  }

  static Frame from_client() { return Frame().from(client(7)).to(kVip); }
  static Frame from_server() { return Frame().from(kBackend).to(client(7)); }
  static Frame answer() { return from_server().syn().seq(kServerIsn).ack(kIsn + 1).tcp_options(kServerOptions); }

  void server_says(const Frame& frame) {
    hears_.bench.backend_sends(frame);
    hears_.bench.turn();
  }
  /// Lets what is passed on arrive. Returns what the asking node sends then.
  struct Came {
    std::vector<ReadFrame> to_clients, to_backends;
  };
  Came after_exchange() {
    for (int i = 0; i < 20; i++) {
      hears_.exchange->turn(1);
      asks_.exchange->turn(1);
    }
    asks_.bench.turn();
    return {asks_.bench.to_clients(), asks_.bench.to_backends()};
  }
  void expect_nothing_at_hearing_node() {
    EXPECT_TRUE(hears_.bench.to_clients().empty());
    EXPECT_TRUE(hears_.bench.to_backends().empty());
    EXPECT_TRUE(hears_.bench.punted().empty());
  }
  static void wait_told_asked(Node& at, Node& other) {
    turn_until(at, other, [&] {
      const auto told = other.table.from_client(client(7), kVip);
      return told && told->is_asked();
    });
  }
  void wait_told_open() {
    turn_until(asks_, hears_, [&] { return hears_.table.from_client(client(7), kVip)->stage == FlowStage::kOpen; });
  }

 private:
  void configure(WorkerBench& bench) const {
    bench.put_sole_backend(0, kBackend, 0);
    bench.put_sole_backend(1, kSecond, 0);
    bench.put_service(0, kVip, {0}, service_);
  }

  const channel::PutService service_;
  const Pair at_;

 protected:
  Node asks_{at_.here, at_.there, kSecret, nullptr, [this](WorkerBench& bench) { configure(bench); }};
  Node hears_{at_.there, at_.here, kSecret, nullptr, [this](WorkerBench& bench) { configure(bench); }};
};

}  // namespace sluice::testing

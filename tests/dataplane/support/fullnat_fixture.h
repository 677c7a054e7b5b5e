// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

struct Family {
  const char* name;
  Endpoint client, vip, backend, other_backend;
  Address local, router;
};

inline const Family kFamilies[]{
    {"IPv4", endpoint("198.51.100.7", 40000), endpoint("192.0.2.25", 25), endpoint("10.0.1.10", 2525),
     endpoint("10.0.1.11", 2525), address("10.0.1.1"), address("198.51.100.254")},
    {"IPv6", endpoint("2001:db8:1::7", 40000), endpoint("2001:db8:25::25", 25), endpoint("fd00:1::10", 2525),
     endpoint("fd00:1::11", 2525), address("fd00:1::1"), address("2001:db8:ffff::1")},
};

/// Services 0 (IPv4) and 1 (IPv6), each over one backend of the same number.
class FullnatTest : public ::testing::Test {
 protected:
  void SetUp() override { set_up(bench_, {}); }
  void TearDown() override { bench_.expect_counter_law(); }

  static void set_up(WorkerBench& bench, channel::PutService service) {
    service.forwarding = channel::Forwarding::kFullnat;
    for (uint16_t i = 0; i < 2; i++) {
      bench.put_local(i, kFamilies[i].local);
      bench.put_backend(i, kFamilies[i].backend);
      bench.put_service(i, kFamilies[i].vip, {i}, service);
    }
    bench.turn();
    EXPECT_EQ(bench.counter(channel::Counter::kCommandsRejected), 0u);
  }

  /// A handshake. Returns our endpoint at the backend.
  static std::optional<Endpoint> establish(WorkerBench& bench, const Endpoint& client, const Endpoint& vip) {
    const auto syn = bench.client_to_backend(Frame().from(client).to(vip).syn().seq(1000));
    if (!syn) return std::nullopt;
    const auto answer =
        bench.backend_to_client(Frame().from(syn->destination).to(syn->source).syn().seq(5000).ack(1001));
    const auto ack = bench.client_to_backend(Frame().from(client).to(vip).seq(1001).ack(5001));
    if (!answer || !ack || ack->source != syn->source) return std::nullopt;
    return syn->source;
  }
  std::optional<Endpoint> establish(const Endpoint& client, const Endpoint& vip) {
    return establish(bench_, client, vip);
  }

  WorkerBench bench_;
};

}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// Conversations through a worker, and the records that remain of them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

inline const Endpoint kVip = endpoint("192.0.2.25", 25);
inline const Endpoint kTlsVip = endpoint("192.0.2.25", 465);
inline const Endpoint kDsrVip = endpoint("192.0.2.26", 25);
inline const Endpoint kEmptyVip = endpoint("192.0.2.27", 25);
inline const Endpoint kClient = endpoint("198.51.100.7", 40000);
inline const Endpoint kBackend = endpoint("10.0.1.10", 2525);

class SessionRecordsTest : public ::testing::Test {
 protected:
  SessionRecordsTest() : bench_({.on_idle_expiry = OnIdleExpiry::kReset}) {}

  void SetUp() override {
    bench_.put_backend(0, kBackend);
    bench_.put_service(0, kVip, {0});
    bench_.put_service(1, kTlsVip, {0});
    channel::PutService dsr{};
    dsr.forwarding = channel::Forwarding::kDsr;
    bench_.put_service(2, kDsrVip, {0}, dsr);
    bench_.put_service(3, kEmptyVip, std::vector<uint16_t>{});
    bench_.turn();
    ASSERT_EQ(bench_.counter(channel::Counter::kCommandsApplied), 7u);
  }
  void TearDown() override { bench_.expect_counter_law(); }

  void connect(const Endpoint& vip = kVip) {
    vip_ = vip;
    client_ = 1001;
    server_ = 5001;
    bench_.client_sends(Frame().from(kClient).to(vip).syn().seq(1000));
    bench_.turn();
    bench_.backend_sends(Frame().from(kBackend).to(kClient).syn().seq(5000).ack(1001));
    bench_.turn(5);
    bench_.client_sends(frame_up());
    bench_.turn(2);
    bench_.to_backends();
    bench_.to_clients();
  }
  void client_says(const std::string& text) {
    ASSERT_TRUE(bench_.client_to_backend(frame_up().psh().payload(text)));
    client_ += static_cast<uint32_t>(text.size());
  }
  void server_says(const std::string& text) {
    ASSERT_TRUE(bench_.backend_to_client(frame_down().psh().payload(text)));
    server_ += static_cast<uint32_t>(text.size());
  }
  void dialogue(const std::string& command, const std::string& reply) {
    client_says(command);
    server_says(reply);
  }
  void server_then_client_finish() {
    ASSERT_TRUE(bench_.backend_to_client(frame_down().fin()));
    server_++;
    ASSERT_TRUE(bench_.client_to_backend(frame_up().fin()));
  }
  Frame frame_up() const { return Frame().from(kClient).to(vip_).seq(client_).ack(server_); }
  Frame frame_down() const { return Frame().from(kBackend).to(kClient).seq(server_).ack(client_); }

  channel::SessionRecord the_record() {
    const std::vector<channel::SessionRecord> all = bench_.sessions();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? channel::SessionRecord{} : all.front();
  }

  WorkerBench bench_;
  Endpoint vip_;
  uint32_t client_ = 0, server_ = 0;
};

}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// A client and a server that talk to each other through a worker.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

inline const Endpoint kVip = endpoint("192.0.2.25", 25);
inline const Endpoint kTlsVip = endpoint("192.0.2.25", 465);
inline const Endpoint kClient = endpoint("198.51.100.7", 40000);
inline const Endpoint kBackend = endpoint("10.0.1.10", 2525);

class ConversationTest : public ::testing::Test {
 protected:
  explicit ConversationTest(const BenchOptions& options = {}) : bench_(options) {}

  /// Their handshake is over, or about to begin, with these numbers.
  void begin(const Endpoint& vip) {
    vip_ = vip;
    client_ = 1001;
    server_ = 5001;
  }
  void client_says(const std::string& text) {
    ASSERT_TRUE(bench_.client_to_backend(frame_up().psh().payload(text)));
    client_ += static_cast<uint32_t>(text.size());
  }
  void server_says(const std::string& text) {
    ASSERT_TRUE(bench_.backend_to_client(frame_down().psh().payload(text)));
    server_ += static_cast<uint32_t>(text.size());
  }
  void server_then_client_finish() {
    ASSERT_TRUE(bench_.backend_to_client(frame_down().fin()));
    server_++;
    ASSERT_TRUE(bench_.client_to_backend(frame_up().fin()));
  }
  Frame frame_up() const { return Frame().from(kClient).to(vip_).seq(client_).ack(server_); }
  Frame frame_down() const { return Frame().from(kBackend).to(kClient).seq(server_).ack(client_); }

  WorkerBench bench_;
  Endpoint vip_;
  uint32_t client_ = 0, server_ = 0;
};

}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// Services without a backend, and clients that hear of it.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "dataplane/worker/responder.h"
#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {

using channel::Counter;

inline constexpr uint8_t kFin = kTcpFin, kSyn = kTcpSyn, kRst = kTcpRst, kPsh = kTcpPsh, kAck = kTcpAck;
inline constexpr uint32_t kIsn = 0xffff'fff8;  // its text goes around the end of the numbers
inline const std::string kLine = "421 4.3.2 try again later\r\n";

inline std::string text(const ReadFrame& frame) {
  return {frame.payload.begin(), frame.payload.end()};
}

/// Services 0 (v4) and 1 (v6) say 421; 2 resets, 3 is silent. None has a backend.
class ResponderTest : public ::testing::Test {
 protected:
  explicit ResponderTest(const BenchOptions& options = {}) : bench_(options) {}

  void SetUp() override {
    bench_.put_backend(0, backend4(0));
    bench_.put_backend(1, backend6(1));
    put_service(0, kVip, channel::OnNoBackend::k421);
    put_service(1, kVip6, channel::OnNoBackend::k421);
    put_service(2, kOtherVip, channel::OnNoBackend::kReset);
    put_service(3, endpoint("192.0.2.27", 25), channel::OnNoBackend::kSilence);
    turns();
    ASSERT_EQ(bench_.counter(Counter::kCommandsRejected), 0u);
  }

  void TearDown() override {
    EXPECT_EQ(bench_.worker().flows().size(), 0u);
    bench_.expect_counter_law();
  }

  /// All that there are: sessions that nobody knows have nothing to wait for.
  void put_backends_down() {
    bench_.put_backend(0, backend4(0), channel::kBackendReachable | channel::kBackendDown);
    bench_.put_backend(1, backend6(1), channel::kBackendReachable | channel::kBackendDown);
  }

  void put_service(uint16_t id, const Endpoint& vip, channel::OnNoBackend answer, std::vector<uint16_t> table = {}) {
    channel::PutService message{};
    message.on_no_backend = answer;
    bench_.put_service(id, vip, table, message);
  }

  void turns(uint64_t advance_ms = 0) {
    bench_.turn(advance_ms);
    bench_.turns(2);  // what other workers have to do with it
  }

  /// What comes back to one frame.
  std::vector<ReadFrame> answers(const Frame& frame) {
    bench_.client_sends(frame);
    turns();
    EXPECT_TRUE(bench_.to_backends().empty());
    return bench_.to_clients();
  }

  std::optional<ReadFrame> answer(const Frame& frame) {
    const auto all = answers(frame);
    EXPECT_EQ(all.size(), 1u);
    return all.size() == 1 ? std::optional(all[0]) : std::nullopt;
  }

  static Frame from(const Endpoint& client, const Endpoint& vip = kVip) { return Frame().from(client).to(vip); }

  /// The number of our SYN-ACK.
  uint32_t shake(const Endpoint& client = kClient, const Endpoint& vip = kVip) {
    const auto syn_ack = answer(from(client, vip).syn().seq(kIsn));
    return syn_ack ? syn_ack->seq : 0;
  }

  /// The number of the line's first byte, which the client has been sent.
  uint32_t refuse(const Endpoint& client = kClient) {
    const uint32_t first = shake(client) + 1;
    const auto reply = answer(from(client).seq(kIsn + 1).ack(first));
    EXPECT_TRUE(reply && text(*reply) == kLine);
    return first;
  }

  uint64_t count(Counter counter) const { return bench_.counter(counter); }

  WorkerBench bench_;
};

void expect_back(const ReadFrame& frame, const Endpoint& client, const Endpoint& vip, uint16_t vlan = 0) {
  EXPECT_EQ(frame.source, vip);
  EXPECT_EQ(frame.destination, client);
  EXPECT_EQ(frame.source_mac, WorkerBench::front_mac());
  EXPECT_EQ(frame.destination_mac, mac(0xc1));
  EXPECT_EQ(frame.vlan, vlan);
}

}  // namespace sluice::testing

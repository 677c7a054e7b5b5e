// SPDX-License-Identifier: Apache-2.0
//
// Conversations through a worker, and the records that remain of them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/dataplane/support/conversation_fixture.h"

namespace sluice::testing {

inline const Endpoint kDsrVip = endpoint("192.0.2.26", 25);
inline const Endpoint kEmptyVip = endpoint("192.0.2.27", 25);

class SessionRecordsTest : public ConversationTest {
 protected:
  SessionRecordsTest() : ConversationTest({.on_idle_expiry = OnIdleExpiry::kReset}) {}

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
    begin(vip);
    bench_.client_sends(Frame().from(kClient).to(vip).syn().seq(1000));
    bench_.turn();
    bench_.backend_sends(Frame().from(kBackend).to(kClient).syn().seq(5000).ack(1001));
    bench_.turn(5);
    bench_.client_sends(frame_up());
    bench_.turn(2);
    bench_.to_backends();
    bench_.to_clients();
  }
  void dialogue(const std::string& command, const std::string& reply) {
    client_says(command);
    server_says(reply);
  }

  channel::SessionRecord the_record() {
    const std::vector<channel::SessionRecord> all = bench_.sessions();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? channel::SessionRecord{} : all.front();
  }
};

}  // namespace sluice::testing

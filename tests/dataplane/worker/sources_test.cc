// SPDX-License-Identifier: Apache-2.0
//
// Sources that may not begin sessions: whom the list stops, whom it leaves alone, and lists that are refused.
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

const std::vector<uint32_t> kNobody;
const std::vector<uint32_t> kClientsNet{0xc633'6400, 0xc633'6500};                       // 198.51.100.0/24
const std::vector<uint64_t> kClientsNet6{0x2001'0db8'0001'0000, 0x2001'0db8'0002'0000};  // 2001:db8:1::/48

class Sources : public WorkerTest {
 protected:
  void expect_dropped(const Endpoint& client, const Endpoint& vip, uint32_t isn = 1) {
    const uint64_t before = bench_.counter(Counter::kDropPolicy);
    EXPECT_FALSE(bench_.client_to_backend(Frame().from(client).to(vip).syn().seq(isn)));
    EXPECT_TRUE(bench_.to_clients().empty());
    EXPECT_EQ(bench_.counter(Counter::kDropPolicy), before + 1);
  }
};

TEST_F(Sources, BlockedOnesBeginNoSession) {
  bench_.put_sources(kClientsNet, kClientsNet6);
  expect_dropped(kClient, kVip);
  expect_dropped(kClient6, kVip6);
  EXPECT_TRUE(bench_.establish(endpoint("198.51.101.0", 40000), kVip));
  EXPECT_TRUE(bench_.establish(endpoint("2001:db8:2::7", 40000), kVip6));
  EXPECT_EQ(bench_.worker().flows().size(), 2u);
}

TEST_F(Sources, EachOfABurstIsJudgedByItself) {
  const auto open = bench_.establish(kClient, kVip);
  ASSERT_TRUE(open);
  bench_.put_sources(kClientsNet, kClientsNet6);
  bench_.turn();
  std::vector<Endpoint> free;
  for (uint16_t n = 0; n < 20; n++) {
    const std::string host = std::to_string(n + 10);
    for (const auto& [who, vip, blocked] : {std::tuple(endpoint("198.51.100." + host, 1), kVip, true),
                                            {endpoint("198.51.101." + host, 1), kVip, false},
                                            {endpoint("2001:db8:1::" + host, 1), kVip6, true},
                                            {endpoint("2001:db8:2::" + host, 1), kVip6, false}}) {
      bench_.client_sends(Frame().from(who).to(vip).syn().seq(1));
      if (!blocked) free.push_back(who);
    }
    bench_.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5001));
  }
  for (int turn = 0; turn < 5; turn++) bench_.turn();
  std::vector<Endpoint> let_in;
  for (const ReadFrame& frame : bench_.to_backends()) {
    if ((frame.flags & kTcpSyn) != 0) let_in.push_back(frame.source);
  }
  EXPECT_EQ(let_in, free);
  EXPECT_EQ(bench_.counter(Counter::kDropPolicy), 40u);
}

TEST_F(Sources, RefusedOnesHearSo) {
  channel::PutService message{};
  message.on_no_backend = channel::OnNoBackend::k421;
  bench_.put_service(0, kVip, {0, 1, 2}, message);
  const auto backend = bench_.establish(kClient, kVip);
  ASSERT_TRUE(backend);
  bench_.refuse(kClientsNet);
  bench_.turn();
  EXPECT_TRUE(bench_.backend_to_client(Frame().from(*backend).to(kClient).seq(5001).ack(1001).payload("220\r\n")))
      << "an open session goes on";
  const Endpoint another = endpoint("198.51.100.8", 40000);
  bench_.client_sends(Frame().from(another).to(kVip).syn().seq(1));
  bench_.turn();
  auto answer = bench_.to_clients();
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].flags, kTcpSyn | kTcpAck);
  bench_.client_sends(Frame().from(another).to(kVip).seq(2).ack(answer[0].seq + 1));
  bench_.turn();
  answer = bench_.to_clients();
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(std::string(answer[0].payload.begin(), answer[0].payload.end()), "421 4.3.2 try again later\r\n");
  EXPECT_TRUE(bench_.to_backends().empty());
  EXPECT_EQ(bench_.worker().flows().size(), 1u);
  EXPECT_TRUE(bench_.establish(endpoint("198.51.101.0", 40000), kVip)) << "others come in";
}

TEST_F(Sources, OpenSessionsGoOnWhenTheirSourceIsBlocked) {
  const auto backend = bench_.establish(kClient, kVip);
  ASSERT_TRUE(backend);
  bench_.put_sources(kClientsNet);
  bench_.turn();
  EXPECT_TRUE(bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).psh().payload("EHLO\r\n")));
  EXPECT_TRUE(
      bench_.backend_to_client(Frame().from(*backend).to(kClient).seq(5001).ack(1007).psh().payload("250\r\n")));
  EXPECT_EQ(bench_.counter(Counter::kDropPolicy), 0u);
}

/// A SYN that would begin another session from the same port ends or displaces what was there before.
TEST_F(Sources, ABlockedSourcesSynLeavesItsLastFlowAsItIs) {
  struct {
    const char* what;
    bool server_closes;
    uint32_t isn;
  } const cases[] = {{"closed by both", true, 9000}, {"half closed, and quiet", false, 9000}};
  uint16_t port = 41000;
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    bench_.put_sources(kNobody);
    const Endpoint client = endpoint("198.51.100.7", port++);
    const auto backend = bench_.establish(client, kVip);
    ASSERT_TRUE(backend);
    ASSERT_TRUE(bench_.client_to_backend(Frame().from(client).to(kVip).seq(1001).ack(5001).fin()));
    if (each.server_closes) {
      ASSERT_TRUE(bench_.backend_to_client(Frame().from(*backend).to(client).seq(5001).ack(1002).fin()));
    }
    bench_.turn(kHalfClosedQuietMs);
    const size_t flows = bench_.worker().flows().size();
    const uint64_t created = bench_.counter(Counter::kFlowsCreated);
    const Frame syn = Frame().from(client).to(kVip).syn().seq(each.isn);
    bench_.put_sources(kClientsNet);
    bench_.turn();
    expect_dropped(client, kVip, each.isn);
    EXPECT_EQ(bench_.worker().flows().size(), flows);
    EXPECT_EQ(bench_.counter(Counter::kFlowsCreated), created);
    if (!each.server_closes) {
      EXPECT_TRUE(bench_.backend_to_client(Frame().from(*backend).to(client).seq(5001).ack(1002).payload("250 ok\r\n")))
          << "what the server has yet to say";
    }
    bench_.put_sources(kNobody);
    bench_.turn();
    EXPECT_TRUE(bench_.client_to_backend(syn)) << "or nothing is proved";
  }
}

TEST_F(Sources, WhatIsBlockedIsNotAdoptedFromItsSegments) {
  bench_.put_sources(kClientsNet);
  EXPECT_FALSE(bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).psh().payload("DATA\r\n")));
  EXPECT_EQ(bench_.counter(Counter::kDropPolicy), 1u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsAdopted), 0u);
}

TEST_F(Sources, AnEmptyListLetsEverybodyInAgain) {
  bench_.put_sources(kClientsNet);
  expect_dropped(kClient, kVip);
  bench_.put_sources(kNobody);
  EXPECT_TRUE(bench_.establish(kClient, kVip));
}

TEST_F(Sources, ASnapshotThatNamesNoListDropsIt) {
  bench_.put_sources(kClientsNet);
  expect_dropped(kClient, kVip);
  bench_.command(channel::CommandType::kSnapshotBegin);
  for (uint16_t id = 0; id < 3; id++) bench_.put_backend(id, backend4(id));
  bench_.put_service(0, kVip, {0, 1, 2});
  bench_.turn();
  expect_dropped(kClient, kVip);  // until it has all been said
  bench_.command(channel::CommandType::kSnapshotEnd);
  EXPECT_TRUE(bench_.establish(kClient, kVip));
}

TEST_F(Sources, ARefusedListLeavesTheLastOne) {
  bench_.put_sources(kClientsNet);
  bench_.turn();
  struct {
    const char* what;
    uint32_t offset, v4, v6;
  } const cases[] = {
      {"begins behind the arena", 0xffff'ffff, 2, 0},
      {"ends behind the arena", static_cast<uint32_t>(channel::kArenaBytes / channel::kArenaUnit) - 1, 16, 2},
      {"more borders than there may be", 0, channel::kMaxSourceBorders + 1, 0},
      {"more borders than there may be, of IPv6", 0, 0, 0xffff'ffff}};
  uint64_t refused = 0;
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    channel::PutSources message{};
    message.header.type = channel::CommandType::kPutSources;
    message.offset = each.offset;
    message.v4_borders = each.v4;
    message.v6_borders = each.v6;
    bench_.command(channel::Command(message));
    bench_.turn();
    EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), ++refused);
    expect_dropped(kClient, kVip);
  }
}

TEST_F(Sources, ServersGoOnSpeakingToABlockedClient) {
  const auto backend = bench_.establish(kClient, kVip);
  ASSERT_TRUE(backend);
  bench_.put_sources(kClientsNet);
  bench_.turn();
  WorkerBench after({.flow_memory = bench_.flow_memory(), .snapshot = false});  // the process was started anew
  EXPECT_TRUE(after.backend_to_client(Frame().from(*backend).to(kClient).seq(5001).ack(1001).psh().payload("220\r\n")));
}

}  // namespace
}  // namespace sluice::testing

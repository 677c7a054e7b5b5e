// SPDX-License-Identifier: Apache-2.0
//
// The last word of a backend that leaves, to clients that are silent, and wherever else its sessions differ: time
// stamps, VLANs, numbers of their own at each end, several workers, SYN cookies, a restart.
#include "tests/dataplane/support/farewell_fixture.h"

namespace sluice::testing {
namespace {

TEST_F(FarewellTest, ASilentClientIsAskedAndToldWhenItAnswers) {
  connect();
  greet();
  send_message();
  leave();
  std::vector<ReadFrame> asked;
  for (int i = 0; i < 20 && asked.empty(); i++) {
    turns(500);
    const Came out = came();
    asked = out.to_client;
    EXPECT_TRUE(out.to_server.empty()) << "nothing of it is for the server";
  }
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].flags, kAck);
  EXPECT_EQ(asked[0].seq, down_ - 1) << "a keep-alive";
  EXPECT_EQ(asked[0].ack, up_);
  EXPECT_TRUE(asked[0].payload.empty());
  EXPECT_GE(count(Counter::kClientsAsked), 1u);
  bench_.client_sends(up());
  turns();
  const Came out = came();
  ASSERT_EQ(out.to_client.size(), 1u);
  expect_line(out.to_client[0], up_);
  ASSERT_EQ(out.to_server.size(), 1u);
  expect_reset(out.to_server[0]);
  EXPECT_EQ(count(Counter::kFlowsTold), 1u);
}

TEST_F(FarewellTest, ASilentClientThatLacksTheReplyIsNotTold) {
  connect();
  greet();
  exchange("EHLO x\r\n", "250 ok\r\n");
  exchange("MAIL FROM:<>\r\n", "250 ok\r\n");
  exchange("DATA\r\n", "354 go\r\n");
  client_says("x\r\n.\r\n");
  const uint32_t before = down_;
  bench_.backend_sends(down().psh().payload("250 queued\r\n"));  // and it is lost behind us
  turns();
  bench_.to_clients();
  leave();
  for (int i = 0; i < 30; i++) {
    turns(500);
    for (const ReadFrame& asked : bench_.to_clients()) {
      EXPECT_EQ(asked.seq, before + 11);
      bench_.client_sends(up().ack(before));
    }
  }
  EXPECT_GE(count(Counter::kClientsAsked), 1u);
  EXPECT_EQ(count(Counter::kFlowsTold), 0u) << "it would send the message once more";
  bench_.to_backends();
  server_says("250 queued\r\n");
}

TEST_F(FarewellTest, ManySilentClientsAreAskedAtABoundedRate) {
  constexpr uint16_t kClients = 600;
  for (uint16_t n = 0; n < kClients; n++) {
    connect({kClient.address, Be16::of(static_cast<uint16_t>(20000 + n))});
    greet();
  }
  turns(Farewell::kSilentMs);
  leave();
  bench_.to_clients();
  for (int i = 0; i < 10; i++) turns(100);
  EXPECT_LE(bench_.to_clients().size(), 2 * Farewell::kAskedPerSecond);
  EXPECT_GE(count(Counter::kClientsAsked), 100u);
}

TEST_F(FarewellTest, StampsWhatItSaysWhereTheClientDoes) {
  connect();
  greet();
  leave();
  bench_.client_sends(up().psh().payload("NOOP\r\n").tcp_options(TcpTraits::stamp(1234, 777)));
  turns();
  for (int i = 0; i < 2; i++) {  // also when it is sent again
    const Came out = came();
    ASSERT_EQ(out.to_client.size(), 1u);
    EXPECT_EQ(stamp_of(out.to_client[0]), (Stamp{777, 1234})) << "what it has seen of the server is not old";
    turns(1300);
  }
}

TEST_F(FarewellTest, LeavesARecordThatSaysSo) {
  connect();
  greet();
  send_message();
  leave();
  expect_told("MAIL FROM:<>\r\n");
  const auto records = bench_.sessions();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].end, SessionEnd::kTold);
  EXPECT_EQ(records[0].by, SessionParty::kBalancer);
  EXPECT_EQ(records[0].notes.messages_accepted, 1u);
  EXPECT_EQ(records[0].notes.flags & channel::kSessionTransaction, 0u);
  EXPECT_EQ(records[0].notes.flags & channel::kSession421, 0u) << "that is what a server says";
}

TEST_F(FarewellTest, InVlans) {
  for (const uint16_t client_vlan : {0, 7}) {
    configure({}, 12);
    stay();
    connect({kClient.address, Be16::of(static_cast<uint16_t>(41000 + client_vlan))}, kVip, client_vlan);
    greet();
    leave();
    expect_told("EHLO x\r\n");
  }
}

/// Flows whose two ends do not count alike, or do not know each other's addresses.
TEST_F(FarewellTest, InTheNumbersOfEachEnd) {
  channel::PutService proxied{}, fullnat{}, both{};
  proxied.proxy = channel::ProxyHeader::kV2;
  fullnat.forwarding = channel::Forwarding::kFullnat;
  both.proxy = channel::ProxyHeader::kV1;
  both.forwarding = channel::Forwarding::kFullnat;
  uint16_t port = 41000;
  for (const channel::PutService& service : {proxied, fullnat, both}) {
    configure(service);
    for (const bool v6 : {false, true}) {
      SCOPED_TRACE(port);
      stay();
      connect({(v6 ? kClient6 : kClient).address, Be16::of(port++)}, v6 ? kVip6 : kVip);
      EXPECT_EQ(header_ != 0, service.proxy != channel::ProxyHeader::kNone);
      greet();
      send_message();
      leave();
      ASSERT_NO_FATAL_FAILURE(expect_told("MAIL FROM:<>\r\n"));
    }
  }
}

class FarewellOfManyWorkersTest : public FarewellTest {
 protected:
  FarewellOfManyWorkersTest() : FarewellTest({.workers = 2}) {}
};

TEST_F(FarewellOfManyWorkersTest, TheOwnerOfTheFlowTells) {
  for (uint16_t port = 41000; port < 41008; port++) {
    stay();
    connect({kClient.address, Be16::of(port)});
    greet();
    leave();
    ASSERT_NO_FATAL_FAILURE(expect_told("EHLO x\r\n"));
    bench_.client_sends(up().ack(end()).fin());
    turns();
    EXPECT_EQ(came().to_client.size(), 1u);
  }
  EXPECT_GT(count(Counter::kHandedIn), 0u);
}

using FarewellOfCookiesTest = SynProxyTest;

TEST_F(FarewellOfCookiesTest, CountsAsEachEndDoes) {
  const Session session = open();
  const std::string greeting = "220 mx\r\n", command = "EHLO x\r\n";
  const auto size = [](const std::string& words) { return static_cast<uint32_t>(words.size()); };
  backend(session.down(kServerIsn + 1, kIsn + 1).psh().payload(greeting));
  const uint32_t next = session.cookie + 1 + size(greeting);
  client(session.up(kIsn + 1, next).window(502));
  for (const uint16_t id : {0, 1}) {
    bench_.put_backend(id, backend4(id), channel::kBackendReachable | channel::kBackendLeaving);
  }
  turns();
  const Came told = client(session.up(kIsn + 1, next).window(502).psh().payload(command));
  ASSERT_EQ(told.to_clients.size(), 1u);
  EXPECT_EQ(text(told.to_clients[0]), kLine);
  EXPECT_EQ(told.to_clients[0].seq, next);
  EXPECT_EQ(told.to_clients[0].ack, kIsn + 1 + size(command));
  ASSERT_EQ(told.to_backends.size(), 1u);
  EXPECT_EQ(told.to_backends[0].flags & kRst, kRst);
  EXPECT_EQ(told.to_backends[0].seq, kIsn + 1);
  EXPECT_EQ(told.to_backends[0].ack, kServerIsn + 1 + size(greeting));
}

TEST(FarewellAfterARestart, AdoptedDialoguesAreKnownOrLeftAlone) {
  const Endpoint other{kClient.address, Be16::of(40001)};
  WorkerBench first;
  first.put_backend(0, backend4(0));
  first.put_service(0, kVip, {0});
  first.turn();
  for (const Endpoint& client : {kClient, other}) {
    ASSERT_TRUE(first.establish(client, kVip));
    first.backend_to_client(Frame().from(backend4(0)).to(client).seq(5001).ack(1001).psh().payload("220 mx\r\n"));
    first.client_to_backend(Frame().from(client).to(kVip).seq(1001).ack(5009));
  }
  // Of the second, half a command is on the way, and what was read of it dies with the process.
  first.client_to_backend(Frame().from(other).to(kVip).seq(1001).ack(5009).psh().payload("MAIL FR"));
  WorkerBench second({.flow_memory = first.flow_memory()});
  second.put_backend(0, backend4(0), channel::kBackendReachable | channel::kBackendLeaving);
  second.put_service(0, kVip, {0});
  second.turn();
  EXPECT_TRUE(second.client_to_backend(Frame().from(other).to(kVip).seq(1008).ack(5009).psh().payload("OM:<>\r\n")));
  EXPECT_EQ(second.counter(Counter::kFlowsTold), 0u);
  second.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5009).psh().payload("EHLO x\r\n"));
  second.turn();
  const auto told = second.to_clients();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(text(told[0]), kLine);
  EXPECT_EQ(second.counter(Counter::kFlowsTold), 1u);
}

}  // namespace
}  // namespace sluice::testing

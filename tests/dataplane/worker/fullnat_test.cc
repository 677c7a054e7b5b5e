// SPDX-License-Identifier: Apache-2.0
//
// fullnat through the worker: our endpoint towards the backend and what comes back to it.
#include <gtest/gtest.h>

#include "dataplane/flow/local_ports.h"
#include "dataplane/packet/proxy_header.h"
#include "tests/dataplane/support/fullnat_fixture.h"
#include "tests/dataplane/support/icmp_frame.h"

namespace sluice::testing {
namespace {

using channel::Counter;

TEST_F(FullnatTest, RewritesBothEndpointsBothWays) {
  struct Case {
    const char* description;
    Bytes options;
    std::string payload;
    uint16_t vlan;
  };
  const Case cases[]{{"bare", {}, "", 0},
                     {"options and an odd payload", {2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7}, "EHLO x\r\n!", 0},
                     {"VLAN tag", {}, "MAIL FROM:<>\r\n", 100}};
  for (const Family& f : kFamilies) {
    uint16_t port = 50000;
    for (const Case& c : cases) {
      SCOPED_TRACE(std::string(f.name) + ", " + c.description);
      Endpoint client = f.client;
      client.port = Be16::of(port++);
      const auto local = establish(client, f.vip);
      ASSERT_TRUE(local.has_value());
      EXPECT_EQ(local->address, f.local);
      EXPECT_TRUE(is_local_port(local->port)) << local->port.host();
      const auto up = bench_.client_to_backend(Frame()
                                                   .from(client)
                                                   .to(f.vip)
                                                   .seq(1001)
                                                   .ack(5001)
                                                   .psh()
                                                   .vlan(c.vlan)
                                                   .tcp_options(c.options)
                                                   .payload(c.payload)
                                                   .ttl(60));
      ASSERT_TRUE(up.has_value());  // its checksums were verified in full
      EXPECT_EQ(up->source, *local);
      EXPECT_EQ(up->destination, f.backend);
      EXPECT_EQ(up->ttl, 59);
      EXPECT_EQ(up->seq, 1001u);
      EXPECT_EQ(up->payload, Bytes(c.payload.begin(), c.payload.end()));
      const auto down = bench_.backend_to_client(
          Frame().from(f.backend).to(*local).seq(5001).ack(1001).tcp_options(c.options).payload("250 ok\r\n").ttl(50));
      ASSERT_TRUE(down.has_value());
      EXPECT_EQ(down->source, f.vip);
      EXPECT_EQ(down->destination, client);
      EXPECT_EQ(down->destination_mac, mac(0xc1));
      EXPECT_EQ(down->vlan, c.vlan);
      EXPECT_EQ(down->ttl, 49);
    }
  }
  EXPECT_EQ(bench_.counter(Counter::kFlowsEstablished), 6u);
}

TEST_F(FullnatTest, OneClientEndpointMayReachOneBackendThroughTwoServices) {
  const Family& f = kFamilies[0];
  const Endpoint other_vip = endpoint("192.0.2.26", 25);
  channel::PutService service{};
  service.forwarding = channel::Forwarding::kFullnat;
  bench_.put_service(2, other_vip, {0}, service);
  const auto first = establish(f.client, f.vip);
  const auto second = establish(f.client, other_vip);
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  for (const auto& [local, vip] : {std::pair{*first, f.vip}, std::pair{*second, other_vip}}) {
    const auto down = bench_.backend_to_client(Frame().from(f.backend).to(local).seq(5001).ack(1001).payload("x"));
    ASSERT_TRUE(down.has_value());
    EXPECT_EQ(down->source, vip);
    EXPECT_EQ(down->destination, f.client);
  }
  EXPECT_EQ(bench_.counter(Counter::kFlowsMovedByCollision), 0u);
}

TEST_F(FullnatTest, LeavesToTheKernelWhatBelongsToNoFlow) {
  const Family& f = kFamilies[0];
  const auto local = establish(f.client, f.vip);
  ASSERT_TRUE(local.has_value());
  const Endpoint stranger = endpoint("10.0.1.77", 2525);
  Endpoint another_port = *local;
  another_port.port = Be16::of(static_cast<uint16_t>(local->port.host() == 1024 ? 1025 : local->port.host() - 1));
  struct Case {
    const char* description;
    Endpoint from, to;
  };
  const Case cases[]{{"another station to a port in use", stranger, *local},
                     {"the backend to a port not in use", f.backend, another_port},
                     {"a probe's reply to a port of the kernel's", f.backend, {f.local, Be16::of(40000)}},
                     {"ssh", stranger, {f.local, Be16::of(22)}}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    bench_.backend_sends(Frame().from(c.from).to(c.to).seq(1).ack(1));
    bench_.turn();
    EXPECT_EQ(bench_.punted().size(), 1u);
    EXPECT_TRUE(bench_.to_clients().empty());
  }
  EXPECT_EQ(bench_.drops(), 0u);
}

TEST_F(FullnatTest, WithoutAnAddressOfOursNewFlowsAreRefusedAndCounted) {
  bench_.command(channel::CommandType::kDropLocal, 0);
  const Family& f = kFamilies[0];
  bench_.client_sends(Frame().from(f.client).to(f.vip).syn().seq(77));
  bench_.turn();
  const auto answers = bench_.to_clients();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kTcpRst | kTcpAck);
  EXPECT_EQ(bench_.counter(Counter::kDropNoLocalPort), 1u);
  EXPECT_EQ(bench_.stats().services[0].flows_refused, 1u);
  EXPECT_EQ(bench_.worker().flows().size(), 0u);
}

TEST_F(FullnatTest, FlowsWhoseLocalAddressIsGoneAreCut) {
  const Family& f = kFamilies[0];
  const auto local = establish(f.client, f.vip);
  ASSERT_TRUE(local.has_value());
  bench_.command(channel::CommandType::kDropLocal, 0);
  bench_.turns(3);
  const auto to_client = bench_.to_clients();
  ASSERT_EQ(to_client.size(), 1u);
  EXPECT_EQ(to_client[0].flags & kTcpRst, kTcpRst);
  EXPECT_EQ(to_client[0].seq, 5001u);
  const auto to_backend = bench_.to_backends();
  ASSERT_EQ(to_backend.size(), 1u);
  EXPECT_EQ(to_backend[0].source, *local) << "the backend knows the flow by that endpoint";
  EXPECT_EQ(to_backend[0].seq, 1001u);
}

TEST_F(FullnatTest, AnIndexInUseIsNotGivenAnotherAddress) {
  bench_.put_local(0, address("10.0.1.2"));
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), 1u);
  const auto local = establish(kFamilies[0].client, kFamilies[0].vip);
  ASSERT_TRUE(local.has_value());
  EXPECT_EQ(local->address, kFamilies[0].local);
}

TEST_F(FullnatTest, PacketsOfUnknownFlowsAreAnsweredWithAReset) {
  const Family& f = kFamilies[0];
  bench_.client_sends(Frame().from(f.client).to(f.vip).seq(1001).ack(5001).payload("x"));
  bench_.turn();
  const auto answers = bench_.to_clients();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kTcpRst);
  EXPECT_EQ(answers[0].seq, 5001u);
  EXPECT_EQ(bench_.counter(Counter::kDropNoFlow), 1u);
}

TEST_F(FullnatTest, AdoptedMemoryStillFindsRepliesByTheirLocalEndpoint) {
  const Family& f = kFamilies[0];
  const auto local = establish(f.client, f.vip);
  ASSERT_TRUE(local.has_value());
  BenchOptions options;
  options.flow_memory = bench_.flow_memory();
  WorkerBench successor(options);
  const auto down = successor.backend_to_client(Frame().from(f.backend).to(*local).seq(5001).ack(1001).payload("x"));
  ASSERT_TRUE(down.has_value());
  EXPECT_EQ(down->destination, f.client);
  EXPECT_EQ(successor.counter(Counter::kFlowsAdopted), 1u);
  successor.expect_counter_law();
}

TEST_F(FullnatTest, ProxyHeaderCarriesTheClientFromOurEndpoint) {
  for (const auto kind : {channel::ProxyHeader::kV1, channel::ProxyHeader::kV2}) {
    for (const Family& f : kFamilies) {
      SCOPED_TRACE(f.name);
      WorkerBench bench;
      channel::PutService service{};
      service.proxy = kind;
      set_up(bench, service);
      const auto syn = bench.client_to_backend(Frame().from(f.client).to(f.vip).syn().seq(1000));
      ASSERT_TRUE(syn.has_value());
      bench.backend_to_client(Frame().from(f.backend).to(syn->source).syn().seq(5000).ack(1001));
      bench.client_sends(Frame().from(f.client).to(f.vip).seq(1001).ack(5001));
      bench.turn();
      const auto frames = bench.to_backends();
      ASSERT_EQ(frames.size(), 2u);
      Bytes header(kMaxProxyHeader);
      header.resize(write_proxy_header(kind, f.client, f.vip, header.data()));
      EXPECT_EQ(frames[1].payload, header);
      EXPECT_EQ(frames[1].source, syn->source);
      EXPECT_EQ(frames[1].destination, f.backend);
      const auto bytes = static_cast<uint32_t>(header.size());
      const auto greeting = bench.backend_to_client(
          Frame().from(f.backend).to(syn->source).seq(5001).ack(1001 + bytes).payload("220 hello\r\n"));
      ASSERT_TRUE(greeting.has_value());
      EXPECT_EQ(greeting->ack, 1001u);
      const auto ehlo =
          bench.client_to_backend(Frame().from(f.client).to(f.vip).seq(1001).ack(5012).payload("EHLO x\r\n"));
      ASSERT_TRUE(ehlo.has_value());
      EXPECT_EQ(ehlo->seq, 1001 + bytes);
      EXPECT_EQ(ehlo->source, syn->source);
      bench.expect_counter_law();
    }
  }
}

TEST_F(FullnatTest, IcmpErrorsReachEitherSideInItsOwnTerms) {
  for (const Family& f : kFamilies) {
    SCOPED_TRACE(f.name);
    const bool v6 = !f.client.address.is_v4();
    const auto local = establish(f.client, f.vip);
    ASSERT_TRUE(local.has_value());
    bench_.client_to_backend(Frame().from(f.client).to(f.vip).seq(1001).ack(5001).payload("0123456789"));
    bench_.backend_to_client(Frame().from(f.backend).to(*local).seq(5001).ack(1001).payload("0123456789"));
    IcmpFrame error;
    error.type = v6 ? 2 : 3;
    error.code = v6 ? 0 : 4;
    error.rest = 1400;
    // A router on the clients' side about what the client was sent: to the backend, in our name.
    error.source = f.router;
    error.destination = f.vip.address;
    error.destination_mac = WorkerBench::front_mac();
    error.quoted = ip_packet(Frame().from(f.vip).to(f.client).seq(5001).ack(1001).payload("0123456789").bytes());
    bench_.front().arrive(error.bytes());
    // A router on the backends' side about what the backend was sent: to the client.
    const Address back_router = v6 ? address("fd00:9::1") : address("10.9.9.9");
    error.source = back_router;
    error.destination = f.local;
    error.destination_mac = WorkerBench::back_mac();
    error.quoted = ip_packet(Frame().from(*local).to(f.backend).seq(1001).ack(5001).payload("0123456789").bytes());
    bench_.back().arrive(error.bytes());
    bench_.turn();
    const auto at_backend = bench_.back().take();
    const auto at_client = bench_.front().take();
    ASSERT_EQ(at_backend.size(), 1u);
    ASSERT_EQ(at_client.size(), 1u);
    const auto to_backend = read_icmp(at_backend[0]);
    const auto to_client = read_icmp(at_client[0]);
    ASSERT_TRUE(to_backend && to_client);
    EXPECT_EQ(to_backend->source, f.local);
    EXPECT_EQ(to_backend->destination, f.backend.address);
    EXPECT_EQ(to_backend->rest, 1400u);
    EXPECT_EQ(to_backend->quoted,
              ip_packet(Frame().from(f.backend).to(*local).seq(5001).ack(1001).payload("0123456789").bytes()));
    EXPECT_EQ(to_client->source, back_router);
    EXPECT_EQ(to_client->destination, f.client.address);
    EXPECT_EQ(to_client->quoted,
              ip_packet(Frame().from(f.client).to(f.vip).seq(1001).ack(5001).payload("0123456789").bytes()));
  }
}

}  // namespace
}  // namespace sluice::testing

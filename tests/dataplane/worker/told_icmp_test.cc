// SPDX-License-Identifier: Apache-2.0
//
// ICMP errors that come to another node than the one that has the flow, in all modes and both families: that the other
// has told of it is enough.
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "dataplane/worker/icmp_relay.h"
#include "tests/dataplane/support/icmp_frame.h"
#include "tests/dataplane/support/told_node.h"
#include "tests/dataplane/support/tunnel_frame.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::Forwarding;

/// From a router: what it quotes is too big.
IcmpFrame too_big(const Address& to, const MacAddress& mac, const Frame& quoted) {
  IcmpFrame out;
  out.source = address(to.is_v4() ? "198.51.100.254" : "2001:db8:ffff::1");
  out.destination = to;
  out.destination_mac = mac;
  out.type = to.is_v4() ? 3 : 2;
  out.code = to.is_v4() ? 4 : 0;
  out.rest = 1400;
  out.quoted = ip_packet(quoted.bytes());
  return out;
}

class ToldIcmp : public ::testing::TestWithParam<std::tuple<Forwarding, const ToldEnds*>> {
 protected:
  void SetUp() override {
    ToldFlow flow = ToldNode::flow_with(node_.other, ends_);
    flow.forwarding = mode_;
    if (mode_ == Forwarding::kFullnat) flow.local = local_;
    node_.tell(flow);
  }
  void TearDown() override { node_.expect_counter_law(); }

  bool is_v4() const { return ends_.vip.address.is_v4(); }
  Endpoint server() const { return ends_.backends[node_.other]; }
  /// What the server believes the client to be.
  Endpoint client_there() const { return mode_ == Forwarding::kFullnat ? local_ : ends_.client; }
  /// Whether what an error quotes is from one address to another.
  void expect_quoted(const IcmpFrame& error, const Address& from, const Address& to) const {
    const auto expect_at = [&](const Address& address, size_t at) {
      const auto* bytes = address.bytes.data() + (is_v4() ? 12 : 0);
      ASSERT_GE(error.quoted.size(), at + 16);
      EXPECT_TRUE(std::equal(bytes, bytes + (is_v4() ? 4 : 16), error.quoted.begin() + static_cast<ptrdiff_t>(at)));
    };
    expect_at(from, is_v4() ? 12 : 8);
    expect_at(to, is_v4() ? 16 : 24);
  }

  const Forwarding mode_ = std::get<0>(GetParam());
  const ToldEnds& ends_ = *std::get<1>(GetParam());
  const Endpoint local_{ends_.peers, Be16::of(2000)};
  ToldNode node_{{.forwarding = mode_}, 64, 1, ends_};
};
INSTANTIATE_TEST_SUITE_P(AllModes, ToldIcmp,
                         ::testing::Combine(::testing::Values(Forwarding::kNat, Forwarding::kFullnat, Forwarding::kDsr,
                                                              Forwarding::kIpip, Forwarding::kGue),
                                            ::testing::Values(&kEnds4, &kEnds6)));

TEST_P(ToldIcmp, AnErrorFromTheClientsSideGoesToTheServer) {
  const Frame segment = Frame().from(ends_.vip).to(ends_.client).seq(900).ack(706).payload("250 ok");
  node_.front().arrive(too_big(ends_.vip.address, WorkerBench::front_mac(), segment).bytes());
  node_.turn();
  const auto out = node_.back().take();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_TRUE(std::equal(out[0].begin(), out[0].begin() + 6, WorkerBench::backend_mac(node_.other).bytes.begin()));
  const bool tunnelled = mode_ == Forwarding::kIpip || mode_ == Forwarding::kGue;
  const auto outer = tunnelled ? unwrap(out[0]) : std::nullopt;
  ASSERT_EQ(outer.has_value(), tunnelled);
  if (outer) {
    EXPECT_EQ(outer->destination, server().address);
  }
  const auto error = read_icmp(outer ? outer->inner : out[0]);
  ASSERT_TRUE(error);
  const bool translated = mode_ == Forwarding::kNat || mode_ == Forwarding::kFullnat;
  const Address there = translated ? server().address : ends_.vip.address;
  EXPECT_EQ(error->destination, there);
  expect_quoted(*error, there, client_there().address);
  EXPECT_EQ(node_.counter(Counter::kIcmpPassedOn), 1u);
  EXPECT_EQ(node_.counter(Counter::kFlowsResumed), 0u) << "an error makes no flow";
}

/// In other modes such an error comes to who has sent the packet.
using ToldIcmpTranslated = ToldIcmp;
INSTANTIATE_TEST_SUITE_P(BothModes, ToldIcmpTranslated,
                         ::testing::Combine(::testing::Values(Forwarding::kNat, Forwarding::kFullnat),
                                            ::testing::Values(&kEnds4, &kEnds6)));

TEST_P(ToldIcmpTranslated, AnErrorFromTheServersSideGoesToTheClient) {
  const Frame segment = Frame().from(client_there()).to(server()).seq(700).ack(900).payload("RCPT");
  node_.back().arrive(too_big(client_there().address, WorkerBench::back_mac(), segment).bytes());
  node_.turn();
  const auto out = node_.front().take();
  ASSERT_EQ(out.size(), 1u);
  const auto error = read_icmp(out[0]);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->destination, ends_.client.address);
  expect_quoted(*error, ends_.client.address, ends_.vip.address);
  EXPECT_EQ(node_.counter(Counter::kIcmpPassedOn), 1u);
  EXPECT_EQ(node_.counter(Counter::kFlowsResumed), 0u);
}

IcmpFrame too_big_for_client(uint16_t client_port = kClient.port.host()) {
  return too_big(kVip.address, WorkerBench::front_mac(),
                 Frame().from(kVip).to({kClient.address, Be16::of(client_port)}).seq(900).ack(706).payload("250 ok"));
}

/// The backends to which the node passes an error about the client's session.
std::vector<Address> passed_to(ToldNode& node) {
  node.front().arrive(too_big_for_client().bytes());
  node.turn();
  std::vector<Address> out;
  for (const Bytes& frame : node.back().take()) out.push_back(read_icmp(frame).value().destination);
  return out;
}

TEST(UntoldIcmp, GoesWhereTheHashLeads) {
  ToldNode node;
  EXPECT_EQ(passed_to(node), std::vector{kBackends[node.by_hash].address});
  EXPECT_EQ(node.counter(Counter::kIcmpPassedOn), 1u);
}

TEST(UntoldIcmp, BehindAHeaderOfUnknownLengthGoesToNoBackend) {
  ToldNode node({.proxy = channel::ProxyHeader::kV2});
  EXPECT_TRUE(passed_to(node).empty());
}

TEST(UntoldIcmp, FromTheServersSideGoesNowhere) {
  ToldNode node;
  node.tell(node.other);
  const Frame segment = Frame().from(kClient).to(kBackends[node.by_hash]).seq(700).ack(900).payload("RCPT");
  node.back().arrive(too_big(kClient.address, WorkerBench::back_mac(), segment).bytes());
  node.turn();
  EXPECT_TRUE(node.front().take().empty());
  EXPECT_EQ(node.counter(Counter::kIcmpPassedOn), 0u);
}

TEST(UntoldIcmp, IsLimitedInRate) {
  ToldNode node;
  for (uint16_t i = 0; i < 2 * IcmpRelay::kAbsentPerSecond / 10; i++) {
    node.front().arrive(too_big_for_client(static_cast<uint16_t>(20000 + i)).bytes());
    if (i % 32 == 31) node.turn();
  }
  node.turns(4);
  const uint32_t passed = SourceBudget::unreserved(IcmpRelay::kAbsentPerSecond / 10);
  EXPECT_EQ(node.counter(Counter::kIcmpPassedOn), passed);
  EXPECT_EQ(node.counter(Counter::kDropIcmp), 2 * IcmpRelay::kAbsentPerSecond / 10 - passed);
  IcmpFrame of_another = too_big_for_client();
  of_another.source = address("203.0.113.254");
  node.front().arrive(of_another.bytes());
  node.turn();
  EXPECT_EQ(node.counter(Counter::kIcmpPassedOn), passed + 1) << "another source's is not held back";
  node.expect_counter_law();
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/icmp_relay.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/icmp_frame.h"
#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

constexpr uint8_t kUnreachable = 3, kHost = 1;

class IcmpRelayTest : public FlowPartsTest {
 protected:
  static Address router() { return address("198.51.100.254"); }
  static Bytes error(const Address& from, const Address& to, uint32_t port, const Frame& about, uint8_t ttl = 64) {
    IcmpFrame out;
    out.source = from;
    out.destination = to;
    out.destination_mac = port_mac(port);
    out.type = kUnreachable;
    out.code = kHost;
    out.ttl = ttl;
    out.quoted = ip_packet(about.bytes());
    return out.bytes();
  }
  /// About what the VIP has sent to client(n).
  static Bytes of_reply(uint32_t sequence = 5001, uint8_t ttl = 64) {
    return error(router(), vip().address, kFront, Frame().from(vip()).to(client()).seq(sequence).ack(1001), ttl);
  }
  /// About what the client has sent to its backend.
  static Bytes of_request(uint32_t sequence = 1001) {
    return error(backend(0).address, client().address, kBack,
                 Frame().from(client()).to(backend(0)).seq(sequence).ack(5001));
  }
  void pass_on(const Bytes& frame, uint32_t port) {
    const Arrival came = arrival(frame, port);
    ASSERT_EQ(came.verdict, ParseVerdict::kIcmp);
    ExceptionFrame out{.packet = came.packet,
                       .mbuf = came.mbuf,
                       .port = static_cast<uint8_t>(port),
                       .verdict = came.verdict,
                       .asker = 0};
    relay_.pass(out);
  }

  FlowFinder finder_{flows_, state_};
  Punt punt_{context_};
  IcmpErrors icmp_errors_{context_};
  Random random_{1};
  Placement placement_{context_, *lifecycle_, random_};
  Ownership ownership_{setup_, flows_, state_};
  ToldFlows told_{context_, finder_, ownership_, *lifecycle_, placement_};
  IcmpRelay relay_{context_, handover_, finder_, one_way_, icmp_errors_, punt_, placement_, told_, ownership_};
};

TEST_F(IcmpRelayTest, AnErrorAboutAReplyGoesToTheBackendAsAboutItsOwnSegment) {
  begin_flow(*lifecycle_);
  pass_on(of_reply(), kFront);
  const auto out = sent(kBack);
  ASSERT_EQ(out.size(), 1u);
  const auto seen = read_icmp(out[0]);
  ASSERT_TRUE(seen) << "its checksum is right";
  EXPECT_EQ(seen->source, router());
  EXPECT_EQ(seen->destination, backend(0).address);
  EXPECT_EQ(seen->quoted, ip_packet(Frame().from(backend(0)).to(client()).seq(5001).ack(1001).bytes()));
  EXPECT_EQ(counter(Counter::kIcmpPassedOn), 1u);
}

TEST_F(IcmpRelayTest, AnErrorAboutARequestGoesToTheClientAsAboutTheVip) {
  begin_flow(*lifecycle_);
  pass_on(of_request(), kBack);
  const auto out = sent(kFront);
  ASSERT_EQ(out.size(), 1u);
  const auto seen = read_icmp(out[0]);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->source, vip().address) << "of the backend the client knows nothing";
  EXPECT_EQ(seen->destination, client().address);
  EXPECT_EQ(seen->quoted, ip_packet(Frame().from(client()).to(vip()).seq(1001).ack(5001).bytes()));
}

TEST_F(IcmpRelayTest, NumbersFarFromTheFlowsAreNotBelieved) {
  begin_flow(*lifecycle_);
  pass_on(of_reply(5001 + (1U << 28)), kFront);
  pass_on(of_request(1001 + (1U << 28)), kBack);
  EXPECT_TRUE(sent(kBack).empty());
  EXPECT_TRUE(sent(kFront).empty());
  EXPECT_EQ(counter(Counter::kDropIcmp), 2u);
}

TEST_F(IcmpRelayTest, WithoutHopsOrABackendThatIsReachableItEndsHere) {
  begin_flow(*lifecycle_);
  pass_on(of_reply(5001, 1), kFront);
  EXPECT_EQ(counter(Counter::kDropTtlExpired), 1u);
  put_backend(0, 100, 0, 0);
  pass_on(of_reply(), kFront);
  EXPECT_EQ(counter(Counter::kDropBackendUnreachable), 1u);
  EXPECT_TRUE(sent(kBack).empty());
}

TEST_F(IcmpRelayTest, OfAFlowThatIsCutNothingGoesOn) {
  flows_[begin_flow(*lifecycle_)].flags |= kFlowCut;
  pass_on(of_reply(), kFront);
  pass_on(of_request(), kBack);
  EXPECT_EQ(counter(Counter::kDropNoFlow), 2u);
}

TEST_F(IcmpRelayTest, WhatIsAboutNoFlowIsPunted) {
  pass_on(of_reply(), kFront);
  pass_on(of_request(), kBack);
  EXPECT_TRUE(sent(kBack).empty());
  EXPECT_TRUE(sent(kFront).empty());
  EXPECT_EQ(counter(Counter::kDropPuntRouted) + counter(Counter::kDropStrangers) + counter(Counter::kDropPuntLocal), 2u)
      << "as there is no ring to the kernel here";
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/fragment_relay.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/fragmented.h"
#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

class FragmentRelayTest : public FlowPartsTest {
 protected:
  static Frame segment(const Endpoint& from, const Endpoint& to) {
    return Frame().from(from).to(to).seq(1001).ack(5001).payload(std::string(600, 'x'));
  }
  static std::vector<Bytes> from_client(uint32_t id, uint16_t n = 0) {
    return cut(segment(client(n), vip()).to_mac(port_mac(kFront)).bytes(), 200, id);
  }
  static std::vector<Bytes> from_backend(uint32_t id) {
    return cut(segment(backend(0), client()).to_mac(port_mac(kBack)).bytes(), 200, id);
  }
  /// The first goes on as a segment does.
  void meet_first(const Bytes& frame, uint32_t port) {
    const Arrival came = arrival(frame, port);
    EXPECT_EQ(came.verdict, ParseVerdict::kFirstFragment);
    const bool is_client = port == kFront;
    const FlowPlace place =
        is_client ? flows_.place(flows_.hash(came.packet.source)) : finder_.place_of_reply_to(came.packet.destination);
    fragments_.meet_first(port, came.packet, place, is_client);
    rte_pktmbuf_free(came.mbuf);
  }
  void pass_later(const Bytes& frame, uint32_t port) {
    const Arrival came = arrival(frame, port);
    ASSERT_EQ(came.verdict, ParseVerdict::kFragment);
    ExceptionFrame out{.packet = came.packet,
                       .mbuf = came.mbuf,
                       .port = static_cast<uint8_t>(port),
                       .verdict = came.verdict,
                       .asker = 0};
    fragments_.pass(out);
  }

  FlowFinder finder_{flows_, state_};
  Punt punt_{context_};
  FragmentRelay fragments_{context_, handover_, finder_, one_way_, punt_, 0x5eed};
};

TEST_F(FragmentRelayTest, LaterOnesFollowTheFirstToTheBackend) {
  begin_flow(*lifecycle_);
  const auto frames = from_client(77);
  ASSERT_GE(frames.size(), 3u);
  meet_first(frames[0], kFront);
  for (size_t i = 1; i < frames.size(); i++) pass_later(frames[i], kFront);
  const auto out = sent(kBack);
  ASSERT_EQ(out.size(), frames.size() - 1);
  for (const Bytes& frame : out) {
    EXPECT_TRUE(std::equal(frame.begin(), frame.begin() + 6, mac(0xb0).bytes.begin()));
    EXPECT_TRUE(std::equal(frame.begin() + 30, frame.begin() + 34, backend(0).address.bytes.begin() + 12));
  }
}

TEST_F(FragmentRelayTest, AndTheOtherWayToTheClient) {
  begin_flow(*lifecycle_);
  const auto frames = from_backend(78);
  meet_first(frames[0], kBack);
  pass_later(frames[1], kBack);
  const auto out = sent(kFront);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_TRUE(std::equal(out[0].begin(), out[0].begin() + 6, mac(0xc1).bytes.begin()));
  EXPECT_TRUE(std::equal(out[0].begin() + 26, out[0].begin() + 30, vip().address.bytes.begin() + 12));
}

TEST_F(FragmentRelayTest, WithoutAFirstOneALaterOneForAVipIsDropped) {
  begin_flow(*lifecycle_);
  pass_later(from_client(79)[1], kFront);
  EXPECT_TRUE(sent(kBack).empty());
  EXPECT_EQ(counter(Counter::kDropFragment), 1u);
}

TEST_F(FragmentRelayTest, AStrangersFirstOneTakesNoPlace) {
  const auto frames = from_client(80, 5);
  meet_first(frames[0], kFront);
  begin_flow(*lifecycle_, 5);
  pass_later(frames[1], kFront);
  EXPECT_TRUE(sent(kBack).empty()) << "the first was not remembered";
  EXPECT_EQ(counter(Counter::kDropFragment), 1u);
}

TEST_F(FragmentRelayTest, OfAFlowThatIsCutNothingGoesOn) {
  const FlowIndex index = begin_flow(*lifecycle_);
  const auto frames = from_client(81);
  meet_first(frames[0], kFront);
  flows_[index].flags |= kFlowCut;
  pass_later(frames[1], kFront);
  EXPECT_TRUE(sent(kBack).empty());
  EXPECT_EQ(counter(Counter::kDropFragment), 1u);
}

TEST_F(FragmentRelayTest, IsRememberedForAWhileOnly) {
  begin_flow(*lifecycle_);
  const auto frames = from_client(82);
  meet_first(frames[0], kFront);
  pass(61'000);
  pass_later(frames[1], kFront);
  EXPECT_TRUE(sent(kBack).empty());
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// What moves a flow and what does not: single segments of each kind, and an attacker who knows addresses and ports but
// no numbers.
#include "dataplane/worker/tcp_tracker.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <random>

#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

constexpr uint8_t kAckPsh = kTcpAck | kTcpPsh, kFinAck = kTcpFin | kTcpAck, kRstAck = kTcpRst | kTcpAck;
constexpr int kNoScale = -1;

class TcpTrackerTest : public FlowPartsTest {
 protected:
  static Packet segment(uint8_t flags, uint32_t sequence, uint32_t ack, uint16_t payload = 0) {
    Packet packet{};
    packet.tcp_flags = flags;
    packet.sequence = sequence;
    packet.ack = ack;
    packet.payload_bytes = payload;
    packet.tcp_header_bytes = tcp::kBytes;
    return packet;
  }

  /// A SYN or SYN-ACK that announces a window scale, in an mbuf of its own.
  struct Opening {
    Opening(Packet of, int scale) : packet(of) {
      mbuf.buf_addr = header.data();
      if (scale == kNoScale) return;
      header[tcp::kBytes] = 1;
      header[tcp::kBytes + 1] = 3;
      header[tcp::kBytes + 2] = 3;
      header[tcp::kBytes + 3] = static_cast<uint8_t>(scale);
      packet.tcp_header_bytes = tcp::kBytes + 4;
    }
    rte_mbuf mbuf{};
    std::array<uint8_t, 64> header{};
    Packet packet;
  };

  bool from_client(const Packet& packet) { return tracker_.client_segment(flow(), packet, plain_); }
  bool from_server(const Packet& packet) { return tracker_.server_segment(flow(), packet, plain_); }

  void syn(int client_scale, int server_scale) {
    index_ = begin_flow(*lifecycle_);
    Opening syn(segment(kTcpSyn, kClientIsn, 0), client_scale);
    EXPECT_TRUE(tracker_.client_segment(flow(), syn.packet, syn.mbuf));
    Opening answer(segment(kTcpSyn | kTcpAck, kServerIsn, kClientIsn + 1), server_scale);
    EXPECT_TRUE(tracker_.server_segment(flow(), answer.packet, answer.mbuf));
  }
  void open(int client_scale = 7, int server_scale = 7) {
    syn(client_scale, server_scale);
    EXPECT_TRUE(from_client(segment(kTcpAck, kClientIsn + 1, kServerIsn + 1)));
    EXPECT_EQ(flow().state, TcpState::kEstablished);
  }
  void open_one_way() {
    index_ = begin_flow(*lifecycle_);
    flow().set_mode(channel::Forwarding::kDsr);
    EXPECT_TRUE(tracker_.lone_client_segment(flow(), segment(kTcpSyn, kClientAt - 11, 0)));
    // A greeting is acknowledged, answered, and what the server says then acknowledged too.
    const uint32_t client = kClientAt - 10, server = kServerAt - 200;
    EXPECT_TRUE(tracker_.lone_client_segment(flow(), segment(kTcpAck, client, server)));
    EXPECT_TRUE(tracker_.lone_client_segment(flow(), segment(kTcpAck, client, server + 50)));
    EXPECT_TRUE(tracker_.lone_client_segment(flow(), segment(kAckPsh, client, server + 50, 10)));
    EXPECT_EQ(flow().state, TcpState::kSynReceived);
    EXPECT_TRUE(tracker_.lone_client_segment(flow(), segment(kTcpAck, kClientAt, kServerAt)));
  }
  Flow& flow() { return flows_[index_]; }

  /// Whether a segment is not believed and leaves the flow as it was, a while later: not even its timer moves.
  template <typename Send>
  bool changes_nothing(Send send) {
    pass(10);
    const Flow before = flow();
    const uint64_t counted = counter(Counter::kSegmentsNotBelieved);
    const bool believed = send();
    return !believed && std::memcmp(&before, &flow(), sizeof before) == 0 &&
           counter(Counter::kSegmentsNotBelieved) == counted + 1;
  }
  bool client_changes_nothing(const Packet& packet) {
    return changes_nothing([&] { return from_client(packet); });
  }
  bool server_changes_nothing(const Packet& packet) {
    return changes_nothing([&] { return from_server(packet); });
  }

  static constexpr uint32_t kClientIsn = 0xfffffff0, kServerIsn = 0x7ffffff0;  // numbers wrap soon
  static constexpr uint32_t kClientAt = kClientIsn + 1, kServerAt = kServerIsn + 1;

  TcpTracker tracker_{context_, *lifecycle_};
  rte_mbuf plain_{};
  FlowIndex index_ = 0;
};

TEST_F(TcpTrackerTest, WindowScaleIsTheLargerOfBothIfBothAnnounceOne) {
  struct Case {
    int client, server, scale;
  };
  for (const Case& c : {Case{7, 9, 9}, Case{10, 2, 10}, Case{0, 0, 0}, Case{7, kNoScale, 0},
                        Case{kNoScale, kNoScale, 0}, Case{14, 3, 14}, Case{200, 3, 14}}) {
    open(c.client, c.server);
    EXPECT_EQ(flow().window_scale(), c.scale) << c.client << " and " << c.server;
    EXPECT_EQ(flow().largest_window(), 1U << (16 + c.scale));
    lifecycle_->forget(index_);
    pass(1);
  }
}

TEST_F(TcpTrackerTest, OnlySynsCountBeforeTheBackendHasAnswered) {
  index_ = begin_flow(*lifecycle_);
  ASSERT_TRUE(from_client(segment(kTcpSyn, kClientIsn, 0)));
  for (const uint8_t flags : {kTcpAck, kFinAck, kTcpRst, kRstAck, kAckPsh}) {
    EXPECT_TRUE(client_changes_nothing(segment(flags, 0x12345678, 1, 10))) << int{flags};
  }
  EXPECT_TRUE(server_changes_nothing(segment(kTcpAck, kServerIsn, kClientAt)));
  EXPECT_TRUE(server_changes_nothing(segment(kTcpSyn | kTcpAck, kServerIsn, kClientAt + 1)));
  EXPECT_TRUE(server_changes_nothing(segment(kTcpRst, 0, kClientAt))) << "a refusal acknowledges the SYN";
  EXPECT_TRUE(from_server(segment(kTcpSyn | kTcpAck, kServerIsn, kClientAt)));
  EXPECT_EQ(flow().state, TcpState::kSynReceived);
}

TEST_F(TcpTrackerTest, HandshakeIsFinishedByItsOwnNumbersAlone) {
  syn(7, 7);
  EXPECT_TRUE(client_changes_nothing(segment(kTcpAck, kClientAt, kServerAt + 1)));
  EXPECT_TRUE(client_changes_nothing(segment(kTcpAck, kClientAt - 1, kServerAt)));
  EXPECT_TRUE(client_changes_nothing(segment(kTcpAck, kClientAt + (1U << 24), kServerAt)));
  EXPECT_TRUE(client_changes_nothing(segment(kTcpRst, kClientAt + 1, 0)));
  EXPECT_TRUE(client_changes_nothing(segment(kTcpSyn, 77, 0)));
  EXPECT_TRUE(server_changes_nothing(segment(kTcpSyn | kTcpAck, 5, kClientAt + 1)));
  EXPECT_TRUE(from_server(segment(kTcpSyn | kTcpAck, kServerIsn, kClientAt))) << "the same once more";
  EXPECT_TRUE(from_client(segment(kTcpAck, kClientAt, kServerAt)));
  EXPECT_EQ(flow().state, TcpState::kEstablished);
}

TEST_F(TcpTrackerTest, ResetCountsAtTheExactNumberAlone) {
  open();
  for (const uint32_t off : {1U, 30'000U, 0xffffffffU, 0xffff0000U}) {
    EXPECT_TRUE(client_changes_nothing(segment(kTcpRst, kClientAt + off, 0)));
    EXPECT_TRUE(client_changes_nothing(segment(kRstAck, kClientAt + off, kServerAt)));
    EXPECT_TRUE(server_changes_nothing(segment(kTcpRst, kServerAt + off, 0)));
  }
  EXPECT_TRUE(from_client(segment(kTcpRst, kClientAt, 0)));
  EXPECT_EQ(flow().state, TcpState::kReset);
}

TEST_F(TcpTrackerTest, ResetThatAnswersWhatCrossedAFinCountsAtTheNumberOfTheFin) {
  open();
  ASSERT_TRUE(from_server(segment(kFinAck, kServerAt, kClientAt, 24)));
  ASSERT_EQ(flow().state, TcpState::kServerFin);
  EXPECT_TRUE(server_changes_nothing(segment(kTcpRst, kServerAt + 23, 0))) << "before it";
  EXPECT_TRUE(client_changes_nothing(segment(kTcpRst, kClientAt - 1, 0))) << "the other side has sent none";
  ASSERT_TRUE(from_client(segment(kAckPsh, kClientAt, kServerAt + 24, 24)));
  EXPECT_TRUE(from_server(segment(kTcpRst, kServerAt + 24, 0)));
  EXPECT_EQ(flow().state, TcpState::kReset);
  open();
  ASSERT_TRUE(from_client(segment(kFinAck, kClientAt, kServerAt)));
  EXPECT_TRUE(client_changes_nothing(segment(kTcpRst, kClientAt - 1, 0)));
  EXPECT_TRUE(server_changes_nothing(segment(kTcpRst, kServerAt - 1, 0)));
  EXPECT_TRUE(from_client(segment(kTcpRst, kClientAt, 0)));
  EXPECT_EQ(flow().state, TcpState::kReset);
}

TEST_F(TcpTrackerTest, SynOnAnOpenFlowChangesNothing) {
  open();
  for (const uint32_t sequence : {kClientIsn, kClientAt, kClientAt + 1000, 5U}) {
    EXPECT_TRUE(client_changes_nothing(segment(kTcpSyn, sequence, 0)));
    EXPECT_TRUE(client_changes_nothing(segment(kTcpSyn | kTcpAck, sequence, kServerAt)));
  }
  EXPECT_TRUE(server_changes_nothing(segment(kTcpSyn | kTcpAck, kServerIsn, kClientAt)));
}

TEST_F(TcpTrackerTest, FinCountsInSequenceAndWithABelievableAck) {
  open();
  EXPECT_TRUE(client_changes_nothing(segment(kFinAck, kClientAt + 0x40000000, kServerAt)));
  EXPECT_TRUE(client_changes_nothing(segment(kFinAck, kClientAt, kServerAt + 1))) << "of what was not sent";
  EXPECT_TRUE(client_changes_nothing(segment(kFinAck, kClientAt, kServerAt - (1U << 24))));
  ASSERT_TRUE(from_client(segment(kAckPsh, kClientAt, kServerAt, 100)));
  EXPECT_TRUE(from_client(segment(kFinAck, kClientAt, kServerAt, 50)));
  EXPECT_EQ(flow().state, TcpState::kEstablished) << "more than that has been sent";
  EXPECT_TRUE(from_client(segment(kFinAck, kClientAt + 100, kServerAt)));
  EXPECT_EQ(flow().state, TcpState::kClientFin);
  EXPECT_TRUE(from_client(segment(kFinAck, kClientAt + 100, kServerAt))) << "sent again";
  EXPECT_TRUE(from_server(segment(kFinAck, kServerAt, kClientAt + 101)));
  EXPECT_EQ(flow().state, TcpState::kClosed);
}

TEST_F(TcpTrackerTest, SegmentBeyondOneThatWasLostCountsByItsAck) {
  open();
  EXPECT_TRUE(from_client(segment(kAckPsh, kClientAt + 60'000, kServerAt, 100)));
  EXPECT_EQ(flow().client_next, kClientAt + 60'100);
  EXPECT_TRUE(client_changes_nothing(segment(kAckPsh, kClientAt + 160'000, kServerAt - 40'000, 100)));
  EXPECT_TRUE(client_changes_nothing(segment(kAckPsh, kClientAt + (1U << 25), kServerAt, 100))) << "beyond any window";
}

TEST_F(TcpTrackerTest, WhatTheBackendAcknowledgesHasBeenSent) {
  open();
  ASSERT_TRUE(from_server(segment(kAckPsh, kServerAt, kClientAt, 50'000)));
  EXPECT_TRUE(client_changes_nothing(segment(kAckPsh, kClientAt + 50'000, kServerAt, 100)));
  EXPECT_TRUE(from_server(segment(kTcpAck, kServerAt + 50'000, kClientAt + 50'100)));
  EXPECT_EQ(flow().client_next, kClientAt + 50'100);
  EXPECT_TRUE(from_client(segment(kFinAck, kClientAt + 50'100, kServerAt)));
  EXPECT_EQ(flow().state, TcpState::kClientFin);
}

TEST_F(TcpTrackerTest, KeepAlivesKeepAFlow) {
  open();
  for (const bool by_client : {true, false}) {
    pass(1000);
    EXPECT_TRUE(by_client ? from_client(segment(kTcpAck, kClientAt - 1, kServerAt))
                          : from_server(segment(kTcpAck, kServerAt - 1, kClientAt)));
    EXPECT_EQ(flow().deadline_ms, clock_.deadline_ms(TcpState::kEstablished));
  }
  EXPECT_EQ(flow().client_next, kClientAt);
  EXPECT_EQ(flow().server_next, kServerAt);
}

TEST_F(TcpTrackerTest, AdoptedFlowIsTakenNowhereByItsClientAndPutRightByItsBackend) {
  index_ = begin_flow(*lifecycle_);
  lifecycle_->set_state(flow(), TcpState::kAdopted);
  flow().client_next = 0x11111111;  // a stranger's guess
  flow().server_next = 0x22222222;
  EXPECT_TRUE(from_client(segment(kFinAck, 0x33333333, 0x44444444)));
  EXPECT_EQ(flow().state, TcpState::kAdopted);
  EXPECT_TRUE(client_changes_nothing(segment(kTcpRst, 0x11111111, 0)));
  EXPECT_TRUE(from_server(segment(kAckPsh, kServerAt, kClientAt, 10)));
  EXPECT_EQ(flow().state, TcpState::kEstablished);
  EXPECT_EQ(flow().client_next, kClientAt);
  EXPECT_EQ(flow().server_next, kServerAt + 10);
}

TEST_F(TcpTrackerTest, OneWayFinCountsInSequenceAndWithAnAckThatDoesNotGoBack) {
  open_one_way();
  const auto nothing = [&](const Packet& packet) {
    return changes_nothing([&] { return tracker_.lone_client_segment(flow(), packet); });
  };
  EXPECT_TRUE(nothing(segment(kFinAck, 0x40000000, 0x12345678)));
  EXPECT_TRUE(nothing(segment(kTcpSyn, 5, 0)));
  EXPECT_TRUE(nothing(segment(kTcpRst, kClientAt + 1, 0)));
  EXPECT_TRUE(tracker_.lone_client_segment(flow(), segment(kFinAck, kClientAt, kServerAt - 1)));
  EXPECT_EQ(flow().state, TcpState::kEstablished);
  EXPECT_TRUE(tracker_.lone_client_segment(flow(), segment(kFinAck, kClientAt, kServerAt + 5000)));
  EXPECT_EQ(flow().state, TcpState::kClosed);
}

/// Guesses of every kind. 10^7 of them by SLUICE_GUESSES, if not in every run.
class Attacker : public TcpTrackerTest {
 protected:
  static uint64_t guesses() {
    const char* wanted = std::getenv("SLUICE_GUESSES");
    return wanted == nullptr ? 1'000'000 : std::strtoull(wanted, nullptr, 10);
  }

  /// `send` sends a guess as the client's.
  template <typename Send>
  void expect_nothing_changes(const char* of, Send send) {
    SCOPED_TRACE(of);
    std::mt19937 random(20260);
    pass(10);
    const Flow before = flow();
    uint64_t believed = 0;
    for (uint64_t n = 0; n < guesses() / 6; n++) {
      const auto sequence = static_cast<uint32_t>(random()), ack = static_cast<uint32_t>(random());
      const auto payload = static_cast<uint16_t>(1 + random() % 1460);
      believed += send(segment(kTcpRst, sequence, 0)) + send(segment(kRstAck, sequence + 1, ack)) +
                  send(segment(kFinAck, sequence, ack, payload)) + send(segment(kTcpSyn, sequence, 0)) +
                  send(segment(kAckPsh, sequence, ack, payload)) + send(segment(kTcpAck, sequence + 1, ack));
      if (std::memcmp(&before, &flow(), sizeof before) == 0) continue;
      FAIL() << "guess " << n << " changed the flow: sequence " << sequence << ", ack " << ack;
    }
    EXPECT_EQ(believed, 0u);
  }
};

TEST_F(Attacker, GuessesChangeNoOpenFlow) {
  const auto as_client = [this](const Packet& packet) { return from_client(packet); };
  for (const int scale : {0, 7, 14}) {
    open(scale, scale);
    expect_nothing_changes("open", as_client);
    lifecycle_->set_state(flow(), TcpState::kServerFin);
    expect_nothing_changes("half-closed", as_client);
    lifecycle_->forget(index_);
    pass(1);
  }
}

TEST_F(Attacker, GuessesChangeNoFlowWhoseHandshakeWasNotSeen) {
  index_ = begin_flow(*lifecycle_);
  lifecycle_->set_state(flow(), TcpState::kAdopted);
  ASSERT_TRUE(from_server(segment(kAckPsh, kServerAt, kClientAt, 10)));
  expect_nothing_changes("adopted", [this](const Packet& packet) { return from_client(packet); });
}

TEST_F(Attacker, GuessesChangeNoOneWayFlow) {
  open_one_way();
  expect_nothing_changes("one way",
                         [this](const Packet& packet) { return tracker_.lone_client_segment(flow(), packet); });
}

TEST_F(TcpTrackerTest, CountsPacketsAndWhatComesAgain) {
  open();
  EXPECT_EQ(flow().packets_up, 2);
  EXPECT_EQ(flow().packets_down, 1);
  const auto again = [&](bool client) { return flows_.notes()[index_].sent_again(client); };
  EXPECT_TRUE(from_client(segment(kAckPsh, kClientAt, kServerAt, 100)));
  EXPECT_EQ(again(true), 0u);
  EXPECT_TRUE(from_client(segment(kAckPsh, kClientAt + 50, kServerAt, 100))) << "half of it was there";
  EXPECT_TRUE(from_client(segment(kTcpAck, kClientAt, kServerAt))) << "no payload";
  EXPECT_TRUE(from_server(segment(kAckPsh, kServerAt + 100, kClientAt + 150, 100)));
  EXPECT_TRUE(from_server(segment(kAckPsh, kServerAt, kClientAt + 150, 100))) << "overtaken";
  EXPECT_FALSE(from_client(segment(kAckPsh, kClientAt - (1U << 31), kServerAt, 100))) << "not believed";
  EXPECT_EQ(again(true), 1u);
  EXPECT_EQ(again(false), 1u);
  EXPECT_EQ(flow().packets_up, 5);
  EXPECT_EQ(flow().packets_down, 3);
}

}  // namespace
}  // namespace sluice::testing

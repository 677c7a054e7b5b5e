// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/peer_link.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::testing {
namespace {

using Datagram = std::vector<uint8_t>;
using Verdict = PeerLink::Verdict;

const std::vector<uint8_t> kSecret(32, 7), kOther(32, 8);

/// A node with one peer.
struct Node {
  explicit Node(uint64_t its_session, const std::vector<uint8_t>& secret = kSecret)
      : session(its_session), link(secret, its_session), key(secret, its_session, true) {}

  Datagram seal(std::span<const uint8_t> words) {
    Datagram out(kMostDatagramBytes);
    out.resize(key.seal(++number, words, out.data()));
    return out;
  }
  Datagram hello(uint64_t echo = 0) {
    std::vector<uint8_t> out(kMostTextBytes);
    out.resize(link.write_hello(echo, "edge", out.data()));
    return seal(out);
  }
  Datagram flows() {
    std::vector<uint8_t> out(kMostTextBytes);
    out.resize(link.write_flows_header(out.data()));
    out.push_back(42);
    return seal(out);
  }
  PeerLink::Opened open(const Datagram& datagram) { return link.open(datagram, text.data()); }

  uint64_t session;
  PeerLink link;
  SessionKey key;
  uint64_t number = 0;
  std::vector<uint8_t> text = std::vector<uint8_t>(kMostTextBytes);
};

/// `a` greets, `b` answers, and `a` shows that it is there.
void meet(Node& a, Node& b) {
  const auto greeting = b.open(a.hello());
  ASSERT_EQ(greeting.verdict, Verdict::kGreeting);
  const auto answer = a.open(b.hello(greeting.answer_echo));
  ASSERT_EQ(answer.verdict, Verdict::kHello);
  ASSERT_TRUE(answer.begins);
  const auto shown = b.open(a.hello());
  ASSERT_EQ(shown.verdict, Verdict::kHello);
  ASSERT_TRUE(shown.begins);
  EXPECT_EQ(shown.node, "edge");
}

TEST(PeerLink, TwoNodesMeetAndTellEachOther) {
  Node a(1), b(2);
  EXPECT_FALSE(a.link.is_open());
  meet(a, b);
  EXPECT_TRUE(a.link.is_open() && b.link.is_open());
  for (int i = 0; i < 5000; i++) {
    const auto told = b.open(a.flows());
    ASSERT_EQ(told.verdict, Verdict::kFlows);
    ASSERT_FALSE(told.begins);
    ASSERT_EQ(told.body.size(), 1u);
    ASSERT_EQ(told.body[0], 42);
    ASSERT_EQ(a.open(b.flows()).verdict, Verdict::kFlows);
  }
}

TEST(PeerLink, BelievesNobodyWithoutTheSecret) {
  Node a(1), b(2), stranger(1, kOther);
  meet(a, b);
  EXPECT_EQ(b.open(stranger.hello()).verdict, Verdict::kForged);
  Datagram datagram = a.flows();
  for (size_t i = 0; i < datagram.size(); i++) {
    datagram[i] ^= 1;
    EXPECT_EQ(b.open(datagram).verdict, Verdict::kForged) << i;
    datagram[i] ^= 1;
  }
  for (size_t n = 0; n < datagram.size(); n++) {
    EXPECT_EQ(b.open(Datagram(datagram.begin(), datagram.begin() + static_cast<ptrdiff_t>(n))).verdict,
              Verdict::kForged);
  }
  EXPECT_EQ(b.open(datagram).verdict, Verdict::kFlows);
}

TEST(PeerLink, DoesNotHearItself) {
  Node a(1);
  EXPECT_EQ(a.open(a.hello()).verdict, Verdict::kForged);
}

TEST(PeerLink, TakesADatagramOnceInWhateverOrder) {
  Node a(1), b(2);
  meet(a, b);
  std::vector<Datagram> told;
  for (int i = 0; i < 100; i++) told.push_back(a.flows());
  for (int i = 99; i >= 0; i--) EXPECT_EQ(b.open(told[static_cast<size_t>(i)]).verdict, Verdict::kFlows);
  for (const Datagram& datagram : told) EXPECT_EQ(b.open(datagram).verdict, Verdict::kReplayed);
  for (uint64_t i = 0; i < ReplayWindow::kWidth; i++) ASSERT_EQ(b.open(a.flows()).verdict, Verdict::kFlows);
  EXPECT_EQ(b.open(told[0]).verdict, Verdict::kReplayed);
}

TEST(PeerLink, WhatWasRecordedOfAnEarlierSessionIsWorthNothing) {
  Node a(1), b(2);
  meet(a, b);
  const Datagram hello = a.hello(), flows = a.flows(), late = a.flows();
  ASSERT_EQ(b.open(flows).verdict, Verdict::kFlows);

  Node again(3);  // a begins anew
  meet(again, b);
  EXPECT_EQ(b.open(late).verdict, Verdict::kReplayed);
  EXPECT_EQ(b.open(hello).verdict, Verdict::kGreeting) << "its word, which has shown nothing";
  EXPECT_EQ(b.open(late).verdict, Verdict::kReplayed);
  EXPECT_EQ(b.open(again.flows()).verdict, Verdict::kFlows);

  Node fresh(4);  // b begins anew, and knows nothing of what was before
  EXPECT_EQ(fresh.open(late).verdict, Verdict::kReplayed);
  EXPECT_EQ(fresh.open(flows).verdict, Verdict::kReplayed);
  EXPECT_EQ(fresh.open(hello).verdict, Verdict::kGreeting);
  EXPECT_FALSE(fresh.link.is_open());
}

TEST(PeerLink, ARecordedHelloDoesNotDisturbThoseWhoSpeak) {
  Node a(1), b(2);
  const Datagram first = a.hello();
  meet(a, b);
  for (int i = 0; i < 10; i++) {
    const auto replayed = b.open(first);
    ASSERT_NE(replayed.verdict, Verdict::kHello);
    if (replayed.verdict == Verdict::kGreeting) a.open(b.hello(replayed.answer_echo));
    ASSERT_EQ(b.open(a.flows()).verdict, Verdict::kFlows);
    ASSERT_EQ(a.open(b.flows()).verdict, Verdict::kFlows);
    const auto hello = b.open(a.hello());
    ASSERT_EQ(hello.verdict, Verdict::kHello);
    EXPECT_FALSE(hello.begins);
  }
}

TEST(PeerLink, TellsOfTextThatItDoesNotUnderstand) {
  Node a(1), b(2);
  meet(a, b);
  std::vector<uint8_t> text(kMostTextBytes);
  a.link.write_flows_header(text.data());
  text[8] = 99;
  EXPECT_EQ(b.open(a.seal(text)).verdict, Verdict::kMalformed);
  EXPECT_EQ(b.open(a.seal({text.data(), 5})).verdict, Verdict::kMalformed);
}

}  // namespace
}  // namespace sluice::testing

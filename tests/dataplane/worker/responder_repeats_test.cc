// SPDX-License-Identifier: Apache-2.0
//
// The dialogue that ends with 421, where segments are lost, come twice or in another order, or the client has no room.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "dataplane/worker/responder.h"
#include "tests/dataplane/support/responder_fixture.h"
#include "tests/dataplane/support/tcp_end.h"

namespace sluice::testing {
namespace {

TEST_F(ResponderTest, SendsTheReplyAgainUntilItIsAcknowledged) {
  const uint32_t first = refuse();
  std::vector<uint64_t> at_ms;
  for (uint64_t ms = 0; ms < 60'000; ms += 50) {
    bench_.turn(50);
    for (const ReadFrame& again : bench_.to_clients()) {
      at_ms.push_back(ms);
      expect_back(again, kClient, kVip);
      EXPECT_EQ(again.seq, first);
      EXPECT_EQ(again.flags, kFin | kPsh | kAck);
      EXPECT_EQ(text(again), kLine);
    }
  }
  ASSERT_EQ(at_ms.size(), Responder::kTries - 1);
  for (size_t i = 0; i < at_ms.size(); i++) {  // a place is visited in each quarter of a second
    const uint64_t due_ms = 1000 * ((2U << i) - 1);
    EXPECT_GE(at_ms[i] + 50, due_ms);
    EXPECT_LE(at_ms[i], due_ms + 350 * (i + 1));
  }
  EXPECT_EQ(count(Counter::kRefusalsResent), at_ms.size());
  // It is forgotten: what comes now is answered as any unknown segment.
  put_backends_down();
  const auto late = answer(from(kClient).seq(kIsn + 1).ack(first + 5).psh().payload("QUIT\r\n"));
  ASSERT_TRUE(late);
  EXPECT_EQ(late->flags, kRst);
}

TEST_F(ResponderTest, TakesAnAcknowledgementOfPartOfIt) {
  const uint32_t first = refuse();
  EXPECT_TRUE(answers(from(kClient).seq(kIsn + 1).ack(first + 10)).empty());
  EXPECT_EQ(count(Counter::kRefusalsAcknowledged), 0u);
  turns(1300);
  EXPECT_EQ(bench_.to_clients().size(), 1u);
}

TEST_F(ResponderTest, WaitsForRoomAndProbesAWindowThatStaysShut) {
  const uint32_t first = shake() + 1;
  EXPECT_TRUE(answers(from(kClient).seq(kIsn + 1).ack(first).window(0)).empty());
  EXPECT_TRUE(answers(from(kClient).seq(kIsn + 1).ack(first).window(26)).empty()) << "one byte short";
  const auto reply = answer(from(kClient).seq(kIsn + 1).ack(first).window(27));
  ASSERT_TRUE(reply);
  EXPECT_EQ(text(*reply), kLine);

  const Endpoint shut = endpoint("198.51.100.8", 40000);
  const uint32_t theirs = shake(shut) + 1;
  EXPECT_TRUE(answers(from(shut).seq(kIsn + 1).ack(theirs).window(0)).empty());
  EXPECT_EQ(count(Counter::kRefusalsSent), 1u);
  turns(1300);
  uint32_t probes = 0;
  for (const ReadFrame& frame : bench_.to_clients()) probes += frame.destination == shut && frame.seq == theirs ? 1 : 0;
  EXPECT_EQ(probes, 1u);
}

TEST_F(ResponderTest, TakesWhatTheClientSaysBeforeTheReply) {
  const uint32_t first = shake() + 1;
  const auto reply = answer(from(kClient).seq(kIsn + 1).ack(first).psh().payload("EHLO x\r\n"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(text(*reply), kLine);
  EXPECT_EQ(reply->ack, kIsn + 9);

  const Endpoint hasty = endpoint("198.51.100.8", 40000);
  const uint32_t theirs = shake(hasty) + 1;
  const auto at_once = answer(from(hasty).seq(kIsn + 1).ack(theirs).psh().fin().payload("QUIT\r\n"));
  ASSERT_TRUE(at_once);
  EXPECT_EQ(text(*at_once), kLine);
  EXPECT_EQ(at_once->ack, kIsn + 8) << "its FIN too";

  // The ACK comes after the data that it was to go before.
  const Endpoint mixed = endpoint("198.51.100.9", 40000);
  const uint32_t third = shake(mixed) + 1;
  EXPECT_FALSE(answers(from(mixed).seq(kIsn + 1).ack(third).psh().payload("EHLO x\r\n")).empty());
  EXPECT_EQ(answers(from(mixed).seq(kIsn + 1).ack(third)).size(), 1u) << "as any old segment";
}

TEST_F(ResponderTest, AnswersWhatIsNotWhereItWaitsWithWhereItWaits) {
  struct {
    const char* what;
    uint32_t seq;
    std::string said;
    uint32_t acked;
  } const cases[] = {{"a keep-alive", kIsn, "", kIsn + 1},
                     {"a gap", kIsn + 11, "late", kIsn + 1},
                     {"what fills it", kIsn + 1, "0123456789", kIsn + 11},
                     {"twice", kIsn + 1, "0123456789", kIsn + 11},
                     {"half of it new", kIsn + 6, "56789abcde", kIsn + 16}};
  const uint32_t end = refuse() + static_cast<uint32_t>(kLine.size()) + 1;
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    const auto ack = answer(from(kClient).seq(each.seq).ack(end).payload(each.said));
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->flags, kAck);
    EXPECT_EQ(ack->ack, each.acked);
    EXPECT_EQ(ack->seq, end);
  }
}

/// A whole TCP end, which says a few things of its own, behind a line that loses, repeats and reorders.
TEST_F(ResponderTest, AClientBehindABadLineHearsItAllAndIsHeard) {
  constexpr uint32_t kClients = 200;
  for (uint32_t n = 0; n < kClients; n++) {
    SCOPED_TRACE(n);
    std::mt19937 random(n);
    const auto often = [&](uint32_t percent) { return random() % 100 < percent; };
    const Endpoint who = endpoint("198.51.100.7", static_cast<uint16_t>(1024 + n));
    TcpEnd client(kIsn, shake(who), random() % 40, 100 + random() % 60'000);
    std::vector<TcpSegment> to_us{client.acknowledge()};
    std::vector<TcpSegment> to_client;
    bool heard = false;  // before that an SMTP client says nothing, and its first acknowledgement is all that we go by
    for (int step = 0; step < 1200 && !client.is_done(); step++) {
      if (heard && client.has_more() && often(10))
        to_us.push_back(client.say(static_cast<uint16_t>(1 + random() % 20)));
      if (heard && client.has_unacknowledged() && often(10)) to_us.push_back(client.say_again(30));
      if (heard && !client.has_more() && !client.has_closed() && often(5)) to_us.push_back(client.close());
      if (client.owes_ack()) to_us.push_back(client.acknowledge());
      if (heard && step < 20 && often(10)) to_us.push_back(client.keep_alive());
      std::ranges::shuffle(to_us, random);
      for (const TcpSegment& out : to_us) {
        Frame frame = from(who).seq(out.sequence).ack(out.ack).payload(std::string(out.payload, 'x'));
        if ((out.flags & kFin) != 0) frame.fin();
        frame.window(static_cast<uint16_t>(out.window));
        for (uint32_t times = step != 0 && often(12) ? 0U : 1U + (often(10) ? 1U : 0U); times != 0; times--) {
          bench_.client_sends(frame);
        }
      }
      to_us.clear();
      bench_.turn(50);
      for (const ReadFrame& in : bench_.to_clients()) {
        ASSERT_EQ(in.flags & kRst, 0);
        if (in.destination != who) continue;
        to_client.push_back({in.flags, in.seq, in.ack, static_cast<uint16_t>(in.payload.size()), 4096});
      }
      std::ranges::shuffle(to_client, random);
      for (const TcpSegment& in : to_client) {
        if (often(12)) continue;  // rarely are all five tries lost
        client.receive(in);
        heard |= in.payload != 0;
      }
      to_client.clear();
    }
    EXPECT_TRUE(client.is_done());
    turns(11'000);
    bench_.front().take();
  }
  EXPECT_EQ(count(Counter::kRefusalsAcknowledged), kClients);
}

}  // namespace
}  // namespace sluice::testing

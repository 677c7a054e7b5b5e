// SPDX-License-Identifier: Apache-2.0
//
// Clients that no backend can take are told 421: the dialogue as they see it, what is sent again, what is not believed,
// and that none of it leaves a flow behind.
#include "dataplane/worker/responder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/dataplane/support/tcp_end.h"
#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint8_t kFin = kTcpFin, kSyn = kTcpSyn, kRst = kTcpRst, kPsh = kTcpPsh, kAck = kTcpAck;
constexpr uint32_t kIsn = 0xffff'fff8;  // its text goes around the end of the numbers
const std::string kLine = "421 4.3.2 try again later\r\n";

std::string text(const ReadFrame& frame) {
  return {frame.payload.begin(), frame.payload.end()};
}

/// Services 0 (v4) and 1 (v6) say 421; 2 resets, 3 is silent. None has a backend.
class ResponderTest : public ::testing::Test {
 protected:
  explicit ResponderTest(const BenchOptions& options = {}) : bench_(options) {}

  void SetUp() override {
    bench_.put_backend(0, backend4(0));
    bench_.put_backend(1, backend6(1));
    put_service(0, kVip, channel::OnNoBackend::k421);
    put_service(1, kVip6, channel::OnNoBackend::k421);
    put_service(2, kOtherVip, channel::OnNoBackend::kReset);
    put_service(3, endpoint("192.0.2.27", 25), channel::OnNoBackend::kSilence);
    turns();
    ASSERT_EQ(bench_.counter(Counter::kCommandsRejected), 0u);
  }

  void TearDown() override {
    EXPECT_EQ(bench_.worker().flows().size(), 0u);
    bench_.expect_counter_law();
  }

  /// All that there are: sessions that nobody knows have nothing to wait for.
  void put_backends_down() {
    bench_.put_backend(0, backend4(0), channel::kBackendReachable | channel::kBackendDown);
    bench_.put_backend(1, backend6(1), channel::kBackendReachable | channel::kBackendDown);
  }

  void put_service(uint16_t id, const Endpoint& vip, channel::OnNoBackend answer, std::vector<uint16_t> table = {}) {
    channel::PutService message{};
    message.on_no_backend = answer;
    bench_.put_service(id, vip, table, message);
  }

  void turns(uint64_t advance_ms = 0) {
    bench_.turn(advance_ms);
    bench_.turns(2);  // what other workers have to do with it
  }

  /// What comes back to one frame.
  std::vector<ReadFrame> answers(const Frame& frame) {
    bench_.client_sends(frame);
    turns();
    EXPECT_TRUE(bench_.to_backends().empty());
    return bench_.to_clients();
  }

  std::optional<ReadFrame> answer(const Frame& frame) {
    const auto all = answers(frame);
    EXPECT_EQ(all.size(), 1u);
    return all.size() == 1 ? std::optional(all[0]) : std::nullopt;
  }

  static Frame from(const Endpoint& client, const Endpoint& vip = kVip) { return Frame().from(client).to(vip); }

  /// The number of our SYN-ACK.
  uint32_t shake(const Endpoint& client = kClient, const Endpoint& vip = kVip) {
    const auto syn_ack = answer(from(client, vip).syn().seq(kIsn));
    return syn_ack ? syn_ack->seq : 0;
  }

  /// The number of the line's first byte, which the client has been sent.
  uint32_t refuse(const Endpoint& client = kClient) {
    const uint32_t first = shake(client) + 1;
    const auto reply = answer(from(client).seq(kIsn + 1).ack(first));
    EXPECT_TRUE(reply && text(*reply) == kLine);
    return first;
  }

  uint64_t count(Counter counter) const { return bench_.counter(counter); }

  WorkerBench bench_;
};

void expect_back(const ReadFrame& frame, const Endpoint& client, const Endpoint& vip, uint16_t vlan = 0) {
  EXPECT_EQ(frame.source, vip);
  EXPECT_EQ(frame.destination, client);
  EXPECT_EQ(frame.source_mac, WorkerBench::front_mac());
  EXPECT_EQ(frame.destination_mac, mac(0xc1));
  EXPECT_EQ(frame.vlan, vlan);
}

TEST_F(ResponderTest, TellsAClient421AndEndsInPeace) {
  struct {
    const char* what;
    Endpoint client, vip;
    uint16_t vlan, mss;
  } const cases[] = {{"IPv4", kClient, kVip, 0, 1460},
                     {"IPv6", kClient6, kVip6, 0, 1440},
                     {"in a VLAN", kClient, kVip, 7, 1460},
                     {"IPv6 in a VLAN", kClient6, kVip6, 7, 1440}};
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    const auto frame = [&] { return from(each.client, each.vip).vlan(each.vlan); };
    const auto syn_ack =
        answer(frame().syn().seq(kIsn).tcp_options({2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0}));
    ASSERT_TRUE(syn_ack);
    expect_back(*syn_ack, each.client, each.vip, each.vlan);
    EXPECT_EQ(syn_ack->flags, kSyn | kAck);
    EXPECT_EQ(syn_ack->ack, kIsn + 1);
    const auto mss = static_cast<uint8_t>(each.mss);
    EXPECT_EQ(syn_ack->tcp_options, (Bytes{2, 4, static_cast<uint8_t>(each.mss >> 8), mss}));

    const uint32_t first = syn_ack->seq + 1;
    const uint32_t end = first + static_cast<uint32_t>(kLine.size()) + 1;
    const auto reply = answer(frame().seq(kIsn + 1).ack(first));
    ASSERT_TRUE(reply);
    expect_back(*reply, each.client, each.vip, each.vlan);
    EXPECT_EQ(reply->flags, kFin | kPsh | kAck);
    EXPECT_EQ(reply->seq, first);
    EXPECT_EQ(reply->ack, kIsn + 1);
    EXPECT_EQ(text(*reply), kLine);

    EXPECT_TRUE(answers(frame().seq(kIsn + 1).ack(end)).empty()) << "an acknowledgement wants none";
    const auto to_quit = answer(frame().seq(kIsn + 1).ack(end).psh().payload("QUIT\r\n"));
    ASSERT_TRUE(to_quit);
    EXPECT_EQ(to_quit->flags, kAck);
    EXPECT_EQ(to_quit->seq, end);
    EXPECT_EQ(to_quit->ack, kIsn + 7);
    const auto to_fin = answer(frame().seq(kIsn + 7).ack(end).fin());
    ASSERT_TRUE(to_fin);
    EXPECT_EQ(to_fin->flags, kAck);
    EXPECT_EQ(to_fin->ack, kIsn + 8);
    const auto again = answer(frame().seq(kIsn + 7).ack(end).fin());
    ASSERT_TRUE(again) << "our answer was lost";
    EXPECT_EQ(again->ack, kIsn + 8);
    turns(100'000);
    EXPECT_TRUE(bench_.to_clients().empty()) << "nothing is sent again that has been acknowledged";
  }
  EXPECT_EQ(count(Counter::kSynAcksSent), std::size(cases));
  EXPECT_EQ(count(Counter::kRefusalsSent), std::size(cases));
  EXPECT_EQ(count(Counter::kRefusalsAcknowledged), std::size(cases));
  EXPECT_EQ(count(Counter::kRefusalsResent), 0u);
  EXPECT_EQ(count(Counter::kAnswered), 6 * std::size(cases));
  EXPECT_EQ(bench_.stats().services[0].flows_refused, 2u);
}

TEST_F(ResponderTest, OtherServicesResetOrSayNothing) {
  const auto reset = answer(from(kClient, kOtherVip).syn().seq(kIsn));
  ASSERT_TRUE(reset);
  EXPECT_EQ(reset->flags, kRst | kAck);
  EXPECT_TRUE(answers(from(kClient, endpoint("192.0.2.27", 25)).syn().seq(kIsn)).empty());
  EXPECT_EQ(count(Counter::kDropNoBackend), 2u);
  EXPECT_EQ(count(Counter::kAnswered), 0u);
}

TEST_F(ResponderTest, SaysTheTextThatItWasGiven) {
  const std::string longest(channel::PutRefusal::kMaxBytes, 'x');
  for (const std::string& words : {std::string("4.7.0 closed for the night"), longest}) {
    bench_.put_refusal(0, words);
    const uint32_t first = shake() + 1;
    const auto reply = answer(from(kClient).seq(kIsn + 1).ack(first));
    ASSERT_TRUE(reply);
    EXPECT_EQ(text(*reply), "421 " + words + "\r\n");
    EXPECT_TRUE(answers(from(kClient).seq(kIsn + 1).ack(first).rst()).empty());
  }
  put_service(0, kVip, channel::OnNoBackend::k421);
  refuse();
}

TEST_F(ResponderTest, RefusesATextThatIsNone) {
  uint64_t rejected = 0;
  for (const std::string& words : {std::string(), std::string("4.3.2 \r\n250 ok"), std::string("4.3.2 \xc3\xa4")}) {
    bench_.put_refusal(0, words);
    turns();
    EXPECT_EQ(count(Counter::kCommandsRejected), ++rejected);
  }
  channel::PutRefusal message{};
  message.header = {channel::CommandType::kPutRefusal, 0, 0, 0};
  message.bytes = 56;
  bench_.command(channel::Command(message));
  bench_.put_refusal(9, "4.3.2 of no service");
  bench_.put_refusal(0xffff, "4.3.2 of no service");
  turns();
  EXPECT_EQ(count(Counter::kCommandsRejected), rejected + 3);
  refuse();
}

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

TEST_F(ResponderTest, AResetEndsItIfItIsExact) {
  const uint32_t first = refuse();
  for (const uint32_t off : {1U, 4000U, 0x8000'0000U, 0U - 1U}) {
    EXPECT_TRUE(answers(from(kClient).seq(kIsn + 1 + off).rst()).empty());
  }
  EXPECT_EQ(count(Counter::kSegmentsNotBelieved), 4u);
  turns(1300);
  EXPECT_EQ(bench_.to_clients().size(), 1u) << "it goes on";
  EXPECT_TRUE(answers(from(kClient).seq(kIsn + 1).ack(first).rst()).empty());
  turns(10'000);
  EXPECT_TRUE(bench_.to_clients().empty());
}

TEST_F(ResponderTest, AMillionForgedAcknowledgementsLeaveNothing) {
  const uint32_t first = refuse();
  std::mt19937 random(3);
  const uint64_t sent = count(Counter::kRefusalsSent);
  for (uint32_t i = 0; i < 1'000'000; i++) {
    // Some for the client that there is, with all but our number right, some for others.
    const Endpoint who = i % 2 == 0 ? kClient : endpoint("198.51.100.9", static_cast<uint16_t>(random() | 1));
    const uint32_t guess = random() % 2 == 0 ? first + 100 + random() % 0xffff'0000 : random();
    if (guess - first <= kLine.size() + 1) continue;
    bench_.client_sends(from(who).seq(kIsn + 1).ack(guess));
    if (i % 32 == 31) {
      bench_.turn();
      bench_.front().take();
    }
  }
  turns();
  bench_.front().take();
  EXPECT_EQ(count(Counter::kRefusalsSent), sent);
  EXPECT_EQ(count(Counter::kRefusalsAcknowledged), 0u);
  turns(1300);
  EXPECT_EQ(bench_.to_clients().size(), 1u) << "the dialogue that there was goes on";
}

TEST_F(ResponderTest, AnOldSecretsNumberIsNotTaken) {
  const uint32_t first = shake() + 1;
  turns(HandshakeCookies::kPeriodMs);
  bench_.front().take();
  const auto reply = answer(from(kClient).seq(kIsn + 1).ack(first));
  ASSERT_TRUE(reply);
  EXPECT_EQ(text(*reply), kLine);
  const Endpoint slow = endpoint("198.51.100.8", 40000);
  const uint32_t theirs = shake(slow) + 1;
  turns(2 * HandshakeCookies::kPeriodMs);
  bench_.front().take();
  put_backends_down();
  const auto refused = answer(from(slow).seq(kIsn + 1).ack(theirs));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->flags, kRst);
}

TEST_F(ResponderTest, ADialogueEndsWithItsReplyThoughABackendIsBack) {
  const uint32_t first = shake() + 1;
  put_service(0, kVip, channel::OnNoBackend::k421, {0});
  const auto reply = answer(from(kClient).seq(kIsn + 1).ack(first));
  ASSERT_TRUE(reply);
  EXPECT_EQ(text(*reply), kLine);
  const uint32_t end = first + static_cast<uint32_t>(kLine.size()) + 1;
  EXPECT_TRUE(answer(from(kClient).seq(kIsn + 1).ack(end).fin()));
  // Its next connection, from the same port, is a session as any other, and nothing of the old one comes to it.
  EXPECT_TRUE(bench_.establish(kClient, kVip, kIsn + 100'000));
  turns(20'000);
  EXPECT_TRUE(bench_.to_clients().empty());
  EXPECT_TRUE(bench_.client_to_backend(from(kClient).seq(kIsn + 100'001).ack(5001).rst()));
  turns(20'000);
}

TEST_F(ResponderTest, AClientThatBeginsAgainIsToldAgain) {
  refuse();
  refuse();
  turns(1300);
  EXPECT_EQ(bench_.to_clients().size(), 1u) << "the first is not sent again";
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

TEST_F(ResponderTest, WhatItSendsIsLimited) {
  constexpr uint32_t kSyns = Responder::kSegmentsPerSecond + 1000;
  uint64_t answered = 0;
  for (uint32_t i = 0; i < kSyns; i++) {
    bench_.client_sends(from(endpoint("198.51.100.7", static_cast<uint16_t>(1024 + i))).syn().seq(i));
    if (i % 32 == 31 || i + 1 == kSyns) {
      bench_.turn();
      answered += bench_.front().take().size();
    }
  }
  EXPECT_EQ(answered, Responder::kSegmentsPerSecond);
  EXPECT_EQ(count(Counter::kAnswersHeldBack), 1000u);
  EXPECT_EQ(count(Counter::kDropNoBackend), 1000u);
  turns(10);
  EXPECT_TRUE(answer(from(endpoint("198.51.100.8", 1024)).syn().seq(1)));
}

TEST_F(ResponderTest, RemembersSoManyAndNoMore) {
  constexpr uint32_t kClients = 3 * RefusalTable::kDialogues;
  for (uint32_t i = 0; i < kClients; i++) {
    const Endpoint who = endpoint("198.51.100.7", static_cast<uint16_t>(1024 + i));
    ASSERT_NE(refuse(who), 0u);
    if (i % 2048 == 2047) {
      turns(200);  // earns it what it may send
      bench_.front().take();
    }
  }
  EXPECT_EQ(count(Counter::kRefusalsSent), kClients) << "each was told once, whoever had to give way";
  for (int i = 0; i < 400; i++) {
    bench_.turn(100);
    bench_.front().take();
  }
  EXPECT_GT(count(Counter::kRefusalsResent), RefusalTable::kDialogues);
  EXPECT_LE(count(Counter::kRefusalsResent), 4 * kClients);
  const uint64_t resent = count(Counter::kRefusalsResent);
  turns(100'000);
  EXPECT_EQ(count(Counter::kRefusalsResent), resent);
}

/// Frames that come to a worker that does not own their client.
class ResponderOfSeveral : public ResponderTest {
 protected:
  ResponderOfSeveral() : ResponderTest({.workers = 2}) {}
};

TEST_F(ResponderOfSeveral, AnswersAllOfAClientFromItsOwner) {
  for (uint16_t port = 1024; port < 1064; port++) refuse(endpoint("198.51.100.7", port));
  for (uint32_t worker = 0; worker < 2; worker++) {
    EXPECT_GT(bench_.stats(worker).counters[static_cast<size_t>(Counter::kRefusalsSent)], 5u);
  }
}

}  // namespace
}  // namespace sluice::testing

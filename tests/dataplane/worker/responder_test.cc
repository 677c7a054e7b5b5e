// SPDX-License-Identifier: Apache-2.0
//
// Clients that no backend can take are told 421: the dialogue as they see it, what is sent again, what is not believed,
// and that none of it leaves a flow behind.
#include "dataplane/worker/responder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/dataplane/support/responder_fixture.h"

namespace sluice::testing {
namespace {

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

// SPDX-License-Identifier: Apache-2.0
//
// The observer in its worker: packets through real (ring) devices, counters of the backend they went to.
#include <gtest/gtest.h>

#include "tests/dataplane/support/conversation_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter, channel::SmtpCounter;

const Endpoint kUnwatchedVip = endpoint("192.0.2.26", 25);
const Endpoint kProxyVip = endpoint("192.0.2.27", 25);

/// One backend (0) behind a service on port 25 (0), one on port 465 (1), one that is not watched (2) and one
/// with a PROXY header (3).
class WorkerObservationTest : public ConversationTest {
 protected:
  void SetUp() override {
    bench_.put_backend(0, kBackend);
    bench_.put_service(0, kVip, {0});
    bench_.put_service(1, kTlsVip, {0});
    channel::PutService unwatched{};
    unwatched.flags = channel::kServiceUnobserved;
    bench_.put_service(2, kUnwatchedVip, {0}, unwatched);
    channel::PutService proxied{};
    proxied.proxy = channel::ProxyHeader::kV2;
    bench_.put_service(3, kProxyVip, {0}, proxied);
    bench_.turn();
    ASSERT_EQ(bench_.counter(Counter::kCommandsApplied), 7u);
  }

  void TearDown() override {
    bench_.expect_counter_law();
    EXPECT_EQ(bench_.worker().observer().dialogues_in_use(), 0u);
  }

  void connect(const Endpoint& vip) {
    begin(vip);
    ASSERT_TRUE(bench_.establish(kClient, vip));
  }

  const channel::SmtpCounters& seen() const { return bench_.stats().backend_smtp[0]; }
  uint64_t seen(SmtpCounter counter) const { return seen()[counter]; }
  uint64_t seen_in_all() const {
    uint64_t sum = 0;
    for (const uint64_t n : seen().counters) sum += n;
    return sum;
  }
};

TEST_F(WorkerObservationTest, DoesNotSeeWhatNoOneWouldBelieve) {
  connect(kVip);
  server_says("220 mx\r\n");
  client_says("EHLO x\r\n");
  bench_.backend_sends(frame_down().seq(server_ + (1U << 31)).psh().payload("421 forged\r\n"));
  bench_.turn();
  EXPECT_EQ(bench_.front().take().size(), 1u) << "its receiver judges";
  EXPECT_EQ(bench_.counter(Counter::kSegmentsNotBelieved), 1u);
  EXPECT_EQ(seen(SmtpCounter::kMidSession421), 0u);
  server_says("250 mx\r\n");
  client_says("QUIT\r\n");
  server_says("221 bye\r\n");
  server_then_client_finish();
  EXPECT_EQ(seen(SmtpCounter::kEndedQuit), 1u);
}

TEST_F(WorkerObservationTest, CountsADialogueForItsBackendAndItsService) {
  bench_.client_sends(Frame().from(kClient).to(kVip).syn().seq(1000));
  bench_.turn();
  bench_.backend_sends(Frame().from(kBackend).to(kClient).syn().seq(5000).ack(1001));
  bench_.turn(5);
  vip_ = kVip;
  client_ = 1001;
  server_ = 5001;
  bench_.client_sends(frame_up());
  bench_.turn(200);
  bench_.backend_sends(frame_down().payload("220 mx\r\n"));
  bench_.turn(40);
  server_ += 8;
  bench_.to_backends();
  bench_.to_clients();
  for (const char* command : {"EHLO x\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<b@example.net>\r\n"}) {
    client_says(command);
    server_says("250-ok\r\n250 ok\r\n");
  }
  client_says("DATA\r\n");
  server_says("354 go\r\n");
  client_says("Subject: x\r\n\r\n.\r\n");
  server_says("250 queued\r\n");
  client_says("QUIT\r\n");
  server_says("221 bye\r\n");
  server_then_client_finish();
  EXPECT_EQ(seen().connect.sum_ms, 5u);
  EXPECT_EQ(seen().greeting.sum_ms, 40u);
  EXPECT_EQ(seen(SmtpCounter::kGreeting2xx), 1u);
  EXPECT_EQ(seen(SmtpCounter::kMessagesAccepted), 1u);
  EXPECT_EQ(seen(SmtpCounter::kEndedQuit), 1u);
  EXPECT_EQ(seen_in_all(), 3u);
  EXPECT_EQ(bench_.stats().service_smtp[0][SmtpCounter::kEndedQuit], 1u);
  EXPECT_EQ(bench_.stats().service_smtp[1][SmtpCounter::kEndedQuit], 0u);
}

TEST_F(WorkerObservationTest, DoesNotCountRetransmissionsTwice) {
  connect(kVip);
  server_says("220 mx\r\n");
  for (int i = 0; i < 3; i++) {
    bench_.client_sends(frame_up().payload("MAIL FROM:<>\r\n"));
    bench_.turn();
  }
  client_ += 14;
  for (int i = 0; i < 3; i++) {
    bench_.backend_sends(frame_down().payload("451 4.3.0 later\r\n"));
    bench_.turn();
  }
  EXPECT_EQ(seen(SmtpCounter::kEnhanced430), 1u);
  EXPECT_EQ(seen(SmtpCounter::kRepliesUnknown), 0u);
}

TEST_F(WorkerObservationTest, TakesDataAndFinInOneSegment) {
  connect(kVip);
  ASSERT_TRUE(bench_.client_to_backend(frame_up().fin()));
  client_++;
  ASSERT_TRUE(bench_.backend_to_client(frame_down().fin().payload("421 4.3.2 All server ports are busy\r\n")));
  EXPECT_EQ(seen(SmtpCounter::kGreeting421), 1u);
  EXPECT_EQ(seen(SmtpCounter::kEnhanced432), 1u);
  EXPECT_EQ(seen(SmtpCounter::kReasonOverload), 1u);
  EXPECT_EQ(seen(SmtpCounter::kEndedRefused), 1u);
}

TEST_F(WorkerObservationTest, ReadsDataThatComesWithTheHandshakesAck) {
  bench_.client_sends(Frame().from(kClient).to(kTlsVip).syn().seq(1000));
  bench_.turn();
  bench_.backend_sends(Frame().from(kBackend).to(kClient).syn().seq(5000).ack(1001));
  bench_.turn();
  Bytes hello(100, 0);
  hello[0] = 22;
  hello[1] = hello[2] = 3;
  hello[4] = 95;
  bench_.client_sends(Frame().from(kClient).to(kTlsVip).seq(1001).ack(5001).payload(hello));
  bench_.turn();
  EXPECT_EQ(seen(SmtpCounter::kTlsBegun), 1u);
  bench_.backend_sends(Frame().from(kBackend).to(kClient).seq(5001).ack(1101).rst());
  bench_.turn();
  EXPECT_EQ(seen(SmtpCounter::kTlsFailed), 1u);
  EXPECT_EQ(seen(SmtpCounter::kEndedResetByServer), 1u);
}

TEST_F(WorkerObservationTest, LooksAwayWhereItIsToldTo) {
  connect(kUnwatchedVip);
  server_says("421 busy\r\n");
  client_says("EHLO x\r\n");
  server_then_client_finish();
  EXPECT_EQ(seen_in_all(), 0u);
  EXPECT_EQ(seen().connect.buckets[0], 0u);
}

TEST_F(WorkerObservationTest, WatchesThroughAProxyHeader) {
  vip_ = kProxyVip;
  client_ = 1001;
  server_ = 5001;
  bench_.client_sends(Frame().from(kClient).to(kProxyVip).syn().seq(1000));
  bench_.turn();
  bench_.backend_sends(Frame().from(kBackend).to(kClient).syn().seq(5000).ack(1001));
  bench_.turn();
  bench_.client_sends(frame_up());
  bench_.turn();
  EXPECT_EQ(bench_.to_backends().size(), 3u);                           // SYN, ACK, header
  const auto down = [&](const std::string& text, uint32_t flags = 0) {  // the backend counts 28 bytes more
    Frame frame = Frame().from(kBackend).to(kClient).seq(server_).ack(client_ + 28).payload(text);
    if (flags != 0) frame.fin();
    bench_.backend_sends(frame);
    bench_.turn();
    server_ += static_cast<uint32_t>(text.size()) + (flags != 0);
  };
  down("220 mx\r\n");
  client_says("MAIL FROM:<>\r\n");
  down("451 4.3.2 busy\r\n");
  down("", 1);
  bench_.client_sends(frame_up().fin());
  bench_.turn();
  EXPECT_EQ(seen(SmtpCounter::kGreeting2xx), 1u);
  EXPECT_EQ(seen(refusal(channel::SmtpStep::kMail, false)), 1u);
  EXPECT_EQ(seen(SmtpCounter::kEndedWithoutQuit), 1u);
}

TEST_F(WorkerObservationTest, TellsARefusedHandshakeFromASilentBackend) {
  bench_.client_sends(Frame().from(kClient).to(kVip).syn().seq(1000));
  bench_.turn();
  bench_.backend_sends(Frame().from(kBackend).to(kClient).seq(0).ack(1001).rst());
  bench_.turn();
  EXPECT_EQ(seen(SmtpCounter::kConnectRefused), 1u);
  bench_.client_sends(Frame().from(endpoint("198.51.100.8", 40000)).to(kVip).syn().seq(1000));
  bench_.turn();
  bench_.turn(61'000);
  for (int i = 0; i < 10; i++) bench_.turn(1000);
  EXPECT_EQ(seen(SmtpCounter::kConnectTimeout), 1u);
  EXPECT_EQ(seen_in_all(), 2u);
}

TEST_F(WorkerObservationTest, TellsWhoResetAndWhatWeCut) {
  connect(kVip);
  server_says("220 mx\r\n");
  ASSERT_TRUE(bench_.client_to_backend(frame_up().rst()));
  EXPECT_EQ(seen(SmtpCounter::kEndedResetByClient), 1u);

  connect(kVip);
  server_says("220 m");
  bench_.command(channel::CommandType::kDropBackend, 0);
  for (int i = 0; i < 5; i++) bench_.turn(1000);
  EXPECT_EQ(seen(SmtpCounter::kEndedCut), 1u);
  EXPECT_EQ(seen(SmtpCounter::kGreetingNone), 1u);
}

TEST_F(WorkerObservationTest, CountsAnIdleEndAndForgetsItsDialogue) {
  connect(kVip);
  server_says("220 m");
  EXPECT_EQ(bench_.worker().observer().dialogues_in_use(), 1u);
  bench_.turn(7'441'000);
  for (int i = 0; i < 5; i++) bench_.turn(1000);
  EXPECT_EQ(seen(SmtpCounter::kEndedIdle), 1u);
}

TEST_F(WorkerObservationTest, DoesNotJudgeAFlowThatItMetInMidStream) {
  vip_ = kVip;
  client_ = 70'000;
  server_ = 80'000;
  client_says("RCPT TO:<b@example.net>\r\n");
  server_says("451 4.3.0 later\r\n");
  server_then_client_finish();
  EXPECT_EQ(bench_.counter(Counter::kFlowsAdopted), 1u);
  EXPECT_EQ(seen_in_all(), 0u);
}

}  // namespace
}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
//
// What remains of a session when it is over: records in the ring, of conversations through a worker.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/dataplane/support/dialogue_player.h"
#include "tests/dataplane/support/session_records_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter, channel::SessionEnd, channel::SessionParty, channel::SessionRecord, channel::SmtpStep;

TEST_F(SessionRecordsTest, AMessageAcceptedIsToldWithItsTimesBytesAndSteps) {
  const auto begun = static_cast<uint32_t>(bench_.now_ms());
  connect();
  bench_.turn(200);
  server_says("220 mx\r\n");
  dialogue("EHLO x\r\n", "250-mx\r\n250-STARTTLS\r\n250 SIZE 1000\r\n");
  dialogue("MAIL FROM:<>\r\n", "250 ok\r\n");
  dialogue("RCPT TO:<a@example.net>\r\n", "550 5.1.1 no such user\r\n");
  dialogue("RCPT TO:<b@example.net>\r\n", "250 ok\r\n");
  dialogue("DATA\r\n", "354 go\r\n");
  dialogue("Subject: x\r\n\r\n.\r\n", "250 queued\r\n");
  dialogue("QUIT\r\n", "221 bye\r\n");
  EXPECT_TRUE(bench_.sessions().empty()) << "it is not over yet";
  server_then_client_finish();
  const SessionRecord record = the_record();
  EXPECT_EQ(record.ended_ms, bench_.now_ms());
  EXPECT_EQ(record.client, kClient);
  EXPECT_EQ(record.service, 0);
  EXPECT_EQ(record.backend, 0);
  EXPECT_EQ(record.backend_generation, 1);
  EXPECT_EQ(record.end, SessionEnd::kClosed);
  EXPECT_EQ(record.by, SessionParty::kServer) << "its FIN came first";
  EXPECT_TRUE(record.quit);
  EXPECT_FALSE(record.one_way);
  EXPECT_EQ(record.bytes_up, client_ - 1001);
  EXPECT_EQ(record.bytes_down, server_ - 1 - 5001);
  EXPECT_EQ(record.packets_up, 10) << "SYN, ACK, seven lines and FIN";
  EXPECT_EQ(record.packets_down, 10) << "SYN-ACK, eight replies and FIN";
  const channel::SessionNotes& notes = record.notes;
  EXPECT_EQ(notes.begun_ms, begun);
  EXPECT_EQ(notes.answered_after_ms, 5);
  EXPECT_EQ(notes.established_after_ms, 7);
  EXPECT_EQ(notes.greeted_after_ms, 200u);
  EXPECT_EQ(notes.greeting_code, 220);
  EXPECT_EQ(notes.placed_by(), static_cast<uint8_t>(channel::PlacedBy::kTable));
  EXPECT_EQ(notes.furthest(), static_cast<uint8_t>(SmtpStep::kEndOfData) + 1);
  EXPECT_EQ(notes.messages_accepted, 1);
  EXPECT_EQ(notes.messages_permanent + notes.messages_temporary, 0);
  EXPECT_EQ(notes.refused[channel::SessionNotes::place_of(SmtpStep::kRcpt)], 1);
  const channel::LastRefusal last = notes.last_refusal();
  EXPECT_EQ(last.code, 550);
  EXPECT_TRUE(last.enhanced);
  EXPECT_EQ(last.subject, 1);
  EXPECT_EQ(last.detail, 1);
  EXPECT_EQ(last.step, static_cast<uint8_t>(SmtpStep::kRcpt));
  const uint32_t told = channel::kSessionEstablished | channel::kSessionWatched | channel::kSessionStartTlsOffered |
                        channel::kSessionServerFin;
  EXPECT_EQ(notes.flags & 0x0fffffff, told);
  EXPECT_EQ(bench_.counter(Counter::kSessionRecords), 1u);
}

TEST_F(SessionRecordsTest, ARefusedGreetingIsToldWithItsCode) {
  connect();
  server_says("554 5.7.1 go away\r\n");
  server_then_client_finish();
  const SessionRecord record = the_record();
  EXPECT_EQ(record.notes.greeting_code, 554);
  EXPECT_EQ(record.notes.furthest(), 0);
  EXPECT_EQ(record.notes.last_refusal().code, 554);
  EXPECT_EQ(record.notes.last_refusal().step, static_cast<uint8_t>(SmtpStep::kConnect));
  EXPECT_FALSE(record.quit);
}

TEST_F(SessionRecordsTest, StartTlsIsToldAsFarAsItCame) {
  connect();
  server_says("220 mx\r\n");
  dialogue("EHLO x\r\n", "250-mx\r\n250 STARTTLS\r\n");
  dialogue("STARTTLS\r\n", "220 go\r\n");
  const std::string hello("\x16\x03\x01\x00\x02hi", 7), data("\x17\x03\x03\x00\x02hi", 7);
  client_says(hello);
  server_says(hello);
  client_says(data);
  server_says(data);
  server_then_client_finish();
  const uint32_t flags = the_record().notes.flags;
  EXPECT_NE(flags & channel::kSessionStartTlsOffered, 0u);
  EXPECT_NE(flags & channel::kSessionStartTlsAsked, 0u);
  EXPECT_NE(flags & channel::kSessionTlsBegun, 0u);
  EXPECT_NE(flags & channel::kSessionTlsEstablished, 0u);
  EXPECT_EQ(flags & channel::kSessionTlsFailed, 0u);
}

TEST_F(SessionRecordsTest, StartTlsIsFoundWhereverSegmentsAreCut) {
  const std::string reply = "250-mx\r\n250-STARTTLS\r\n250 SIZE 1000\r\n";
  for (size_t cut = 1; cut < reply.size(); cut++) {
    SCOPED_TRACE(cut);
    connect();
    server_says("220 mx\r\n");
    client_says("EHLO x\r\n");
    server_says(reply.substr(0, cut));
    server_says(reply.substr(cut));
    server_then_client_finish();
    EXPECT_NE(the_record().notes.flags & channel::kSessionStartTlsOffered, 0u);
    bench_.turn();
  }
  connect();
  server_says("220 mx\r\n");
  dialogue("EHLO x\r\n", "250-STARTTLSX\r\n250-XSTARTTLS\r\n250 START\r\n");
  server_then_client_finish();
  EXPECT_EQ(the_record().notes.flags & channel::kSessionStartTlsOffered, 0u) << "others have names like it";
}

TEST_F(SessionRecordsTest, AResetIsToldWithWhoSentIt) {
  connect();
  server_says("220 mx\r\n");
  ASSERT_TRUE(bench_.client_to_backend(frame_up().rst()));
  EXPECT_EQ(the_record().by, SessionParty::kClient);
  bench_.turn();
  connect();
  server_says("220 mx\r\n");
  ASSERT_TRUE(bench_.backend_to_client(frame_down().rst()));
  const SessionRecord record = the_record();
  EXPECT_EQ(record.end, SessionEnd::kReset);
  EXPECT_EQ(record.by, SessionParty::kServer);
}

TEST_F(SessionRecordsTest, AConnectionThatTheServerRefusesIsTold) {
  bench_.client_sends(Frame().from(kClient).to(kVip).syn().seq(1000));
  bench_.turn();
  bench_.backend_sends(Frame().from(kBackend).to(kClient).rst().seq(0).ack(1001));
  bench_.turn();
  const SessionRecord record = the_record();
  EXPECT_EQ(record.end, SessionEnd::kReset);
  EXPECT_EQ(record.by, SessionParty::kServer);
  EXPECT_EQ(record.notes.flags & channel::kSessionEstablished, 0u);
  EXPECT_EQ(record.bytes_up, 0u);
}

TEST_F(SessionRecordsTest, ASessionThatIsCutIsToldWithTheReason) {
  connect();
  bench_.put_backend(0, kBackend, channel::kBackendReachable | channel::kBackendDown);
  for (int i = 0; i < 10 && bench_.counter(Counter::kFlowsCutDown) == 0; i++) bench_.turn(500);
  SessionRecord record = the_record();
  EXPECT_EQ(record.end, SessionEnd::kCut);
  EXPECT_EQ(record.by, SessionParty::kBalancer);
  EXPECT_EQ(record.cause, static_cast<uint16_t>(Counter::kFlowsCutDown));
  EXPECT_FALSE(record.removed);
  bench_.put_backend(0, kBackend);
  for (int i = 0; i < 10; i++) bench_.turn(2000);
  EXPECT_TRUE(bench_.sessions().empty()) << "once is enough";
  connect();
  for (uint64_t ms = 0; ms < 7'450'000; ms += 100'000) bench_.turn(100'000);
  bench_.turn(2000);
  record = the_record();
  EXPECT_EQ(record.end, SessionEnd::kCut);
  EXPECT_EQ(record.cause, static_cast<uint16_t>(Counter::kFlowsCutIdle));
}

TEST_F(SessionRecordsTest, ASessionOfABackendThatControlWithdrawsIsToldSo) {
  connect();
  bench_.command(channel::CommandType::kDropBackend, 0);
  for (int i = 0; i < 10 && bench_.counter(Counter::kFlowsCutDown) == 0; i++) bench_.turn(500);
  const SessionRecord record = the_record();
  EXPECT_EQ(record.end, SessionEnd::kCut);
  EXPECT_TRUE(record.removed);
}

TEST_F(SessionRecordsTest, AnUnfinishedHandshakeIsToldWhenItsTimeIsUp) {
  bench_.client_sends(Frame().from(kClient).to(kVip).syn().seq(1000));
  bench_.turn();
  for (int i = 0; i < 40; i++) bench_.turn(2000);
  EXPECT_EQ(the_record().end, SessionEnd::kUnfinished);
}

TEST_F(SessionRecordsTest, AClientThatBeginsAnewEndsItsLastSession) {
  connect();
  ASSERT_TRUE(bench_.client_to_backend(frame_up().fin()));
  bench_.turn(1000);
  bench_.client_sends(Frame().from(kClient).to(kVip).syn().seq(client_ + 100'000));
  bench_.turn();
  EXPECT_EQ(the_record().end, SessionEnd::kSuperseded);
}

TEST_F(SessionRecordsTest, WithoutTheWayBackOnlyTheClientsHalfIsTold) {
  vip_ = kDsrVip;
  client_ = 1001;
  server_ = 5001;
  bench_.client_sends(Frame().from(kClient).to(kDsrVip).syn().seq(1000));
  bench_.turn();
  bench_.client_sends(frame_up());
  bench_.turn();
  bench_.client_sends(frame_up().rst());
  bench_.turn();
  const SessionRecord record = the_record();
  EXPECT_TRUE(record.one_way);
  EXPECT_EQ(record.by, SessionParty::kClient);
  EXPECT_EQ(record.notes.flags & channel::kSessionWatched, 0u);
}

TEST_F(SessionRecordsTest, ASessionKeepsItsNotesOverARestart) {
  connect();
  bench_.turn(30);
  server_says("220 mx\r\n");
  dialogue("EHLO x\r\n", "250-mx\r\n250 STARTTLS\r\n");
  WorkerBench next({.flow_memory = bench_.flow_memory()});
  next.put_backend(0, kBackend);
  next.put_service(0, kVip, {0});
  next.turn();
  ASSERT_TRUE(next.client_to_backend(frame_up().rst()));
  const std::vector<SessionRecord> all = next.sessions();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].notes.greeting_code, 220);
  EXPECT_NE(all[0].notes.flags & channel::kSessionStartTlsOffered, 0u);
}

TEST_F(SessionRecordsTest, WithoutControlRecordsAreLostAndCounted) {
  connect();
  bench_.end_connection();
  ASSERT_TRUE(bench_.client_to_backend(frame_up().rst()));
  EXPECT_TRUE(bench_.sessions().empty());
  EXPECT_EQ(bench_.counter(Counter::kSessionRecordsLost), 1u);
}

TEST_F(SessionRecordsTest, ARecordThatFindsNoRoomIsLostAndCounted) {
  for (uint32_t i = 0; i < channel::kSessionRingEntries; i++) {
    connect();
    bench_.client_sends(frame_up().rst());
    bench_.turn();
    bench_.to_backends();
  }
  EXPECT_EQ(bench_.counter(Counter::kSessionRecords), channel::kSessionRingEntries - 1);
  EXPECT_EQ(bench_.counter(Counter::kSessionRecordsLost), 1u);
  EXPECT_EQ(bench_.sessions().size(), channel::kSessionRingEntries - 1);
}

TEST_F(SessionRecordsTest, CountsWhatComesAgainEachWay) {
  bench_.client_sends(Frame().from(kClient).to(kVip).syn().seq(1000));
  bench_.turn();
  connect();  // the SYN once more
  server_says("220 mx\r\n");
  const Frame line = frame_up().psh().payload("EHLO x\r\n");
  ASSERT_TRUE(bench_.client_to_backend(line));
  ASSERT_TRUE(bench_.client_to_backend(line));
  ASSERT_TRUE(bench_.client_to_backend(line));
  client_ += 8;
  const Frame reply = frame_down().psh().payload("250 mx\r\n");
  ASSERT_TRUE(bench_.backend_to_client(reply));
  server_ += 8;
  ASSERT_TRUE(bench_.client_to_backend(frame_up())) << "an ACK without payload comes again as often as it likes";
  ASSERT_TRUE(bench_.client_to_backend(frame_up()));
  ASSERT_TRUE(bench_.backend_to_client(reply));
  server_then_client_finish();
  const SessionRecord record = the_record();
  EXPECT_EQ(record.notes.sent_again(true), 3u);
  EXPECT_EQ(record.notes.sent_again(false), 1u);
  EXPECT_EQ(record.packets_up, 9);
  EXPECT_EQ(record.packets_down, 5);
}

TEST_F(SessionRecordsTest, AClientHelloIsHandedOnBesideTheRecord) {
  const auto begun = static_cast<uint32_t>(bench_.now_ms());
  connect(kTlsVip);
  client_says(tls_record(22, 300));
  const std::vector<channel::HelloPiece> pieces = bench_.hellos();
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].bytes, 300);
  EXPECT_EQ(pieces[0].client, kClient);
  EXPECT_EQ(pieces[0].begun_ms, begun);
  ASSERT_TRUE(bench_.client_to_backend(frame_up().rst()));
  EXPECT_EQ(the_record().notes.begun_ms, begun) << "as the record names it";
}

}  // namespace
}  // namespace sluice::testing

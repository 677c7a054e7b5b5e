// SPDX-License-Identifier: Apache-2.0
//
// What remains of sessions that were refused, limited or never came about, and of AUTH.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/dataplane/support/session_records_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter, channel::SessionEnd, channel::SessionParty, channel::SessionRecord, channel::SmtpStep;

TEST_F(SessionRecordsTest, ARefusedClientIsToldWithTheReason) {
  bench_.client_sends(Frame().from(kClient).to(kEmptyVip).syn().seq(1000));
  bench_.turn();
  SessionRecord record = the_record();
  EXPECT_EQ(record.end, SessionEnd::kRefused);
  EXPECT_EQ(record.client, kClient);
  EXPECT_EQ(record.service, 3);
  EXPECT_EQ(record.backend, channel::kNoBackend);
  EXPECT_EQ(record.cause, static_cast<uint16_t>(Counter::kDropNoBackend));
  bench_.put_sources({0xc6336400, 0xc6336500});  // 198.51.100.0/24
  bench_.client_sends(Frame().from(kClient).to(kVip).syn().seq(1000));
  bench_.turn();
  record = the_record();
  EXPECT_EQ(record.end, SessionEnd::kRefused);
  EXPECT_EQ(record.cause, static_cast<uint16_t>(Counter::kDropPolicy));
}

TEST_F(SessionRecordsTest, AClientOverALimitIsToldWithTheRule) {
  channel::LimitRules rules{};
  rules.rule[0] = {32, 128, channel::LimitAction::kDrop, 0, 10, 0, 1};
  rules.rule[1] = {24, 64, channel::LimitAction::kDrop, 0, 1, 0, 1};
  rules.rules_of[0] = 3;
  bench_.put_limits(rules, 2, 1);
  bench_.turns(8);
  const Endpoint late = endpoint("198.51.100.8", 40000), next = endpoint("198.51.100.9", 40000);
  bench_.client_sends(Frame().from(late).to(kVip).syn().seq(1000));  // before the other is counted
  bench_.turn();
  bench_.backend_sends(Frame().from(kBackend).to(late).syn().seq(5000).ack(1001));
  bench_.turn();
  connect();
  bench_.client_sends(Frame().from(late).to(kVip).seq(1001).ack(5001));
  bench_.turn();
  SessionRecord record = the_record();
  EXPECT_EQ(record.end, SessionEnd::kCut);
  EXPECT_EQ(record.client, late);
  EXPECT_EQ(record.cause, static_cast<uint16_t>(Counter::kFlowsCutLimit));
  EXPECT_EQ(record.limit, 2);
  bench_.client_sends(Frame().from(next).to(kVip).syn().seq(1000));
  bench_.turn();
  record = the_record();
  EXPECT_EQ(record.end, SessionEnd::kRefused);
  EXPECT_EQ(record.client, next);
  EXPECT_EQ(record.cause, static_cast<uint16_t>(Counter::kDropLimited));
  EXPECT_EQ(record.limit, 2);
  bench_.to_backends();  // resets of the one that was cut
  bench_.to_clients();
  ASSERT_TRUE(bench_.client_to_backend(frame_up().rst()));
  EXPECT_EQ(the_record().limit, 0) << "of an ordinary session";
}

TEST_F(SessionRecordsTest, RefusedAuthenticationIsCountedAndAnAcceptedOneTold) {
  connect();
  server_says("220 mx\r\n");
  dialogue("EHLO x\r\n", "250-mx\r\n250 AUTH PLAIN LOGIN\r\n");
  dialogue("AUTH PLAIN AGEAYg==\r\n", "535 5.7.8 no\r\n");
  dialogue("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n");
  dialogue("YQ==\r\n", "334 UGFzc3dvcmQ6\r\n");
  dialogue("Yg==\r\n", "535 5.7.8 no\r\n");
  ASSERT_TRUE(bench_.sessions().empty());
  dialogue("AUTH PLAIN AGEAYw==\r\n", "235 2.7.0 welcome\r\n");
  server_then_client_finish();
  const channel::SessionNotes notes = the_record().notes;
  EXPECT_EQ(notes.refused[channel::SessionNotes::place_of(SmtpStep::kAuth)], 2);
  EXPECT_EQ(notes.last_refusal().code, 535);
  EXPECT_EQ(notes.last_refusal().step, static_cast<uint8_t>(SmtpStep::kAuth));
  EXPECT_EQ(notes.furthest(), static_cast<uint8_t>(SmtpStep::kAuth) + 1);
  EXPECT_NE(notes.flags & channel::kSessionAuthAccepted, 0u);
  connect();
  server_says("220 mx\r\n");
  dialogue("EHLO x\r\n", "250 mx\r\n");
  dialogue("AUTH PLAIN AGEAYg==\r\n", "535 5.7.8 no\r\n");
  server_then_client_finish();
  const channel::SessionNotes refused = the_record().notes;
  EXPECT_EQ(refused.refused[channel::SessionNotes::place_of(SmtpStep::kAuth)], 1);
  EXPECT_EQ(refused.flags & channel::kSessionAuthAccepted, 0u);
}

TEST_F(SessionRecordsTest, OfSessionsThatNeverCameAboutOnlySoManyAreToldASecond) {
  constexpr uint32_t kMany = 3 * SessionRecorder::kUnfinishedPerSecond;
  for (uint32_t i = 0; i < kMany; i++) {
    bench_.client_sends(Frame().from(endpoint("198.51.100.8", static_cast<uint16_t>(2000 + i))).to(kEmptyVip).syn());
    if (i % 32 == 31) bench_.turn();
  }
  bench_.turn();
  EXPECT_EQ(bench_.sessions().size(), SessionRecorder::kUnfinishedPerSecond);
  EXPECT_EQ(bench_.counter(Counter::kSessionRecordsHeldBack), kMany - SessionRecorder::kUnfinishedPerSecond);
  connect();
  ASSERT_TRUE(bench_.client_to_backend(frame_up().rst()));
  EXPECT_EQ(bench_.sessions().size(), 1u) << "a session that was established is told all the same";
}

}  // namespace
}  // namespace sluice::testing

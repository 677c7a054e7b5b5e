// SPDX-License-Identifier: Apache-2.0
//
// What a record says as JSON, and which sessions went wrong.
#include "controlplane/records/session_line.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "dataplane/contract/counters.h"
#include "tests/controlplane/support/known_session.h"

namespace sluice::control {
namespace {

using channel::SessionEnd, channel::SessionParty, channel::SmtpStep;
using nlohmann::json;

json line_of(const KnownSession& session, const LineStyle& style = {.node = "edge1"}) {
  fmt::memory_buffer out;
  append_json(out, session, style);
  return json::parse(fmt::to_string(out));
}

TEST(SessionLine, HasAllThatIsKnownOfAnOrdinarySession) {
  LineStyle style{.node = "edge1"};
  style.wall_offset_ms = 1'700'000'000'000 - 5'000'000'000;
  EXPECT_EQ(line_of(ordinary_session(), style), json::parse(R"({
    "time": "2023-11-14T22:13:21.500Z", "begun": "2023-11-14T22:13:20.000Z", "node": "edge1", "worker": 1,
    "service": "relay", "vip": "192.0.2.25", "port": 25, "client": "198.51.100.7", "client_port": 40000,
    "pool": "mta", "backend": "mta1", "backend_address": "10.0.1.10", "backend_port": 2525, "placed_by": "table",
    "duration_ms": 1500, "connect_ms": 5, "handshake_ms": 7, "greeting_ms": 200,
    "bytes_from_client": 900, "bytes_from_backend": 300, "packets_from_client": 12, "packets_from_backend": 10,
    "end": "closed", "by": "server", "failed": false,
    "established": true, "greeting": 220, "furthest": "message",
    "messages": {"accepted": 1, "temporary": 0, "permanent": 0},
    "starttls": {"offered": true, "asked": false, "refused": false}, "quit": true})"));
}

TEST(SessionLine, TellsRefusalsByStepWithTheLastCode) {
  KnownSession session = ordinary_session();
  session.record.notes.refused[channel::SessionNotes::place_of(SmtpStep::kRcpt)] = 3;
  session.record.notes.set_last_refusal(
      {.code = 550, .subject = 1, .detail = 1, .enhanced = true, .step = static_cast<uint8_t>(SmtpStep::kRcpt)});
  const json line = line_of(session);
  EXPECT_EQ(line["refused"], json::parse(R"({"rcpt": 3})"));
  EXPECT_EQ(line["last_refusal"], json::parse(R"({"step": "rcpt", "code": 550, "enhanced": "5.1.1"})"));
  EXPECT_EQ(line["failed"], true);
}

TEST(SessionLine, TellsWhatWasSentAgainIfAnythingWas) {
  KnownSession session = ordinary_session();
  for (int i = 0; i < 100; i++) session.record.notes.count_sent_again(true);
  session.record.notes.count_sent_again(false);
  const json line = line_of(session);
  EXPECT_EQ(line["sent_again_by_client"], 63) << "no more than it can hold";
  EXPECT_EQ(line["sent_again_by_backend"], 1);
}

TEST(SessionLine, TellsHowTheClientBeganTls) {
  KnownSession session = ordinary_session();
  session.hello = std::make_shared<const ClientHello>(ClientHello{.server_name = "mx.example.net",
                                                                  .alpn = "",
                                                                  .version = 0x0303,
                                                                  .names_server = true,
                                                                  .ciphers = {},
                                                                  .extensions = {0},
                                                                  .signature_algorithms = {}});
  const json line = line_of(session);
  EXPECT_EQ(line["sni"], "mx.example.net");
  EXPECT_EQ(line["tls_offered"], "1.2");
  EXPECT_EQ(line["ja4"], "t12d000100_000000000000_000000000000");
  session.hello = std::make_shared<const ClientHello>();
  EXPECT_FALSE(line_of(session).contains("sni"));
}

TEST(SessionLine, SaysNothingOfADialogueThatWasNotWatched) {
  KnownSession session = ordinary_session();
  session.record.notes.flags = channel::kSessionEstablished;
  session.record.notes.answered_after_ms = 0;
  session.record.one_way = true;
  session.backend = nullptr;
  const json line = line_of(session);
  for (const char* name : {"greeting", "messages", "starttls", "quit", "handshake_ms", "greeting_ms", "connect_ms",
                           "bytes_from_backend", "packets_from_backend", "backend", "pool", "sni", "ja4"}) {
    EXPECT_FALSE(line.contains(name)) << name;
  }
  EXPECT_EQ(line["failed"], false);
}

TEST(SessionLine, NamesTheCauseOfACutAndOfARefusal) {
  KnownSession session = ordinary_session();
  session.record.end = SessionEnd::kCut;
  session.record.by = SessionParty::kBalancer;
  session.record.cause = static_cast<uint16_t>(channel::Counter::kFlowsCutDown);
  EXPECT_EQ(line_of(session)["cause"], "backend_down");
  session.record.removed = true;
  EXPECT_EQ(line_of(session)["cause"], "removed");
  session.record.end = SessionEnd::kRefused;
  session.record.cause = static_cast<uint16_t>(channel::Counter::kDropPolicy);
  EXPECT_EQ(line_of(session)["cause"], "blocked");
  EXPECT_FALSE(line_of(session).contains("placed_by"));
}

TEST(SessionLine, NamesTheLimitOrThePrefixThatRefusedIt) {
  KnownSession session = ordinary_session();
  session.record.end = SessionEnd::kRefused;
  session.record.cause = static_cast<uint16_t>(channel::Counter::kDropLimited);
  session.record.limit = 2;
  EXPECT_EQ(line_of(session)["cause"], "source_limit");
  EXPECT_EQ(line_of(session)["limit"], 2);
  session.record.end = SessionEnd::kCut;
  session.record.cause = static_cast<uint16_t>(channel::Counter::kFlowsCutLimit);
  EXPECT_EQ(line_of(session)["limit"], 2) << "found when its handshake ended";
  session.record.cause = static_cast<uint16_t>(channel::Counter::kFlowsCutIdle);
  EXPECT_FALSE(line_of(session).contains("limit"));
  session.record.end = SessionEnd::kRefused;
  session.record.cause = static_cast<uint16_t>(channel::Counter::kDropPolicy);
  EXPECT_FALSE(line_of(session).contains("blocked_prefix")) << "it is known no more";
  session.block = std::make_shared<const BlockNames>("198.51.100.0/24", "file");
  EXPECT_EQ(line_of(session)["blocked_prefix"], "198.51.100.0/24");
  EXPECT_EQ(line_of(session)["blocked_by"], "file");
}

TEST(SessionLine, TellsWhereAnAdoptedSessionCameFrom) {
  KnownSession session = ordinary_session();
  session.record.notes.set_placed_by(channel::PlacedBy::kAdopted);
  EXPECT_EQ(line_of(session)["placed_by"], "adopted");
  session.record.notes.set_placed_by(channel::PlacedBy::kPeer);
  EXPECT_EQ(line_of(session)["placed_by"], "peer");
}

TEST(SessionLine, CountsRefusedAuthenticationAndTellsOfAnAcceptedOne) {
  KnownSession session = ordinary_session();
  EXPECT_FALSE(line_of(session).contains("authenticated"));
  session.record.notes.refused[channel::SessionNotes::place_of(SmtpStep::kAuth)] = 2;
  session.record.notes.set_last_refusal(
      {.code = 535, .subject = 7, .detail = 8, .enhanced = true, .step = static_cast<uint8_t>(SmtpStep::kAuth)});
  session.record.notes.flags |= channel::kSessionAuthAccepted;
  const json line = line_of(session);
  EXPECT_EQ(line["refused"], json::parse(R"({"auth": 2})"));
  EXPECT_EQ(line["last_refusal"], json::parse(R"({"step": "auth", "code": 535, "enhanced": "5.7.8"})"));
  EXPECT_EQ(line["authenticated"], true);
}

TEST(SessionLine, TellsOfASessionThatWasEndedBetweenMessages) {
  KnownSession session = ordinary_session();
  session.record.end = SessionEnd::kTold;
  session.record.by = SessionParty::kBalancer;
  session.record.cause = static_cast<uint16_t>(channel::Counter::kFlowsTold);
  const json line = line_of(session);
  EXPECT_EQ(line["end"], "told");
  EXPECT_EQ(line["by"], "balancer");
  EXPECT_FALSE(line.contains("cause")) << "there is but one";
  EXPECT_EQ(line["failed"], false);
}

TEST(SessionLine, SaysOfHowManyAnOrdinarySessionIsOneIfOnlySomeAreWritten) {
  LineStyle style{.node = "edge1", .share = 0.25};
  EXPECT_EQ(line_of(ordinary_session(), style)["share"], 0.25);
  KnownSession wrong = ordinary_session();
  wrong.record.end = SessionEnd::kReset;
  EXPECT_FALSE(line_of(wrong, style).contains("share"));
}

TEST(SessionLine, ReadsWhateverBitsARecordHas) {
  KnownSession session = ordinary_session();
  std::memset(static_cast<void*>(&session.record), 0xff, sizeof session.record);
  session.record.quit = session.record.one_way = session.record.removed = true;
  const json line = line_of(session);
  EXPECT_EQ(line["end"], "unknown");
  EXPECT_FALSE(line.contains("placed_by"));
}

TEST(WentWrong, TellsTheOrdinaryFromTheRest) {
  using Change = void (*)(channel::SessionRecord&);
  EXPECT_FALSE(went_wrong(ordinary_session().record));
  const auto wrong = [](Change change) {
    KnownSession session = ordinary_session();
    change(session.record);
    return went_wrong(session.record);
  };
  EXPECT_TRUE(wrong([](auto& r) { r.end = SessionEnd::kIdle; }));
  EXPECT_TRUE(wrong([](auto& r) { r.end = SessionEnd::kReset; }));
  EXPECT_FALSE(wrong([](auto& r) {
    r.end = SessionEnd::kReset;
    r.notes.flags |= channel::kSessionServerFin;
  })) << "after a FIN it says no more than that";
  EXPECT_FALSE(wrong([](auto& r) { r.end = SessionEnd::kTold; })) << "its client comes again, with what it has left";
  EXPECT_TRUE(wrong([](auto& r) { r.notes.greeting_code = 0; })) << "no greeting";
  EXPECT_TRUE(wrong([](auto& r) { r.notes.greeting_code = 554; }));
  EXPECT_TRUE(wrong([](auto& r) { r.notes.flags |= channel::kSession421; }));
  EXPECT_TRUE(wrong([](auto& r) { r.notes.flags |= channel::kSessionTlsFailed; }));
  EXPECT_TRUE(wrong([](auto& r) { r.notes.flags |= channel::kSessionEarly; }));
  EXPECT_FALSE(wrong([](auto& r) {
    r.notes.greeting_code = 0;  // implicit TLS
    r.notes.flags |= channel::kSessionTlsBegun | channel::kSessionTlsEstablished;
  }));
  EXPECT_FALSE(wrong([](auto& r) { r.quit = false; })) << "many clients do not say it";
}

}  // namespace
}  // namespace sluice::control

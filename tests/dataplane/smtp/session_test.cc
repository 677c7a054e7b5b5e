// SPDX-License-Identifier: Apache-2.0
//
// A session by itself: which phase a segment leaves a flow in, and what is remembered of it beside the flow. What is
// counted of whole dialogues: observer_test.cc.
#include "dataplane/smtp/session.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

namespace sluice {
namespace {

using channel::SmtpCounter;

constexpr FlowIndex kFlow = 17;
constexpr bool kGap = true;

class SmtpSessionTest : public ::testing::Test {
 protected:
  SmtpSessionTest() { enter(SmtpPhase::kCommands, SmtpCommand::kConnect); }

  void enter(SmtpPhase phase, SmtpCommand due = SmtpCommand::kNone) {
    flow_.smtp_phase = static_cast<uint8_t>(phase);
    flow_.smtp_detail = static_cast<uint8_t>(due);
  }
  /// One segment, as an observer has it read. Returns whether there was anything to see in the flow.
  bool says(bool client, const std::string& text, bool gap) {
    SmtpSession session(memory(), kFlow, flow_, 1000);
    if (!session.open()) return false;
    // With room behind, as in an mbuf.
    const std::string bytes = text + std::string(64, '\xff');
    const auto* at = reinterpret_cast<const uint8_t*>(bytes.data());
    if (client) {
      session.client_says(at, at + text.size(), gap);
    } else {
      session.server_says(at, at + text.size(), gap);
    }
    session.settle();
    return true;
  }
  bool client(const std::string& text, bool gap = false) { return says(true, text, gap); }
  bool server(const std::string& text, bool gap = false) { return says(false, text, gap); }

  SmtpPhase phase() { return SmtpSession(memory(), kFlow, flow_, 1000).phase(); }
  SmtpCommand due() { return SmtpSession(memory(), kFlow, flow_, 1000).due(); }
  uint32_t dialogues() { return memory().dialogues.in_use(); }
  uint64_t counted(SmtpCounter which) { return stats_->service_smtp[flow_.service][which]; }
  SmtpMemory& memory() { return *memory_; }

  std::unique_ptr<channel::WorkerStats> stats_ = std::make_unique<channel::WorkerStats>();
  std::array<channel::SessionNotes, kFlow + 1> notes_{};
  std::unique_ptr<SmtpMemory> memory_{new SmtpMemory{*stats_, notes_.data(), HelloTeller(*stats_)}};
  Flow flow_{};
};

TEST_F(SmtpSessionTest, TheFlowAloneTellsWhichReplyIsDueWhileNothingIsPipelined) {
  EXPECT_EQ(due(), SmtpCommand::kConnect);
  server("220 mx\r\n");
  EXPECT_EQ(due(), SmtpCommand::kNone);
  client("EHLO x\r\n");
  EXPECT_EQ(due(), SmtpCommand::kEhlo);
  server("250 mx\r\n");
  client("MAIL FROM:<>\r\n");
  EXPECT_EQ(due(), SmtpCommand::kMail);
  EXPECT_EQ(phase(), SmtpPhase::kCommands);
  EXPECT_EQ(dialogues(), 0u);
}

TEST_F(SmtpSessionTest, ADialogueIsTakenForACutLineAndGivenBack) {
  server("220 mx\r\n");
  client("EH");
  EXPECT_EQ(dialogues(), 1u);
  client("LO x\r\n");
  EXPECT_EQ(dialogues(), 0u);
  EXPECT_EQ(due(), SmtpCommand::kEhlo);
  server("250-mx\r\n25");
  EXPECT_EQ(dialogues(), 1u);
  server("0 SIZE\r\n");
  EXPECT_EQ(dialogues(), 0u);
  EXPECT_EQ(due(), SmtpCommand::kNone);
}

TEST_F(SmtpSessionTest, PipelinedCommandsWaitInOrder) {
  server("220 mx\r\n");
  client("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
  EXPECT_EQ(due(), SmtpCommand::kMail);
  EXPECT_EQ(dialogues(), 1u);
  server("250 ok\r\n");
  EXPECT_EQ(due(), SmtpCommand::kRcpt);
  server("250 ok\r\n550 no\r\n");
  EXPECT_EQ(due(), SmtpCommand::kData);
  EXPECT_EQ(counted(channel::refusal(channel::SmtpStep::kRcpt, true)), 1u);
  server("354 go\r\n");
  EXPECT_EQ(phase(), SmtpPhase::kMessageEdge);
  EXPECT_EQ(dialogues(), 0u);
}

TEST_F(SmtpSessionTest, TellsRsetFromRcptWhereverTheyAreCut) {
  server("220 mx\r\n");
  const std::pair<const char*, SmtpCommand> cases[] = {
      {"RSET\r\n", SmtpCommand::kReset}, {"rset \r\n", SmtpCommand::kReset},      {"RSETS\r\n", SmtpCommand::kOther},
      {"RSE\r\n", SmtpCommand::kOther},  {"RCPT TO:<a>\r\n", SmtpCommand::kRcpt}, {"RSCPT\r\n", SmtpCommand::kOther},
      {"RCET\r\n", SmtpCommand::kOther}, {"R\r\n", SmtpCommand::kOther},          {"SET\r\n", SmtpCommand::kOther}};
  for (const auto& [line, command] : cases) {
    SCOPED_TRACE(line);
    const std::string text(line);
    for (size_t cut = 0; cut < text.size(); cut++) {
      if (cut != 0) client(text.substr(0, cut));
      client(text.substr(cut));
      EXPECT_EQ(due(), command) << cut;
      server("250 ok\r\n");
    }
  }
}

TEST_F(SmtpSessionTest, IsBetweenMessagesWhereNothingIsUnderWay) {
  const auto between = [this] { return SmtpSession(memory(), kFlow, flow_, 1000).is_between_messages(); };
  EXPECT_FALSE(between()) << "not greeted";
  server("220 mx\r\n");
  EXPECT_TRUE(between());
  for (const char* reply : {"250 queued\r\n", "451 4.3.0 later\r\n", "554 5.7.1 no\r\n"}) {
    client("MAIL FROM:<>\r\n");
    EXPECT_FALSE(between());
    server("250 ok\r\n");
    EXPECT_FALSE(between()) << "in a transaction";
    client("RCPT TO:<a@b>\r\n");
    server("250 ok\r\n");
    client("DATA\r\n");
    server("354 go\r\n");
    client("x\r\n.\r\n");
    EXPECT_FALSE(between());
    server(reply);
    EXPECT_TRUE(between()) << reply;
  }
  client("MAIL FROM:<>\r\n");
  server("452 4.3.1 full\r\n");
  EXPECT_TRUE(between()) << "it was not begun";
  client("MAIL FROM:<>\r\n");
  server("250 ok\r\n");
  client("RSET\r\n");
  server("500 5.5.2 what\r\n");
  EXPECT_FALSE(between()) << "nor ended";
  client("EHLO x\r\n");
  server("250-mx\r\n25");
  EXPECT_FALSE(between()) << "half a reply";
  server("0 SIZE\r\n");
  EXPECT_TRUE(between());
  client("NO");
  EXPECT_FALSE(between()) << "half a command";
  client("OP\r\n");
  server("250 ok\r\n");
  client("AUTH LOGIN\r\n");
  server("334 VXNlcm5hbWU6\r\n");
  EXPECT_FALSE(between());
  client("eA==\r\n", kGap);
  EXPECT_FALSE(between()) << "it is not known where it is";
}

TEST_F(SmtpSessionTest, TheEndOfDataIsFoundAcrossSegments) {
  enter(SmtpPhase::kCommands, SmtpCommand::kData);
  server("354 go\r\n");
  client("Subject: x\r\n");
  EXPECT_EQ(phase(), SmtpPhase::kMessageEdge) << "the dot may come next";
  client("\r\nHello.\r\n.");
  EXPECT_EQ(phase(), SmtpPhase::kMessageEdge);
  client("\r\nQUIT\r\n");
  EXPECT_EQ(phase(), SmtpPhase::kCommands);
  EXPECT_EQ(due(), SmtpCommand::kEndOfData);
  server("250 queued\r\n");
  EXPECT_EQ(due(), SmtpCommand::kQuit);
  EXPECT_EQ(counted(SmtpCounter::kMessagesAccepted), 1u);
}

TEST_F(SmtpSessionTest, AGapBeforeTheClientsBytesLosesTheCommandsUntilTheNext354) {
  server("220 mx\r\n");
  client("RCPT TO:<a@b>\r\n", kGap);
  EXPECT_EQ(phase(), SmtpPhase::kCommandsLost);
  server("550 no\r\n");
  EXPECT_EQ(counted(channel::refusal(channel::SmtpStep::kRcpt, true)), 0u) << "of what is not known";
  EXPECT_EQ(counted(SmtpCounter::kRepliesUnknown), 1u);
  server("354 go\r\n");
  client(".\r\n");
  EXPECT_EQ(phase(), SmtpPhase::kCommands);
  EXPECT_EQ(due(), SmtpCommand::kEndOfData);
}

TEST_F(SmtpSessionTest, AGapBeforeTheServersBytesLosesTheFlow) {
  client("EH");  // has a dialogue
  server("220 mx\r\n", kGap);
  EXPECT_EQ(phase(), SmtpPhase::kLost);
  EXPECT_EQ(counted(SmtpCounter::kFlowsLostSight), 1u);
  EXPECT_EQ(dialogues(), 0u);
}

TEST_F(SmtpSessionTest, ADialogueOfAnEarlierProcessIsGoneAndWithItTheFlow) {
  flow_.smtp_detail |= kSmtpDialogue;
  client("LO x\r\n");
  EXPECT_EQ(phase(), SmtpPhase::kLost);
  EXPECT_EQ(counted(SmtpCounter::kFlowsLostSight), 1u);
}

TEST_F(SmtpSessionTest, AFlowThatFindsNoRoomForADialogueIsLost) {
  for (FlowIndex other = 0; memory().dialogues.take(kFlow) != nullptr; other++) ASSERT_LT(other, 100u);
  server("220 m");
  EXPECT_EQ(phase(), SmtpPhase::kLost);
}

TEST_F(SmtpSessionTest, ReadsNothingOfAFlowThatHasEnded) {
  for (const SmtpPhase ended : {SmtpPhase::kEnded, SmtpPhase::kOff}) {
    enter(ended);
    EXPECT_FALSE(server("220 mx\r\n"));
  }
  EXPECT_EQ(counted(SmtpCounter::kGreeting2xx), 0u);
}

TEST_F(SmtpSessionTest, AServerThatClosesIsRememberedWithItsReason) {
  server("421 busy\r\n");
  EXPECT_EQ(phase(), SmtpPhase::kClosing);
  EXPECT_EQ(flow_.smtp_detail & kSmtpQuit, 0) << "it refused";
  enter(SmtpPhase::kCommands, SmtpCommand::kQuit);
  server("221 bye\r\n");
  EXPECT_EQ(phase(), SmtpPhase::kClosing);
  EXPECT_NE(flow_.smtp_detail & kSmtpQuit, 0);
}

TEST_F(SmtpSessionTest, RecordsFollowAnAcceptedStarttls) {
  enter(SmtpPhase::kCommands, SmtpCommand::kStartTls);
  server("454 not now\r\n");
  EXPECT_EQ(phase(), SmtpPhase::kCommands);
  client("STARTTLS\r\n");
  server("220 go\r\n");
  EXPECT_EQ(phase(), SmtpPhase::kTlsHello);
  EXPECT_EQ(counted(SmtpCounter::kStartTlsRefused), 1u);
  EXPECT_EQ(counted(SmtpCounter::kStartTlsAccepted), 1u);
}

}  // namespace
}  // namespace sluice

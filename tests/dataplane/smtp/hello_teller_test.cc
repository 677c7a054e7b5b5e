// SPDX-License-Identifier: Apache-2.0
//
// What of a client's first TLS record is handed on, however it comes.
#include "dataplane/smtp/hello_teller.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/dataplane/support/dialogue_player.h"

namespace sluice::testing {
namespace {

using channel::HelloPiece;

constexpr uint32_t kRoom = 32;

class HelloTellerTest : public ::testing::Test {
 protected:
  HelloTellerTest() : memory_(std::aligned_alloc(64, sizeof(rte_ring) + kRoom * sizeof(HelloPiece)), &std::free) {
    EXPECT_EQ(rte_ring_init(ring(), "hellos", kRoom, RING_F_SP_ENQ | RING_F_SC_DEQ), 0);
    player_.observer().attach(ring());
  }

  rte_ring* ring() const { return static_cast<rte_ring*>(memory_.get()); }
  std::vector<HelloPiece> pieces() const {
    std::vector<HelloPiece> out(kRoom);
    out.resize(channel::take_hellos(ring(), out));
    return out;
  }
  /// What was handed on of one hello.
  std::string told() {
    std::string out;
    for (const HelloPiece& piece : pieces()) {
      EXPECT_EQ(piece.at, out.size());
      EXPECT_EQ(piece.begun_ms, player_.notes().begun_ms);
      out.append(reinterpret_cast<const char*>(piece.content), piece.bytes);
    }
    return out;
  }
  void say(const std::string& text, size_t at_once) {
    for (size_t at = 0; at < text.size(); at += at_once) player_.say(true, text.substr(at, at_once));
  }
  void greet() {
    player_.open(587);
    player_.say(false, "220 mx\r\n");
    player_.say(true, "STARTTLS\r\n");
    player_.say(false, "220 go\r\n");
  }

  std::unique_ptr<void, decltype(&std::free)> memory_;
  DialoguePlayer player_;
};

/// Bytes that show where they stand.
std::string content(size_t bytes) {
  std::string out(bytes, '\0');
  for (size_t i = 0; i < bytes; i++) out[i] = static_cast<char>(i * 7 + i / 256);
  return out;
}

TEST_F(HelloTellerTest, HandsOnAHelloWhereverItIsCut) {
  const std::string hello = content(1900);
  const std::string said = tls_record(22, hello) + tls_record(20, 1) + tls_record(22, 100);
  for (size_t cut = 1; cut < said.size(); cut++) {
    player_.open(465);
    player_.say(true, said.substr(0, cut));
    player_.say(true, said.substr(cut));
    ASSERT_EQ(told(), hello) << cut;
    player_.reset(true);
    player_.forget();
  }
}

TEST_F(HelloTellerTest, BeginsBehindStarttls) {
  greet();
  say(tls_record(22, content(517)), 200);
  EXPECT_EQ(told(), content(517));
}

TEST_F(HelloTellerTest, TellsNothingTwice) {
  player_.open(465);
  const std::string said = tls_record(22, content(600));
  player_.say(true, said.substr(0, 300));
  player_.say_at(true, -300, said.substr(0, 300));
  player_.say_at(true, -100, said.substr(200));
  EXPECT_EQ(told(), content(600));
}

TEST_F(HelloTellerTest, OfAHelloByteByByteHandsOnSoManyPieces) {
  player_.open(465);
  say(tls_record(22, content(600)), 1);
  EXPECT_EQ(told(), content(HelloTeller::kMostPieces));
}

TEST_F(HelloTellerTest, OfALongHelloHandsOnTheBeginning) {
  player_.open(465);
  say(tls_record(22, content(16000)), 1460);
  EXPECT_EQ(told(), content(HelloTeller::kMostBytes));
}

TEST_F(HelloTellerTest, LosesAndCountsWhatFindsNoRoom) {
  for (uint32_t i = 0; i < kRoom + 4; i++) {
    player_.open(465);
    player_.say(true, tls_record(22, content(100)));
    player_.reset(true);
    player_.forget();
  }
  EXPECT_EQ(player_.lost_hellos(), 5u) << "a ring holds one less than it has places";
  EXPECT_EQ(pieces().size(), kRoom - 1);
}

TEST_F(HelloTellerTest, TellsNothingOfWhatIsNoTls) {
  player_.open(465);
  player_.say(true, "EHLO x\r\n");
  EXPECT_TRUE(pieces().empty());
}

}  // namespace
}  // namespace sluice::testing

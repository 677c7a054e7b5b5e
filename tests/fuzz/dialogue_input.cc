// SPDX-License-Identifier: Apache-2.0
//
// The bytes: a port, then moves. A move is a byte that says whose turn it is, or what else happens; what is said goes
// up to the next byte 0xff. A client says no more at once than is searched for the end of data in a segment that holds
// a piece of message: beyond that, how segments are cut does matter.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/dataplane/support/dialogue_player.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {
namespace {

constexpr size_t kMostMoves = 32, kMostBytes = 1024, kMostFromClient = 256, kRecordHeader = 5;

class Script {
 public:
  explicit Script(FuzzInput bytes) : bytes_(bytes) {}

  std::vector<Move> moves() {
    std::vector<Move> out;
    while (!bytes_.empty() && out.size() < kMostMoves) out.push_back(next());
    return out;
  }

 private:
  Move next() {
    const uint8_t what = bytes_.front();
    bytes_ = bytes_.subspan(1);
    switch (what % 16) {
      case 8:
        return kClientFin;
      case 9:
        return kServerFin;
      case 10:
        return kClientReset;
      case 11:
        return kServerReset;
      case 12:
        return wait_ms(uint64_t{what} * 100);
      case 13:
        return client(tls_record(static_cast<uint8_t>(20 + what / 16 % 4), said(kMostFromClient - kRecordHeader)));
      case 14:
        return server(tls_record(static_cast<uint8_t>(20 + what / 16 % 4), said()));
      default:
        return what % 2 == 0 ? client(said(kMostFromClient)) : server(said());
    }
  }

  std::string said(size_t most = kMostBytes) {
    const auto end = std::ranges::find(bytes_, uint8_t{0xff});
    std::string out(bytes_.begin(), end);
    bytes_ = bytes_.subspan(std::min(bytes_.size(), out.size() + 1));
    out.resize(std::min(out.size(), most));
    return out.empty() ? std::string("\r\n") : out;
  }

  FuzzInput bytes_;
};

}  // namespace

void play_dialogue(FuzzInput bytes) {
  if (bytes.size() < 2) return;
  static constexpr uint16_t kPorts[] = {25, 587, 465};
  const uint16_t port = kPorts[bytes[0] % 3];
  const size_t cut_at = bytes[1];
  const std::vector<Move> moves = Script(bytes.subspan(2)).moves();
  if (DialoguePlayer::bytes_of(moves) > kMostBytes) return;
  static DialoguePlayer player;  // millions of counters: one is made and used again
  const Counts whole = player.play(moves, port, {});
  EXPECT_EQ(player.play(moves, port, {.again = true}), whole) << "segments sent twice";
  EXPECT_EQ(without_reasons(player.play(moves, port, {.cut_at = cut_at})), without_reasons(whole))
      << "cut at " << cut_at;
  EXPECT_EQ(without_reasons(player.play(moves, port, {.cut_at = DialoguePlayer::kEverywhere})), without_reasons(whole))
      << "byte by byte";
}

}  // namespace sluice::testing

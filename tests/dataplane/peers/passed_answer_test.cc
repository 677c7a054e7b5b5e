// SPDX-License-Identifier: Apache-2.0
//
// A server's answer to a SYN as one node writes it for another.
#include "dataplane/peers/passed_answer.h"

#include "tests/dataplane/support/exchange_node.h"

namespace sluice::testing {
namespace {

constexpr uint8_t kSyn = kTcpSyn, kAck = kTcpAck;

PassedAnswer an_answer(bool v6, uint8_t options_bytes) {
  PassedAnswer out{.backend = v6 ? endpoint("fd00:1::10", 2525) : kBackend,
                   .client = v6 ? endpoint("2001:db8:1::7", 4) : client(4),
                   .sequence = 0xfffffff0,
                   .ack = 7,
                   .window = Be16::of(64240),
                   .flags = kSyn | kAck,
                   .options_bytes = options_bytes,
                   .options = {}};
  for (uint8_t i = 0; i < options_bytes; i++) out.options[i] = i;
  return out;
}

TEST(PassedAnswer, IsReadAsItWasWritten) {
  for (const bool v6 : {false, true}) {
    std::array<uint8_t, 3 * kMostAnswerBytes> bytes;
    size_t used = 0;
    for (const uint8_t options_bytes : {0, 20, 40}) {
      ASSERT_TRUE(append_answer(bytes, used, an_answer(v6, options_bytes)));
    }
    std::span<const uint8_t> rest(bytes.data(), used);
    for (const uint8_t options_bytes : {0, 20, 40}) {
      const auto read = take_answer(rest);
      ASSERT_TRUE(read);
      EXPECT_EQ(*read, an_answer(v6, options_bytes));
    }
    EXPECT_TRUE(rest.empty());
  }
}

TEST(PassedAnswer, ThatFindsNoRoomWritesNothing) {
  std::array<uint8_t, 2 * kMostAnswerBytes> bytes{};
  size_t used = bytes.size() - 20;
  EXPECT_FALSE(append_answer(bytes, used, an_answer(false, 0)));
  EXPECT_EQ(used, bytes.size() - 20);
}

TEST(PassedAnswer, ThatIsCutOffOrUnknownIsRefused) {
  std::array<uint8_t, kMostAnswerBytes> bytes;
  size_t used = 0;
  ASSERT_TRUE(append_answer(bytes, used, an_answer(false, 8)));
  for (size_t n = 0; n < used; n++) {
    std::span<const uint8_t> cut(bytes.data(), n);
    EXPECT_FALSE(take_answer(cut)) << n;
  }
  const size_t options_at = used - 8 - 1;
  for (const uint8_t options_bytes : {7, 44, 255}) {
    auto bad = bytes;
    bad[options_at] = options_bytes;
    std::span<const uint8_t> rest(bad.data(), used);
    EXPECT_FALSE(take_answer(rest)) << int{options_bytes};
  }
  bytes[0] = 2;
  std::span<const uint8_t> rest(bytes.data(), used);
  EXPECT_FALSE(take_answer(rest));
}

}  // namespace
}  // namespace sluice::testing

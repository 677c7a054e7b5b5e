// SPDX-License-Identifier: Apache-2.0
//
// Numbers of a segment changed in place: each field by itself, options at even and odd places, and the checksum, which
// the reader checks the slow way.
#include "dataplane/packet/renumber.h"

#include <gtest/gtest.h>

#include "dataplane/packet/tcp_options.h"
#include "tests/dataplane/support/frame.h"

namespace sluice::testing {
namespace {

const Endpoint kFrom = endpoint("10.0.1.10", 2525);
const Endpoint kTo = endpoint("198.51.100.7", 40000);

Frame segment() {
  return Frame().from(kFrom).to(kTo).seq(0xffff'ff00).ack(2000).window(1000);
}

std::optional<ReadFrame> renumbered(const Frame& frame, const Renumbering& by) {
  Bytes bytes = frame.bytes();
  uint8_t* tcp_header = &bytes[34];
  renumber(tcp_header, (tcp_header[12] >> 4) * 4U, by);
  return read(bytes);
}

uint32_t word(const Bytes& bytes, size_t at) {
  return uint32_t{bytes[at]} << 24 | uint32_t{bytes[at + 1]} << 16 | uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
}

TEST(Renumber, AddsToEachNumber) {
  const auto seen = renumbered(segment(), {.sequence = 0x200, .acknowledgement = 0U - 3000});
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->seq, 0x100u);
  EXPECT_EQ(seen->ack, 0U - 1000);
  EXPECT_EQ(seen->window, 1000);
}

TEST(Renumber, LeavesAnAcknowledgementThatIsNone) {
  const auto seen = renumbered(Frame().from(kFrom).to(kTo).rst().seq(5), {.sequence = 1, .acknowledgement = 7});
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->seq, 6u);
  EXPECT_EQ(seen->ack, 0u);
}

TEST(Renumber, ShiftsWindowsAsFarAsTheyGo) {
  const struct {
    int8_t bits;
    uint16_t window, expected;
  } cases[] = {{0, 1000, 1000},  {1, 1000, 2000}, {-3, 1000, 125},   {14, 1, 16384},
               {7, 1000, 65535}, {-14, 1000, 0},  {14, 65535, 65535}};
  for (const auto& c : cases) {
    const auto seen = renumbered(segment().window(c.window), {.window = c.bits});
    ASSERT_TRUE(seen) << int{c.bits};
    EXPECT_EQ(seen->window, c.expected) << int{c.bits};
  }
}

TEST(Renumber, ReachesOptionsAtEvenAndOddPlaces) {
  for (const bool odd : {false, true}) {
    Bytes options = odd ? Bytes{1} : Bytes{};
    for (const uint8_t byte : {8, 10, 0, 0, 0, 100, 0, 0, 0, 200, 5, 10, 0, 0, 0x10, 0, 0, 0, 0x20, 0}) {
      options.push_back(byte);
    }
    const auto seen =
        renumbered(segment().tcp_options(options), {.acknowledgement = 0x100, .timestamp = 1, .echo = 0U - 2});
    ASSERT_TRUE(seen) << odd;
    const size_t at = odd ? 1 : 0;
    EXPECT_EQ(word(seen->tcp_options, at + 2), 101u);
    EXPECT_EQ(word(seen->tcp_options, at + 6), 198u);
    EXPECT_EQ(word(seen->tcp_options, at + 12), 0x1100u);
    EXPECT_EQ(word(seen->tcp_options, at + 16), 0x2100u);
    EXPECT_EQ(seen->ack, 2256u);
  }
}

TEST(Renumber, LeavesWhatIsMalformed) {
  const Bytes cases[] = {{8, 10, 0, 0}, {8, 9, 0, 0, 0, 100, 0, 0, 0, 1, 1, 1}, {5, 1, 0, 0}, {8, 0, 0, 0}};
  for (const Bytes& options : cases) {
    const auto seen = renumbered(segment().tcp_options(options), {.acknowledgement = 0x100, .timestamp = 1, .echo = 1});
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->tcp_options, options);
    EXPECT_EQ(seen->ack, 2256u);
  }
}

TEST(TcpOptions, SayWhatASynAnnounces) {
  const Bytes linux_syn = Frame()
                              .from(kFrom)
                              .to(kTo)
                              .syn()
                              .tcp_options({2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 7})
                              .bytes();
  const Announced announced = announced_by(&linux_syn[34], 40);
  EXPECT_EQ(announced.mss, 1460);
  EXPECT_TRUE(announced.sack);
  EXPECT_EQ(announced.window_scale, 7);
  ASSERT_TRUE(announced.timestamps);
  EXPECT_EQ(Be32{announced.timestamps->value}.host(), 7u);

  const Bytes bare = Frame().from(kFrom).to(kTo).syn().bytes();
  const Announced nothing = announced_by(&bare[34], 20);
  EXPECT_EQ(nothing.mss, Announced::kDefaultMss);
  EXPECT_FALSE(nothing.sack || nothing.window_scale || nothing.timestamps);

  const Bytes large = Frame().from(kFrom).to(kTo).syn().tcp_options({3, 3, 200, 0}).bytes();
  EXPECT_EQ(announced_by(&large[34], 24).window_scale, 14) << "RFC 7323 section 2.3";
}

}  // namespace
}  // namespace sluice::testing

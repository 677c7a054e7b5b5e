// SPDX-License-Identifier: Apache-2.0
//
// The generator's parts without a device: client numbers, dialogue, segments, histogram, search.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <vector>

#include "perf/blast/client_space.h"
#include "perf/blast/dialogue.h"
#include "perf/blast/histogram.h"
#include "perf/blast/search.h"
#include "perf/blast/segment.h"
#include "perf/lib/synthetic.h"

namespace sluice::blast {
namespace {

const Address kFirst4 = Address::v4(Be32::of(0xc6120001));
const Address kFirst6{{0x20, 0x01, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

TEST(ClientSpace, LeadsFromNumberToEndpointAndBack) {
  for (const Address& first : {kFirst4, kFirst6}) {
    const ClientSpace space(first, 120'000);
    for (const uint32_t n : {0U, 1U, 49'999U, 50'000U, 119'999U}) EXPECT_EQ(space.number(space.endpoint(n)), n);
    EXPECT_NE(space.endpoint(0).address, space.endpoint(50'000).address);
  }
}

TEST(ClientSpace, KnowsStrangers) {
  const ClientSpace space(kFirst4, 60'000);
  const auto stranger = [&](uint32_t address, uint16_t port) {
    return space.number({Address::v4(Be32::of(address)), Be16::of(port)});
  };
  EXPECT_TRUE(stranger(0xc6120002, 1024));
  EXPECT_FALSE(stranger(0xc6120000, 1024)) << "before the first address";
  EXPECT_FALSE(stranger(0xc6120003, 1024)) << "after the last";
  EXPECT_FALSE(stranger(0xc6120002, 1024 + 10'000)) << "on the last address, beyond the count";
  EXPECT_FALSE(stranger(0xc6120001, 1023)) << "port too low";
  EXPECT_FALSE(stranger(0xc6120001, 51'024)) << "port too high";
  EXPECT_FALSE(space.number({kFirst6, Be16::of(1024)})) << "other family";
}

TEST(Dialogue, RepliesByTheFirstWord) {
  for (const Stage stage : {Stage::kEhlo, Stage::kMail, Stage::kRcpt, Stage::kData, Stage::kQuit}) {
    SCOPED_TRACE(command_at(stage));
    const std::string_view reply = reply_to(command_at(stage));
    ASSERT_FALSE(reply.empty());
    EXPECT_EQ(reply[0], digit_wanted(stage));
    EXPECT_TRUE(reply.ends_with("\r\n"));
  }
  EXPECT_EQ(reply_to("Subject: blast\r\n"), "");
  EXPECT_TRUE(reply_to("xxx\r\n.\r\n").starts_with("250"));
}

TEST(Dialogue, CutsABodySoThatOnlyItsLastSegmentEndsIt) {
  for (uint32_t bytes = 32; bytes < 4300; bytes++) {
    const std::vector<std::string> segments = body_segments(bytes, kMss);
    std::string whole;
    for (size_t i = 0; i < segments.size(); i++) {
      ASSERT_LE(segments[i].size(), kMss);
      ASSERT_EQ(!reply_to(segments[i]).empty(), i + 1 == segments.size()) << bytes << " octets, segment " << i;
      whole += segments[i];
    }
    ASSERT_EQ(whole.size(), bytes);
    ASSERT_EQ(whole.find("\r\n.\r\n"), whole.size() - 5);
  }
}

/// An mbuf over its own bytes, without EAL.
struct LooseMbuf {
  std::array<uint8_t, 2048> bytes{};
  rte_mbuf mbuf{};

  LooseMbuf() { mbuf.buf_addr = bytes.data(); }
};

TEST(Segment, IsUnderstoodAndItsChecksumsAreRight) {
  const MacAddress to{{2, 0, 0, 0, 0, 9}};
  for (const bool v6 : {false, true}) {
    for (const std::string_view payload : {"", "x", "QUIT\r\n", "220 mta.blast.test ESMTP blast\r\n"}) {
      SCOPED_TRACE(payload);
      const Path path{
          {{2, 0, 0, 0, 0, 1}}, to, {v6 ? kFirst6 : kFirst4, Be16::of(1024)}, {v6 ? kFirst6 : kFirst4, Be16::of(25)}};
      LooseMbuf loose;
      Packet packet{};
      Segment(v6, kTcpAck | kTcpPsh, payload).write(loose.mbuf, path, 0x89abcdef, 0xfedcba98);
      ASSERT_EQ(parse_any(loose.mbuf, to, packet), ParseVerdict::kTcp);
      EXPECT_EQ(packet.source, path.source);
      EXPECT_EQ(packet.destination, path.destination);
      EXPECT_EQ(packet.sequence, 0x89abcdef);
      EXPECT_EQ(packet.ack, 0xfedcba98);
      EXPECT_EQ(payload_of(loose.mbuf, packet), payload);
      EXPECT_TRUE(has_right_checksums(loose.mbuf, packet));
      loose.bytes[packet.l4_offset + tcp::kSequence] ^= 1;
      EXPECT_FALSE(has_right_checksums(loose.mbuf, packet));
    }
  }
}

TEST(Segment, WithSynOffersAMaximumSegmentSize) {
  LooseMbuf loose;
  Packet packet{};
  const MacAddress to{{2, 0, 0, 0, 0, 9}};
  const Segment syn(false, kTcpSyn, "");
  syn.write(loose.mbuf, {to, to, {kFirst4, Be16::of(1)}, {kFirst4, Be16::of(2)}}, 1, 0);
  ASSERT_EQ(parse_any(loose.mbuf, to, packet), ParseVerdict::kTcp);
  EXPECT_EQ(packet.tcp_header_bytes, 24);
  EXPECT_EQ(syn.length(), 1U);
  EXPECT_TRUE(has_right_checksums(loose.mbuf, packet));
}

TEST(Histogram, GivesQuantilesWithinABucket) {
  perf::Random random(7);
  std::multiset<uint64_t> values;
  Histogram histogram;
  for (int i = 0; i < 20'000; i++) {
    const uint64_t value = random.next() >> (random.next() % 64);
    values.insert(value);
    histogram.add(value);
  }
  for (const double q : {0.001, 0.25, 0.5, 0.99, 0.999, 1.0}) {
    const auto exact = static_cast<double>(
        *std::next(values.begin(), static_cast<ptrdiff_t>(q * static_cast<double>(values.size())) - 1));
    const auto found = static_cast<double>(histogram.quantile(q));
    EXPECT_GE(found, exact) << q;
    EXPECT_LE(found, exact * 1.0321 + 1) << q;
  }
  EXPECT_EQ(histogram.quantile(1.0), *values.rbegin());
}

TEST(Histogram, OfNothingIsZero) {
  EXPECT_EQ(Histogram().quantile(0.5), 0U);
}

TEST(Search, ClosesInOnTheHighestRateThatSucceeds) {
  for (const double limit : {150.0, 1'000.0, 73'210.0}) {
    int trials = 0;
    const double found = highest_rate({100, 100'000, 0.01}, [&](double rate) {
      trials++;
      return rate <= limit;
    });
    EXPECT_LE(found, limit);
    EXPECT_GE(found, limit * 0.98);
    EXPECT_LT(trials, 30);
  }
}

TEST(Search, TriesTheHighestFirstAndGivesUpBelowTheLowest) {
  std::vector<double> tried;
  const auto note = [&](bool result) {
    return [&tried, result](double rate) {
      tried.push_back(rate);
      return result;
    };
  };
  EXPECT_EQ(highest_rate({10, 1'000, 0.01}, note(true)), 1'000);
  EXPECT_THAT(tried, testing::ElementsAre(1'000));
  tried.clear();
  EXPECT_EQ(highest_rate({10, 1'000, 0.01}, note(false)), 0);
  EXPECT_THAT(tried, testing::ElementsAre(1'000, 10));
}

}  // namespace
}  // namespace sluice::blast

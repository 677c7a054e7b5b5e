// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "dataplane/contract/placement.h"
#include "dataplane/contract/segment.h"

namespace sluice {
namespace {

TEST(Address, CarriesIpv4AsMapped) {
  const Address address = Address::v4(Be32::of(0x0a000102));
  EXPECT_TRUE(address.is_v4());
  EXPECT_EQ(address.v4_part().host(), 0x0a000102u);
  EXPECT_EQ(address.bytes[12], 10);
  EXPECT_EQ(address.bytes[15], 2);
  EXPECT_FALSE(Address{}.is_v4());
}

TEST(Counters, EachHasAUniqueName) {
  std::set<std::string> names;
  for (const auto& info : channel::kCounterInfo) {
    EXPECT_FALSE(info.name.empty());
    EXPECT_FALSE(info.help.empty()) << info.name;
    EXPECT_TRUE(names.emplace(info.name).second) << info.name;
  }
}

TEST(Counters, DropsAreTheNamedRange) {
  for (size_t i = static_cast<size_t>(channel::kFirstDrop); i <= static_cast<size_t>(channel::kLastDrop); i++)
    EXPECT_TRUE(channel::kCounterInfo[i].name.starts_with("drop_")) << channel::kCounterInfo[i].name;
}

TEST(SmtpCounters, EachHasItsOwnFamilyAndLabels) {
  std::set<std::pair<std::string, std::string>> names;
  for (const auto& info : channel::kSmtpCounterInfo) {
    EXPECT_FALSE(info.help.empty()) << info.family;
    EXPECT_TRUE(names.emplace(info.family, info.labels).second) << info.family << info.labels;
  }
}

TEST(SmtpCounters, LabelsFollowTheRanges) {
  using channel::SmtpCounter, channel::SmtpStep;
  const auto labels = [](SmtpCounter counter) {
    return channel::kSmtpCounterInfo[static_cast<size_t>(counter)].labels;
  };
  EXPECT_EQ(labels(channel::refusal(SmtpStep::kConnect, false)), R"(class="4xx",step="connect")");
  EXPECT_EQ(labels(channel::refusal(SmtpStep::kUnknown, true)), R"(class="5xx",step="unknown")");
  EXPECT_EQ(labels(SmtpCounter::kEnhancedNone), R"(code="none")");
  EXPECT_EQ(labels(SmtpCounter::kReasonUnknown), R"(reason="unknown")");
  EXPECT_EQ(labels(SmtpCounter::kTlsFailed), R"(state="failed")");
  EXPECT_EQ(labels(SmtpCounter::kEndedCut), R"(how="cut")");
}

TEST(SmtpCounters, HistogramsKeepTheirBounds) {
  const auto check = []<typename H>(H histogram, const char* what) {
    SCOPED_TRACE(what);
    for (const uint64_t ms : {0UL, 1UL, 2UL, 3UL, 4UL, 15UL, 16UL, 63UL, 64UL, 2047UL, 2048UL, 32767UL, 32768UL,
                              16'777'215UL, 16'777'216UL, 1UL << 40}) {
      const size_t bucket = H::bucket_of(ms);
      ASSERT_LT(bucket, H::kBucketCount);
      EXPECT_TRUE(bucket + 1 == H::kBucketCount || ms < H::bound_ms(bucket)) << ms;
      EXPECT_TRUE(bucket == 0 || ms >= H::bound_ms(bucket - 1)) << ms;
      histogram.add(ms);
    }
    uint64_t count = 0;
    for (const uint64_t n : histogram.buckets) count += n;
    EXPECT_EQ(count, 16u);
  };
  check(channel::ConnectHistogram{}, "connect");
  check(channel::GreetingHistogram{}, "greeting");
  check(channel::SessionHistogram{}, "session");
}

TEST(Segment, RingTakesAllOrNothingAndKeepsOrder) {
  EXPECT_EQ(static_cast<ssize_t>(channel::kRingBytes), rte_ring_get_memsize_elem(64, channel::kRingEntries));
  const std::unique_ptr<void, decltype(&free)> memory{aligned_alloc(64, channel::kRingBytes), &free};
  auto* ring = static_cast<rte_ring*>(memory.get());
  ASSERT_EQ(rte_ring_init(ring, "t", channel::kRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ), 0);
  std::vector<channel::Command> batch(3000);
  for (uint32_t i = 0; i < batch.size(); i++) batch[i].header = {channel::CommandType::kDropBackend, 0, 0, i};
  EXPECT_TRUE(channel::put_all(ring, std::span<const channel::Command>(batch)));
  EXPECT_FALSE(channel::put_all(ring, std::span<const channel::Command>(batch)));
  std::vector<channel::Command> out(4096);
  ASSERT_EQ(channel::take_some(ring, std::span(out)), 3000u);
  for (uint32_t i = 0; i < 3000; i++) ASSERT_EQ(out[i].header.sequence, i);
}

TEST(Placement, HashOnClientIgnoresThePort) {
  const Endpoint vip{Address::v4(Be32::of(0xc0000219)), Be16::of(25)};
  Endpoint a{Address::v4(Be32::of(0x0a000001)), Be16::of(1000)};
  Endpoint b = a;
  b.port = Be16::of(2000);
  EXPECT_NE(placement_hash(a, vip, channel::HashOn::kConnection), placement_hash(b, vip, channel::HashOn::kConnection));
  EXPECT_EQ(placement_hash(a, vip, channel::HashOn::kClient), placement_hash(b, vip, channel::HashOn::kClient));
  b.address.bytes[15] = 77;
  EXPECT_NE(placement_hash(a, vip, channel::HashOn::kClient), placement_hash(b, vip, channel::HashOn::kClient));
  EXPECT_EQ(placement_hash(a, vip, channel::HashOn::kClientPrefix),
            placement_hash(b, vip, channel::HashOn::kClientPrefix));
}

/// Chi-square of `n` draws into 1000 cells must lie within 5 sigma of its expectation.
template <typename Draw>
void expect_uniform(uint32_t n, Draw draw) {
  std::vector<uint32_t> cells(1000);
  for (uint32_t i = 0; i < n; i++) cells[table_index(draw(i), 1000)]++;
  const double expected = n / 1000.0;
  double chi2 = 0;
  for (const uint32_t count : cells) chi2 += (count - expected) * (count - expected) / expected;
  EXPECT_NEAR(chi2, 999, 5 * 44.7);
}

TEST(Placement, SpreadsPortsOfOneClientEvenly) {
  const Endpoint vip{Address::v4(Be32::of(0xc0000219)), Be16::of(25)};
  expect_uniform(64000, [&](uint32_t i) {
    return placement_hash({Address::v4(Be32::of(0x0a000001)), Be16::of(static_cast<uint16_t>(1024 + i))}, vip,
                          channel::HashOn::kConnection);
  });
}

TEST(Placement, UnderASecretNobodyCanReckonWhereAClientGoes) {
  const Endpoint vip{Address::v4(Be32::of(0xc0000219)), Be16::of(25)};
  // Of every client, what one secret makes of it says nothing of another.
  expect_uniform(64000, [&](uint32_t i) {
    const Endpoint client{Address::v4(Be32::of(0x0a000001)), Be16::of(static_cast<uint16_t>(1024 + i))};
    return placement_hash(client, vip, channel::HashOn::kConnection, 7) ^
           placement_hash(client, vip, channel::HashOn::kConnection, 8);
  });
  // An address that is the same to the hash whatever its other half and its port are, if there is no secret.
  Endpoint chosen{};
  std::memcpy(&chosen.address.bytes[8], &kMixB, 8);
  const auto places = [&](uint64_t secret) {
    std::set<uint64_t> out;
    for (uint16_t port = 1; port <= 100; port++) {
      chosen.port = Be16::of(port);
      out.insert(placement_hash(chosen, vip, channel::HashOn::kConnection, secret));
    }
    return out.size();
  };
  EXPECT_EQ(places(0), 1u);
  EXPECT_EQ(places(7), 100u);
}

TEST(Placement, SpreadsSequentialClientsEvenly) {
  const Endpoint vip{Address::v4(Be32::of(0xc0000219)), Be16::of(25)};
  for (const auto hash_on : {channel::HashOn::kConnection, channel::HashOn::kClient}) {
    expect_uniform(1000000, [&](uint32_t i) {
      return placement_hash({Address::v4(Be32::of(0x0a000001 + i)), Be16::of(40000)}, vip, hash_on);
    });
  }
}

}  // namespace
}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
//
// Clients that have a table of their own in a service: who goes by it, what stays where it is, and what is refused.
#include <gtest/gtest.h>

#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

const std::vector<uint32_t> kTenant{0xc633'6400, 0xc633'6500};   // 198.51.100.0/24
const std::vector<uint32_t> kOneOfIt{0xc633'6407, 0xc633'6408};  // 198.51.100.7
const Endpoint kStranger = endpoint("203.0.113.9", 40000);
const Endpoint kTenants = backend4(2);

/// The service's table names backends 0 and 1; backend 2 is the tenant's.
class SourceRoutes : public WorkerTest {
 protected:
  void SetUp() override {
    WorkerTest::SetUp();
    bench_.put_service(0, kVip, {0, 1, 0, 1});
    bench_.put_route(0, 0, kTenant, {2});
    bench_.turn();
    ASSERT_EQ(bench_.counter(Counter::kCommandsRejected), 0u);
  }
  static Endpoint client(const char* address, uint16_t port) { return endpoint(address, port); }

  void expect_tenants(uint16_t port = 41000) {
    for (uint16_t n = 0; n < 32; n++) {
      const auto at = bench_.establish(client("198.51.100.9", static_cast<uint16_t>(port + n)), kVip);
      ASSERT_TRUE(at);
      EXPECT_EQ(*at, kTenants);
    }
  }
  void expect_strangers(const char* address, uint16_t port = 41000) {
    for (uint16_t n = 0; n < 32; n++) {
      const auto at = bench_.establish(client(address, static_cast<uint16_t>(port + n)), kVip);
      ASSERT_TRUE(at);
      EXPECT_NE(*at, kTenants);
    }
  }
};

TEST_F(SourceRoutes, LeadToATableOfTheirOwn) {
  expect_tenants();
  expect_strangers("203.0.113.9");
  EXPECT_TRUE(bench_.establish(kClient6, kVip6)) << "another service";
}

TEST_F(SourceRoutes, HoldForTheirServiceAlone) {
  bench_.put_service(2, kOtherVip, {0, 1});
  bench_.turn();
  const auto at = bench_.establish(kClient, kOtherVip);
  ASSERT_TRUE(at);
  EXPECT_NE(*at, kTenants);
}

TEST_F(SourceRoutes, TheFirstThatNamesAClientHolds) {
  bench_.put_route(0, 0, kOneOfIt, {1});
  bench_.put_route(1, 0, kTenant, {2});
  bench_.turn();
  EXPECT_EQ(bench_.establish(kClient, kVip), backend4(1));
  expect_tenants();
}

TEST_F(SourceRoutes, WhereTheirPoolHasNobodyTheyAreRefusedAndOthersAreNot) {
  bench_.put_route(0, 0, kTenant, {});
  EXPECT_FALSE(bench_.establish(kClient, kVip));
  EXPECT_EQ(bench_.counter(Counter::kDropNoBackend), 1u);
  EXPECT_EQ(bench_.to_clients().size(), 1u) << "the RST";
  expect_strangers("203.0.113.9");
}

TEST_F(SourceRoutes, OpenSessionsStayWhereTheyAre) {
  const auto shared = bench_.establish(kStranger, kVip);
  const auto own = bench_.establish(kClient, kVip);
  ASSERT_TRUE(shared && own);
  bench_.put_route(0, 0, {0xcb00'7100, 0xcb00'7200}, {2});  // 203.0.113.0/24 now
  bench_.turn();
  EXPECT_TRUE(bench_.backend_to_client(Frame().from(*own).to(kClient).seq(5001).ack(1001).payload("220\r\n")));
  EXPECT_TRUE(bench_.backend_to_client(Frame().from(*shared).to(kStranger).seq(5001).ack(1001).payload("220\r\n")));
  expect_strangers("198.51.100.9");
  EXPECT_EQ(bench_.establish(client("203.0.113.9", 41000), kVip), kTenants);
}

TEST_F(SourceRoutes, EndWhenTheyAreTakenBack) {
  channel::PutRoute nobody{};
  nobody.header.type = channel::CommandType::kPutRoute;
  nobody.service = channel::kNoService;
  bench_.command(channel::Command(nobody));
  bench_.command(channel::Command(nobody));  // and again
  bench_.turn();
  expect_strangers("198.51.100.9");
}

TEST_F(SourceRoutes, ASnapshotThatDoesNotNameThemDropsThem) {
  bench_.command(channel::CommandType::kSnapshotBegin);
  for (uint16_t id = 0; id < 3; id++) bench_.put_backend(id, backend4(id));
  bench_.put_service(0, kVip, {0, 1, 0, 1});
  bench_.turn();
  expect_tenants();  // until it has all been said
  bench_.command(channel::CommandType::kSnapshotEnd);
  bench_.turn();
  expect_strangers("198.51.100.9", 42000);
}

/// A node that knows nothing of a session finds its backend by the same table.
TEST_F(SourceRoutes, WhatIsAdoptedGoesByThemToo) {
  const auto placed = bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).payload("DATA\r\n"));
  ASSERT_TRUE(placed);
  EXPECT_EQ(placed->destination, kTenants);
}

TEST_F(SourceRoutes, RefusedOnesLeaveWhatWasThere) {
  channel::PutRoute good{};
  good.header.type = channel::CommandType::kPutRoute;
  struct {
    const char* what;
    void (*spoil)(channel::PutRoute&);
  } const cases[] = {
      {"no such place", [](auto& route) { route.header.id = channel::kMaxRoutes; }},
      {"no such service", [](auto& route) { route.service = channel::kMaxServices; }},
      {"table behind the arena", [](auto& route) { route.table_offset = 0xffff'ffff, route.table_entries = 1; }},
      {"list behind the arena", [](auto& route) { route.sources_offset = 0xffff'ffff, route.v4_borders = 2; }},
      {"more borders than there may be", [](auto& route) { route.v6_borders = channel::kMaxSourceBorders + 1; }}};
  uint64_t refused = 0;
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    channel::PutRoute message = good;
    each.spoil(message);
    bench_.command(channel::Command(message));
    bench_.turn();
    EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), ++refused);
  }
  expect_tenants();
}

}  // namespace
}  // namespace sluice::testing

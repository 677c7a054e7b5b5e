// SPDX-License-Identifier: Apache-2.0
//
// How the tables that some clients of a service have of their own reach the workers.
#include <gtest/gtest.h>

#include "tests/controlplane/support/channel_fixture.h"

namespace sluice::control {
namespace {

class Routes : public Channel {
 protected:
  Routes() {
    desired_ = two_services();
    start_dataplane();
  }

  static std::shared_ptr<const SourceList> from(const char* prefix) {
    return SourceList::of(std::vector{*config::IpPrefix::parse(prefix)}, {});
  }
  void begin() {
    publish(desired_);
    client_->start();
    settle();
  }
  void say() {
    publish(desired_);
    settle();
  }
  const channel::PutRoute& route(uint16_t place, uint32_t w = 0) { return dataplane_->worker(w).routes.at(place); }

  Desired desired_;
};

TEST_F(Routes, NameTheirServiceTheirSourcesAndTheirTable) {
  desired_.routes = {{12, from("198.51.100.0/24"), table({3})}, {11, from("2001:db8::/32"), table({1, 2})}};
  begin();
  for (uint32_t w = 0; w < kWorkers; w++) {
    SCOPED_TRACE(w);
    EXPECT_EQ(route(0, w).service, service_id(12, w));
    EXPECT_EQ(route(0, w).v4_borders, 2u);
    EXPECT_EQ(route(0, w).table_entries, 101u);
    EXPECT_EQ(route(1, w).service, service_id(11, w));
    EXPECT_EQ(route(1, w).v6_borders, 2u);
    EXPECT_EQ(dataplane_->worker(w).routes.size(), 2u) << "nothing is said of places that are free";
  }
}

TEST_F(Routes, AreSaidAgainOnlyWhereTheyChange) {
  desired_.routes = {{11, from("198.51.100.0/24"), table({3})}, {12, from("203.0.113.0/24"), table({3})}};
  begin();
  const size_t said = dataplane_->worker(0).log.size();
  say();
  EXPECT_EQ(dataplane_->worker(0).log.size(), said);
  const channel::PutRoute second = route(1);
  desired_.routes[0].table = table({1});
  say();
  EXPECT_EQ(dataplane_->worker(0).log.size(), said + 1);
  EXPECT_EQ(std::memcmp(&route(1), &second, sizeof second), 0);
  desired_.routes.pop_back();
  say();
  EXPECT_EQ(route(1).service, channel::kNoService);
  EXPECT_EQ(dataplane_->worker(0).log.size(), said + 2);
}

TEST_F(Routes, MayHaveATableOfNobody) {
  desired_.routes = {{11, from("198.51.100.0/24"), table({})}};
  begin();
  EXPECT_EQ(route(0).service, service_id(11));
  EXPECT_EQ(route(0).table_entries, 0u);
}

TEST_F(Routes, GiveBackTheirRoom) {
  desired_.routes = {{11, from("198.51.100.0/24"), table({1})}};
  begin();
  const auto large = table({1, 2}, 65537);
  for (int i = 0; i < 3000; i++) {  // together more than the channel's memory
    desired_.routes[0] = {11, from("198.51.100.0/24"), std::make_shared<Table>(*large)};
    say();
  }
  EXPECT_EQ(route(0).table_entries, 65537u);
  EXPECT_TRUE(faults_.empty());
  EXPECT_TRUE(client_->publisher()->fault().empty());
}

TEST_F(Routes, ABackendGoesOnlyWhenNoTableNamesIt) {
  desired_.routes = {{11, from("198.51.100.0/24"), table({3})}};
  desired_.services = {service(11, table({1, 2})), service(12, table({2}))};
  begin();
  ASSERT_NE(id_of(3), channel::kNoBackend);
  desired_.backends.pop_back();
  desired_.routes[0].table = table({1});
  say();
  EXPECT_EQ(id_of(3), channel::kNoBackend);
  const std::vector<channel::CommandType>& last = dataplane_->worker(0).log;
  ASSERT_GE(last.size(), 2u);
  EXPECT_EQ(last[last.size() - 2], channel::CommandType::kPutRoute);
  EXPECT_EQ(last.back(), channel::CommandType::kDropBackend);
}

}  // namespace
}  // namespace sluice::control

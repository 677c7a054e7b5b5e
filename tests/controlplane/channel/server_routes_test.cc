// SPDX-License-Identifier: Apache-2.0
//
// How the table by which mail servers' own traffic is routed reaches the workers.
#include <gtest/gtest.h>

#include <array>

#include "tests/controlplane/support/channel_fixture.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

class ServerRoutesOnTheChannel : public Channel {
 protected:
  ServerRoutesOnTheChannel() {
    desired_ = two_services();
    start_dataplane();
  }

  static std::shared_ptr<const ServerRouteTable> table(size_t hosts) {
    std::vector<RoutedPrefix> prefixes{{*config::IpPrefix::parse("0.0.0.0/0"), 1}};
    for (size_t i = 0; i < hosts; i++) {
      config::IpAddress host = ip("10.0.0.0");
      host.bytes[14] = static_cast<uint8_t>(i >> 7);
      host.bytes[15] = static_cast<uint8_t>(i << 1);
      prefixes.push_back({{host, 128}, 2});
    }
    const std::vector<channel::RouteHop> hops{{{{2, 0, 0, 0, 0, 1}}, 0, 0, {}}, {{{2, 0, 0, 0, 0, 2}}, 0, 1, {}}};
    return ServerRouteTable::of(ranges_of(prefixes), {}, hops);
  }
  void say(bool first = false) {
    publish(desired_);
    if (first) client_->start();
    settle();
  }
  const channel::PutServerRoutes& said(uint32_t w = 0) { return dataplane_->worker(w).server_routes; }

  Desired desired_;
};

TEST_F(ServerRoutesOnTheChannel, EachWorkerIsToldOfIt) {
  desired_.server_routes = table(3);
  say(true);
  for (uint32_t w = 0; w < kWorkers; w++) {
    EXPECT_EQ(said(w).v4_borders, 7u);
    EXPECT_EQ(said(w).v6_borders, 0u);
    EXPECT_EQ(said(w).hops, 2u);
  }
}

TEST_F(ServerRoutesOnTheChannel, OnlyAnotherOneIsSaidAndNoneTakesItBack) {
  desired_.server_routes = table(3);
  say(true);
  const size_t before = dataplane_->worker(0).log.size();
  say();
  EXPECT_EQ(dataplane_->worker(0).log.size(), before);
  desired_.server_routes = table(4);
  say();
  EXPECT_EQ(dataplane_->worker(0).log.size(), before + 1);
  EXPECT_EQ(said().v4_borders, 9u);
  desired_.server_routes = nullptr;
  say();
  EXPECT_EQ(dataplane_->worker(0).log.size(), before + 2);
  EXPECT_EQ(said().v4_borders, 0u);
  EXPECT_EQ(said().hops, 0u);
}

TEST_F(ServerRoutesOnTheChannel, WithoutATableNothingIsSaid) {
  say(true);
  for (const auto type : dataplane_->worker(0).log) EXPECT_NE(type, channel::CommandType::kPutServerRoutes);
}

TEST_F(ServerRoutesOnTheChannel, TablesGiveBackTheirRoom) {
  const std::array tables{table(30000), table(29999)};
  desired_.server_routes = table(1);
  say(true);
  for (size_t i = 0; i < 2 * channel::kArenaBytes / tables[0]->image().size(); i++) {  // more than there is memory for
    desired_.server_routes = tables[i % 2];
    say();
    ASSERT_EQ(said().v4_borders, 60001u - 2 * (i % 2));
  }
}

}  // namespace
}  // namespace sluice::control

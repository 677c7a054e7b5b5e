// SPDX-License-Identifier: Apache-2.0
#include "controlplane/channel/in_use.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/controlplane/support/channel_fixture.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

class InUseTest : public Channel {
 protected:
  /// Both processes are there, and the workers know of `desired`.
  void connect(const Desired& desired) {
    start_dataplane();
    dataplane_->publish_ports({{.name = "front", .twin = "slf0"}, {.name = "back", .twin = "slb0"}});
    publish(desired);
    client_->start();
    settle();
  }
  InUse found() { return in_use(*client_->mapping()); }
};

TEST_F(InUseTest, IsWhatTheWorkersWereTold) {
  Desired desired = two_services();
  desired.backends[0].port_index = 1;
  desired.backends[0].next_hop = {{2, 0, 0, 0, 0, 9}};
  desired.backends[0].sole_service = 12;
  desired.backends[1].flags = 0;
  desired.services[0].forwarding = channel::Forwarding::kFullnat;
  desired.services[0].proxy = channel::ProxyHeader::kV2;
  desired.services[0].on_backend_down = channel::OnBackendDown::kKeep;
  desired.services[0].on_no_backend = channel::OnNoBackend::k421;
  desired.services[0].syn_proxy = channel::SynProxy::kAlways;
  desired.services[0].mss = 1300;
  desired.services[0].idle_timeout_ms = 60'000;
  desired.locals = {{21, Address::v4(Be32::of(0x0a000101)), 1, false},
                    {22, Address::v4(Be32::of(0x0a000102)), 0, true}};
  connect(desired);
  const InUse there = found();
  ASSERT_EQ(there.backends.size(), 3u) << "once, whatever number of workers has it";
  const auto backend = std::ranges::find(there.backends, 1, &InUse::Backend::key);
  EXPECT_EQ(backend->address, ip("10.0.0.1"));
  EXPECT_EQ(backend->port, 25);
  EXPECT_EQ(backend->next_hop, (NextHop{{{2, 0, 0, 0, 0, 9}}, "slb0"}));
  EXPECT_EQ(backend->sole_service, 12u);
  EXPECT_FALSE(std::ranges::find(there.backends, 2, &InUse::Backend::key)->next_hop);
  ASSERT_EQ(there.services.size(), 2u);
  const config::Service& service = std::ranges::find(there.services, 11, &InUse::Service::key)->config;
  EXPECT_EQ(service.name, "192.0.2.11:25");
  EXPECT_EQ(service.vip, ip("192.0.2.11"));
  EXPECT_EQ(service.forwarding, config::Forwarding::kFullnat);
  EXPECT_EQ(service.proxy, config::Proxy::kV2);
  EXPECT_EQ(service.on_backend_down, config::OnBackendDown::kKeep);
  EXPECT_EQ(service.on_no_backend, config::OnNoBackend::k421);
  EXPECT_EQ(service.syn_proxy, config::SynProxy::kAlways);
  EXPECT_EQ(service.mss, 1300);
  EXPECT_EQ(service.idle_timeout, 60u);
  EXPECT_EQ(there.local_addresses, (std::vector<LocalAddress>{{"slb0", ip("10.0.1.1")}}))
      << "those of peers are the file's to say";
}

TEST_F(InUseTest, LeavesOutWhatMakesNoSense) {
  Desired desired = two_services();
  desired.backends[0].port_index = 9;
  desired.locals = {{21, Address::v4(Be32::of(0x0a000101)), 9, false}};
  connect(desired);
  for (uint32_t w = 0; w < kWorkers; w++)
    dataplane_->service_target(w, service_id(11, w)).forwarding = static_cast<channel::Forwarding>(99);
  const InUse there = found();
  EXPECT_FALSE(std::ranges::find(there.backends, 1, &InUse::Backend::key)->next_hop);
  EXPECT_TRUE(there.local_addresses.empty());
  ASSERT_EQ(there.services.size(), 1u);
  EXPECT_EQ(there.services[0].key, 12u);
}

TEST_F(InUseTest, IsNothingWhereTheMemoryIsNotLaidOutAsWeKnowIt) {
  connect(two_services());
  for (uint32_t w = 0; w < kWorkers; w++) dataplane_->flow_header(w).magic = 0;
  EXPECT_TRUE(found().backends.empty());
  for (uint32_t w = 0; w < kWorkers; w++) {
    dataplane_->flow_header(w).magic = kFlowMemoryMagic;
    dataplane_->flow_header(w).flows_offset = sizeof(FlowMemoryHeader);
  }
  EXPECT_TRUE(found().services.empty());
}

}  // namespace
}  // namespace sluice::control

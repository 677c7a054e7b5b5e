// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/adoption.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

namespace sluice {
namespace {

PortIdentity port(const char* name, uint8_t mac) {
  return {name == nullptr ? 0 : hash_port_name(name), MacAddress{{2, 0, 0, 0, 0, mac}}, 0};
}

TEST(PortMap, FollowsPortsThatStandInAnotherOrder) {
  const std::vector<PortIdentity> before{port("front", 1), port("back", 2)};
  const std::vector<PortIdentity> now{port("back", 2), port("new", 3), port("front", 1)};
  const PortMap map(before, now);
  EXPECT_EQ(map[0], 2);
  EXPECT_EQ(map[1], 0);
  EXPECT_EQ(map[2], PortMap::kGone);
}

TEST(PortMap, KnowsAPortByItsCardOrByItsName) {
  const std::vector<PortIdentity> before{port("renamed", 1), port("repaired", 2), port("gone", 3)};
  const std::vector<PortIdentity> now{port("repaired", 9), port("other", 1)};
  const PortMap map(before, now);
  EXPECT_EQ(map[0], 1) << "the same card";
  EXPECT_EQ(map[1], 0) << "the same name";
  EXPECT_EQ(map[2], PortMap::kGone);
}

TEST(PortMap, GoesByTheCardsWhereNamesWereSwapped) {
  const std::vector<PortIdentity> before{port("a", 1), port("b", 2)};
  const std::vector<PortIdentity> now{port("b", 1), port("a", 2)};
  const PortMap map(before, now);
  EXPECT_EQ(map[0], 0);
  EXPECT_EQ(map[1], 1);
}

TEST(PortMap, DoesNotTakeUnknownForEqual) {
  const std::vector<PortIdentity> unknown{{}, {}};
  const PortMap map(unknown, unknown);
  EXPECT_EQ(map[0], PortMap::kGone);
}

Flow established() {
  Flow flow{};
  flow.state = TcpState::kEstablished;
  flow.flags = kFlowCounted;
  return flow;
}

TEST(TidyFlow, DropsWhatIsOutOfBounds) {
  struct Case {
    const char* what;
    void (*spoil)(Flow&);
  };
  const Case cases[] = {
      {"free", [](Flow& flow) { flow.state = TcpState::kFree; }},
      {"state", [](Flow& flow) { flow.state = static_cast<TcpState>(200); }},
      {"service", [](Flow& flow) { flow.service = channel::kMaxServices; }},
      {"backend", [](Flow& flow) { flow.backend = channel::kMaxBackends; }},
      {"forwarding", [](Flow& flow) { flow.mode = 0xff; }},
      {"port", [](Flow& flow) { flow.vlan_and_port = 2 << 12; }},
      {"local port", [](Flow& flow) { flow.set_mode(channel::Forwarding::kFullnat, 3); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    Flow flow = established();
    EXPECT_TRUE(tidy(flow, PortMap(2)));
    c.spoil(flow);
    EXPECT_FALSE(tidy(flow, PortMap(2)));
  }
}

TEST(TidyFlow, PutsTheRestInOrder) {
  Flow flow = established();
  flow.flags = 0xf0 | kFlowCounted;
  flow.proxy_bytes = 28;
  flow.smtp_phase = 99;
  ASSERT_TRUE(tidy(flow, PortMap(1)));
  EXPECT_EQ(flow.flags, kFlowCounted | kFlowSpecial);
  EXPECT_EQ(flow.smtp_phase, static_cast<uint8_t>(SmtpPhase::kOff));
  flow.state = TcpState::kSynReceived;
  flow.flags |= kFlowProxyPending;
  ASSERT_TRUE(tidy(flow, PortMap(1)));
  EXPECT_EQ(flow.flags & kFlowProxyPending, 0);
}

TEST(TidyFlow, MovesItToThePortOfToday) {
  const std::vector<PortIdentity> before{port("front", 1), port("back", 2)};
  const std::vector<PortIdentity> now{port("back", 2), port("front", 1)};
  Flow flow = established();
  flow.vlan_and_port = 0x0123;
  ASSERT_TRUE(tidy(flow, PortMap(before, now)));
  EXPECT_EQ(flow.vlan_and_port, 0x1123);
}

class TidyTables : public ::testing::Test {
 protected:
  std::vector<Service> services_{channel::kMaxServices};
  std::vector<Backend> backends_{channel::kMaxBackends};
  std::vector<Local> locals_{channel::kMaxLocals};
  void tidy_all(const PortMap& map) { tidy(services_.data(), backends_.data(), locals_.data(), map); }
};

TEST_F(TidyTables, ForgetServicesOfNoKind) {
  services_[0].in_use = services_[1].in_use = services_[2].in_use = true;
  services_[0].vip.port = Be16::of(25);
  services_[1].vip.port = Be16::of(587);
  services_[1].scheduler = static_cast<channel::Scheduler>(77);
  services_[2].vip.port = Be16::of(25);
  const uint8_t odd = 0x55;
  std::memcpy(&services_[3].in_use, &odd, 1);
  tidy_all(PortMap(1));
  EXPECT_TRUE(services_[0].in_use);
  EXPECT_FALSE(services_[1].in_use);
  EXPECT_FALSE(services_[2].in_use) << "the same VIP and port as the first";
  EXPECT_FALSE(services_[3].in_use);
}

TEST_F(TidyTables, BackendBehindAPortThatIsGoneIsNotReachable) {
  backends_[0].in_use = backends_[1].in_use = true;
  backends_[0].flags = backends_[1].flags = 0xff;
  backends_[0].port_index = 1;
  backends_[1].port_index = 7;
  locals_[0].in_use = locals_[1].in_use = true;
  locals_[1].port_index = 7;
  tidy_all(PortMap(2));
  EXPECT_EQ(backends_[0].flags,
            channel::kBackendReachable | channel::kBackendDown | channel::kBackendCut | channel::kBackendLeaving);
  EXPECT_EQ(backends_[1].flags, channel::kBackendDown | channel::kBackendCut | channel::kBackendLeaving);
  EXPECT_LT(backends_[1].port_index, 2);
  EXPECT_TRUE(locals_[0].in_use);
  EXPECT_FALSE(locals_[1].in_use);
}

TEST(FlowMemoryFlaw, IsNamed) {
  constexpr uint32_t kCapacity = 1024;
  const size_t bytes = flow_memory_bytes(kCapacity);
  FlowMemoryHeader sound{};
  sound.magic = kFlowMemoryMagic;
  sound.version = kFlowMemoryVersion;
  sound.flow_capacity = kCapacity;
  sound.bucket_count = bucket_count(kCapacity);
  sound.flows_offset = flows_offset(kCapacity);
  sound.notes_offset = notes_offset(kCapacity);
  sound.workers = 2;
  sound.classes = 64;
  sound.boot_id = 5;
  const auto flaw_with = [&](auto change) {
    FlowMemoryHeader header = sound;
    change(header);
    return flaw_of(header, bytes, 5);
  };
  EXPECT_EQ(flaw_with([](auto&) {}), KeptFlaw::kNone);
  EXPECT_EQ(flaw_with([](auto& h) { h.magic = 0; }), KeptFlaw::kEmpty);
  EXPECT_EQ(flaw_with([](auto& h) { h.magic++; }), KeptFlaw::kDamaged);
  EXPECT_EQ(flaw_with([](auto& h) { h.version++; }), KeptFlaw::kVersion);
  EXPECT_EQ(flaw_with([](auto& h) { h.flow_capacity *= 2; }), KeptFlaw::kDamaged);
  EXPECT_EQ(flaw_with([](auto& h) { h.flow_capacity = 0xffffffff; }), KeptFlaw::kDamaged);
  EXPECT_EQ(flaw_with([](auto& h) { h.flows_offset++; }), KeptFlaw::kDamaged);
  EXPECT_EQ(flaw_with([](auto& h) { h.notes_offset++; }), KeptFlaw::kDamaged);
  EXPECT_EQ(flaw_with([](auto& h) { h.workers = 0; }), KeptFlaw::kDamaged);
  EXPECT_EQ(flaw_with([](auto& h) { h.ports = 17; }), KeptFlaw::kDamaged);
  EXPECT_EQ(flaw_with([](auto& h) { h.boot_id++; }), KeptFlaw::kBoot);
  EXPECT_EQ(flaw_with([](auto& h) { h.short_runs = kMaxShortRuns; }), KeptFlaw::kShortRuns);
  EXPECT_EQ(flaw_of(sound, 100, 5), KeptFlaw::kEmpty);
  EXPECT_EQ(flaw_of(sound, 2048, {2, 64}, 5), KeptFlaw::kCapacity);
  EXPECT_EQ(flaw_of(sound, kCapacity, {3, 64}, 5), KeptFlaw::kWorkers);
  EXPECT_EQ(flaw_of(sound, kCapacity, {2, 128}, 5), KeptFlaw::kDealing);
  EXPECT_EQ(flaw_of(sound, kCapacity, {2, 64}, 5), KeptFlaw::kNone);
  EXPECT_EQ(flaw_with([](auto& h) { h.version = 13; }), KeptFlaw::kNone) << "its flows can be used";
  EXPECT_EQ(flaw_with([](auto& h) { h.version = 12; }), KeptFlaw::kVersion);
  sound.version = 13;
  EXPECT_EQ(flaw_of(sound, kCapacity, {2, 64}, 5), KeptFlaw::kDealing) << "it knew no classes";
  sound.workers = 1;
  EXPECT_EQ(flaw_of(sound, kCapacity, {1, 128}, 5), KeptFlaw::kNone) << "all are its own";
}

}  // namespace
}  // namespace sluice

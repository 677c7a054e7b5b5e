// SPDX-License-Identifier: Apache-2.0
//
// What the data plane has from an earlier process of which nothing else is known.
#include <gtest/gtest.h>

#include "controlplane/model/model.h"
#include "tests/controlplane/support/model_fixture.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

class Recognition : public ModelTest {
 protected:
  /// What a data plane has that was told of `model`.
  static InUse told_of(const Model& model) {
    InUse out;
    for (const Member& member : model.members())
      out.backends.push_back({member.key, member.address, member.port, kHop, model.services().front().key});
    for (const ServiceState& service : model.services()) {
      out.services.push_back({service.key, service.config});
      out.services.back().config.pool.clear();
    }
    return out;
  }
  static std::vector<uint64_t> keys_of(const Model& model) {
    std::vector<uint64_t> out;
    for (const Member& member : model.members()) out.push_back(member.key);
    return out;
  }
  const FlowCounts no_flow_{[](const Member&) { return 0; }, [](const ServiceState&) { return 0; }};
};

TEST_F(Recognition, ChangesNothingWhereAllIsKnown) {
  const InUse there = told_of(model());
  Model after = model();
  const uint64_t composition = after.composition();
  EXPECT_FALSE(after.recognise(there, {}));
  EXPECT_EQ(after.composition(), composition);
  EXPECT_EQ(after.members().size(), 3u);
  EXPECT_TRUE(after.removed_services().empty());
}

TEST_F(Recognition, WhatNoFileNamesDrainsWithTheNextHopThatItHas) {
  const InUse there = told_of(model());
  config_.pools[0].removal_deadline = 90s;
  config_.pools[0].backends.pop_back();
  Model after = model();
  EXPECT_TRUE(after.recognise(there, {}));
  ASSERT_EQ(after.members().size(), 3u);
  const Member& left = after.members()[2];
  EXPECT_EQ(left.key, there.backends[2].key);
  EXPECT_EQ(left.state(), kRemovedState);
  EXPECT_EQ(left.removal->deadline, now_ + 90s) << "as its service's pool says";
  EXPECT_EQ(left.label(), "mta/10.0.1.3:25 (removed: 10.0.1.3)");
  EXPECT_EQ(left.next_hop, Reachability(kHop));
  EXPECT_TRUE(journal_says(left.label(), "no file names it"));
  after.meet({{}, {there.backends[2].key}});
  after.refresh();
  EXPECT_EQ(after.desired().backends[2].key, left.key);
  EXPECT_EQ(entries_of(after, 0, left.name), 0u) << "it gets no new sessions";
  EXPECT_FALSE(after.end_removals(no_flow_));
  now_ += 6s;
  EXPECT_TRUE(after.end_removals(no_flow_));
  EXPECT_EQ(after.members().size(), 2u);
}

TEST_F(Recognition, APoolThatCutsWhatLeavesItDoesNotCutWhatOnlyMayHaveBeenItsOwn) {
  const InUse there = told_of(model());
  config_.pools[0].on_removal = config::OnRemoval::kReset;
  config_.pools[0].backends.pop_back();
  Model after = model();
  after.recognise(there, {});
  ASSERT_EQ(after.members().size(), 3u);
  EXPECT_EQ(after.members()[2].label(), "10.0.1.3:25 (removed: 10.0.1.3)");
  Model reloaded = model();
  reloaded.take_over(after);
  EXPECT_EQ(reloaded.members().size(), 3u);
}

TEST_F(Recognition, SeveralOfOneEndpointHaveNamesOfTheirOwn) {
  add_service("submission", 25, "submission");
  config_.services[1].vip = ip("192.0.2.26");
  const InUse there = told_of(model());
  ASSERT_EQ(there.backends.size(), 6u);
  config_.services.pop_back();
  config_.pools[0].backends.pop_back();
  Model after = model();
  after.recognise(there, {});
  std::set<std::string> labels;
  for (const Member& member : after.members()) labels.insert(member.label());
  EXPECT_EQ(after.members().size(), 6u);
  EXPECT_EQ(labels.size(), 6u);
}

TEST_F(Recognition, AMemberOfAnotherNameTakesTheKeyOfItsEndpoint) {
  const InUse there = told_of(model());
  config_.pools[0].name = "mx";
  config_.services[0].pool = "mx";
  config_.pools[0].backends[0].name = "first";
  Model after = model();
  bring_up(after);  // its tables name what is not there yet
  EXPECT_TRUE(after.recognise(there, {}));
  ASSERT_EQ(after.members().size(), 3u) << "nothing is left over";
  EXPECT_EQ(keys_of(after), (std::vector{there.backends[0].key, there.backends[1].key, there.backends[2].key}));
  after.refresh();
  EXPECT_EQ(after.desired().services[0].table->members, keys_of(after));
}

TEST_F(Recognition, AKeyOfAnotherEndpointIsNotBelieved) {
  const InUse there = told_of(model());
  Remembered wrong;
  wrong.members = model().members();
  std::swap(wrong.members[0].key, wrong.members[1].key);
  wrong.members[2].key = 7;
  Model after = model();
  after.take_over(Model(std::move(wrong), journal_));
  ASSERT_EQ(after.members()[0].key, there.backends[1].key);
  EXPECT_TRUE(after.recognise(there, {there.backends[0].key, there.backends[1].key, 7}));
  EXPECT_EQ(keys_of(after), (std::vector{there.backends[0].key, there.backends[1].key, there.backends[2].key}));
}

TEST_F(Recognition, WhatWasGivenUpIsNotTakenUpAgain) {
  add_service("submission", 587, "");
  const InUse there = told_of(model());
  config_.services.pop_back();
  config_.pools[0].backends.pop_back();
  Model after = model();
  std::unordered_set<uint64_t> given_up{there.services[1].key};
  for (const InUse::Backend& backend : there.backends) given_up.insert(backend.key);
  EXPECT_FALSE(after.recognise(there, given_up));
  EXPECT_EQ(after.members().size(), 2u);
  EXPECT_TRUE(after.removed_services().empty());
}

TEST_F(Recognition, AServiceThatNoFileNamesGoesOnAsItDid) {
  add_service("submission", 587, "");
  config_.services[1].forwarding = config::Forwarding::kFullnat;
  config_.services[1].idle_timeout = 77;
  const InUse there = told_of(model());
  config_.services.pop_back();
  Model after = model();
  EXPECT_TRUE(after.recognise(there, {}));
  ASSERT_EQ(after.removed_services().size(), 1u);
  after.refresh();
  const Desired desired = after.desired();
  const DesiredService& left = desired.services[1];
  EXPECT_EQ(left.key, there.services[1].key);
  EXPECT_EQ(left.forwarding, channel::Forwarding::kFullnat);
  EXPECT_EQ(left.idle_timeout_ms, 77'000u);
  EXPECT_TRUE(left.table->entries.empty()) << "it takes no new session";
}

TEST_F(Recognition, AnAddressOfOursThatIsNotBackYetIsStillSpokenFrom) {
  InUse there = told_of(model());
  there.local_addresses = {{"slb0", ip("fd00:1::1")}, {"slb0", ip("10.0.1.1")}};
  Model after = model();
  after.set_local_addresses({{"slb0", ip("10.0.1.1")}});
  EXPECT_TRUE(after.recognise(there, {}));
  EXPECT_EQ(after.local_addresses(), (std::vector<LocalAddress>{{"slb0", ip("10.0.1.1")}, {"slb0", ip("fd00:1::1")}}));
  EXPECT_FALSE(after.recognise(there, {}));
}

}  // namespace
}  // namespace sluice::control

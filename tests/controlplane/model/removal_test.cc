// SPDX-License-Identifier: Apache-2.0
//
// What left the file where nodes tell each other of flows: those of others may come here without one having been here.
#include "controlplane/model/removal.h"

#include <gtest/gtest.h>

#include "controlplane/model/model.h"
#include "tests/controlplane/support/model_fixture.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

class RemovalAmongPeers : public ModelTest {
 protected:
  RemovalAmongPeers() {
    config_.fleet.peers.listen = config::SocketAddress::parse("10.9.0.1:2526").value();
    config_.pools[0].removal_deadline = 60s;
    add_service("submission", 587, "");
  }

  /// A backend and a service leave the file, and none has a flow here.
  Model remove() {
    Model before = model();
    bring_up(before);
    config_.pools[0].backends.pop_back();
    config_.services.pop_back();
    Model after = model();
    after.take_over(before);
    after.refresh();
    return after;
  }
  static size_t removed(const Model& model) {
    return static_cast<size_t>(
        std::ranges::count_if(model.members(), [](const Member& member) { return member.removal.has_value(); }));
  }

  const FlowCounts no_flow_{[](const Member&) { return 0; }, [](const ServiceState&) { return 0; }};
};

TEST_F(RemovalAmongPeers, LastsToItsDeadlineWithoutAFlow) {
  Model after = remove();
  const size_t count = removed(after);
  ASSERT_GT(count, 0u);
  for (int i = 0; i < 59; i++) {
    EXPECT_FALSE(after.end_removals(no_flow_));
    now_ += 1s;
  }
  EXPECT_EQ(removed(after), count);
  EXPECT_EQ(after.removed_services().size(), 1u);
  now_ += 1s;
  EXPECT_TRUE(after.end_removals(no_flow_));
  EXPECT_EQ(removed(after), 0u);
  EXPECT_TRUE(after.removed_services().empty());
}

TEST_F(RemovalAmongPeers, OutlivesADataPlaneThatBeginsAnew) {
  Model after = remove();
  const size_t count = removed(after);
  after.meet({});
  EXPECT_EQ(removed(after), count);
  EXPECT_EQ(after.removed_services().size(), 1u);
}

TEST_F(RemovalAmongPeers, GivesNoRoomToOthers) {
  Model after = remove();
  const size_t count = removed(after);
  after.forget_idle_removals(no_flow_);
  EXPECT_EQ(removed(after), count);
  EXPECT_EQ(after.removed_services().size(), 1u);
}

}  // namespace
}  // namespace sluice::control

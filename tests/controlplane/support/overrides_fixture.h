// SPDX-License-Identifier: Apache-2.0
//
// Pool mta on two ports, and what is changed by hand about it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "controlplane/changes/overrides.h"
#include "tests/controlplane/support/model_fixture.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {

class OverridesTest : public ModelTest {
 protected:
  OverridesTest() {
    add_service("submission", 587, "");
    model_ = model();
    bring_up(model_);
  }

  Overrides overrides() {
    return {config_, model_, journal_, [this](const Member& member) { return flows_of(member); }, directory_.path()};
  }
  std::optional<uint64_t> flows_of(const Member& member) const {
    if (!flows_known_) return std::nullopt;
    const auto flows = flows_.find(member.label());
    return flows == flows_.end() ? 0 : flows->second;
  }
  const Member& member(const std::string& label) const {
    return *std::ranges::find_if(model_.members(), [&](const Member& each) { return each.label() == label; });
  }
  static void must(const std::expected<std::string, std::string>& done) {
    ASSERT_TRUE(done) << done.error();
    EXPECT_EQ(*done, "");
  }

  StateDirectory directory_;
  Model model_ = model();
  std::map<std::string, uint64_t> flows_;
  bool flows_known_ = true;
};

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/names.h"

#include <gtest/gtest.h>

#include "tests/controlplane/support/overrides_fixture.h"

namespace sluice::control {
namespace {

class Names : public OverridesTest {
 protected:
  Names() {
    config_.pools.push_back(
        {.name = "other", .check = "", .min_healthy = 0, .backends = {config_.pools[0].backends[0]}});
    config_.pools[1].backends[0].port = 10025;
  }
  std::string found(const std::string& text) const {
    const auto name = find_backend(config_, text);
    return name ? name->to_string() : "error: " + name.error();
  }
};

TEST_F(Names, AreFoundInFullOrWhereThereIsOnlyOne) {
  EXPECT_EQ(found("mta/mta1"), "mta/mta1");
  EXPECT_EQ(found("mta2"), "mta/mta2");
  EXPECT_EQ(found("mta2:587"), "mta/mta2:587");
  EXPECT_EQ(found("mta/mta2:25"), "mta/mta2:25");
}

TEST_F(Names, AreRefusedWithWhatMayHaveBeenMeant) {
  EXPECT_EQ(found("mta1"), R"(error: several pools have a backend "mta1"; say which: "mta/mta1", "other/mta1")");
  EXPECT_EQ(found("mta/mta4"), R"(error: there is no backend "mta/mta4" (did you mean "mta/mta1"?))");
  EXPECT_EQ(found(""), R"(error: there is no backend "")");
  EXPECT_EQ(found("/"), R"(error: there is no backend "/")");
  EXPECT_EQ(found("mta/"), R"(error: there is no backend "mta/" (did you mean "mta/mta1"?))");
  EXPECT_EQ(found("mta2:26"), R"(error: no service reaches backend "mta/mta2" on port "26")");
  EXPECT_EQ(found("mta2:99999999999999999999"),
            R"(error: no service reaches backend "mta/mta2" on port "99999999999999999999")");
  EXPECT_EQ(found("mta2:"), R"(error: no service reaches backend "mta/mta2" on port "")");
  EXPECT_TRUE(found(std::string(100'000, 'x')).starts_with("error: there is no backend"));
}

}  // namespace
}  // namespace sluice::control

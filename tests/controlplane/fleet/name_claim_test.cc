// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/name_claim.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace sluice::control {
namespace {

constexpr const char* kRivals = "/sluice/rivals/edge1/";

etcd::Record key(const std::string& instance, int64_t revision) {
  return {.key = "/sluice/nodes/edge1",
          .value = fmt::format(R"({{"instance": "{}", "host": "host-of-{}"}})", instance, instance),
          .revision = revision};
}

etcd::Record silent(const std::string& instance) {
  etcd::Record out = key(instance, 9);
  out.key = kRivals + instance;
  return out;
}

class NameClaimTest : public testing::Test {
 protected:
  void look(const std::optional<etcd::Record>& at, const std::vector<etcd::Record>& rivals = {}) {
    claim_.look(at, rivals, kRivals);
  }
  const NameState& state() const { return claim_.state(); }

  NameClaim claim_{"own"};
  const Rival other_{"other", "host-of-other"};
};

TEST_F(NameClaimTest, ANameThatNobodyHasIsOurs) {
  EXPECT_FALSE(claim_.may_put()) << "not before it is known";
  look({});
  EXPECT_EQ(claim_.may_put(), 0);
  look(key("own", 7));
  EXPECT_EQ(claim_.may_put(), 7);
  EXPECT_EQ(state(), (NameState{true, {}}));
}

TEST_F(NameClaimTest, AKeyThatStaysAsItIsWasAFormerProcesss) {
  for (int i = 0; i < NameClaim::kQuietLooks; i++) {
    look(key("other", 7));
    EXPECT_EQ(state(), NameState{}) << "nobody has to be told of what may be a restart";
    EXPECT_FALSE(claim_.may_put());
  }
  look(key("other", 7));
  EXPECT_EQ(claim_.may_put(), 7);
  EXPECT_FALSE(state().rival);
}

TEST_F(NameClaimTest, AKeyThatIsPutAnewBelongsToANodeThatLives) {
  look(key("other", 7));
  look(key("other", 8));
  EXPECT_EQ(state(), (NameState{false, other_}));
  EXPECT_FALSE(claim_.may_put());
  for (int i = 1; i < NameClaim::kQuietLooks; i++) {
    look(key("other", 8));
    EXPECT_EQ(state().rival, other_) << "it may only be slow";
  }
  look(key("other", 8));
  EXPECT_EQ(state(), (NameState{true, {}})) << "it is gone";
  look({});
  EXPECT_EQ(state(), (NameState{true, {}}));
}

TEST_F(NameClaimTest, WhoHasTheNameHearsOfThoseWhoKeepSilent) {
  look(key("own", 7), {silent("other"), silent("own")});
  EXPECT_EQ(state(), (NameState{true, other_}));
  EXPECT_EQ(claim_.may_put(), 7);
  look(key("own", 8), {silent("own")});
  EXPECT_EQ(state(), (NameState{true, {}}));
}

TEST_F(NameClaimTest, WhoLosesItKeepsSilent) {
  look(key("own", 7));
  look(key("other", 8));
  EXPECT_EQ(state(), (NameState{false, other_}));
}

TEST_F(NameClaimTest, AKeyThatSaysNothingOfItsWriterIsSomebodysAllTheSame) {
  etcd::Record odd = key("x", 7);
  odd.value = "no report";
  look(odd);
  EXPECT_FALSE(claim_.may_put());
  odd.revision = 8;
  look(odd);
  EXPECT_EQ(state().rival, (Rival{"", ""}));
}

TEST(AuthorOfReport, IsFitToBeShown) {
  EXPECT_EQ(author_of_report(R"({"instance": "a\u001b[2J", "host": 7})"), (Rival{"a [2J", ""}));
  EXPECT_EQ(author_of_report("[]"), Rival{});
  EXPECT_EQ(author_of_report(R"({"host": ")" + std::string(1000, 'x') + R"("})").host.size(), 256u);
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// What was said for all nodes, beside what was said here.
#include <gtest/gtest.h>

#include "tests/controlplane/support/overrides_fixture.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using Action = Overrides::Action;

/// What somebody said for all nodes.
class WishesTest : public OverridesTest {
 protected:
  Wish wish(const Overrides::Change& change, int64_t revision) {
    const auto entries = overrides_.changed({}, change);
    EXPECT_TRUE(entries);
    return {.entry = entries->begin()->second, .node = "edge2", .who = "ops (uid 7)", .revision = revision};
  }
  Wish drain(int64_t revision, std::optional<std::chrono::seconds> deadline = std::nullopt) {
    return wish({.action = Action::kDrain, .names = {"mta/mta1"}, .deadline = deadline}, revision);
  }
  void hear(Wishes wishes) {
    overrides_.set_wishes(std::move(wishes));
    model_.refresh();
  }

  Overrides overrides_ = overrides();
};

TEST_F(WishesTest, HoldHereAndSayWhoseTheyAre) {
  hear({{"mta/mta1", drain(5)}});
  EXPECT_EQ(member("mta/mta1:25").state(), "draining");
  EXPECT_EQ(member("mta/mta1:587").reason(),
            "by hand since 2027-01-15T08:00:00.000Z on all nodes (ops (uid 7) at edge2)");
  EXPECT_TRUE(journal_says("mta/mta1", "on all nodes: draining (ops (uid 7) at edge2)"));
  const size_t told = journal_.entries().size();
  hear({{"mta/mta1", drain(5)}});
  EXPECT_EQ(journal_.entries().size(), told) << "nothing new";
  hear({});
  EXPECT_EQ(member("mta/mta1:25").state(), "up");
  EXPECT_TRUE(journal_says("mta/mta1", "nothing is said for all nodes any more"));
}

TEST_F(WishesTest, StandBesideWhatWasSaidHere) {
  must(overrides_.change({.action = Action::kWeight, .names = {"mta/mta1"}, .weight = 7}));
  hear({{"mta/mta1", wish({.action = Action::kWeight, .names = {"mta/mta1"}, .weight = 50}, 5)},
        {"mta/mta2", wish({.action = Action::kWeight, .names = {"mta/mta2"}, .weight = 50}, 6)}});
  EXPECT_EQ(member("mta/mta1:25").weight_by_hand, 7u) << "said here";
  EXPECT_EQ(member("mta/mta2:25").weight_by_hand, 50u);
  must(overrides_.change({.action = Action::kClear, .names = {"mta/mta1"}}));
  EXPECT_EQ(member("mta/mta1:25").weight_by_hand, 50u);
  hear({{"mta/mta1", drain(7)}});
  must(overrides_.change({.action = Action::kDisable, .names = {"mta/mta1:25"}}));
  model_.refresh();
  EXPECT_EQ(member("mta/mta1:25").state(), "disabled") << "the stricter counts";
  EXPECT_EQ(member("mta/mta1:587").state(), "draining");
}

TEST_F(WishesTest, CutAtTheirDeadlineOnceWhateverIsHeardAgain) {
  flows_ = {{"mta/mta1:25", 3}};
  hear({{"mta/mta1", drain(5, 60s)}});
  now_ += 61s;
  overrides_.tick();
  EXPECT_EQ(member("mta/mta1:25").state(), "disabled");
  EXPECT_TRUE(journal_says("mta/mta1", "the drain's deadline has passed: 3 flows cut"));
  hear({{"mta/mta1", drain(5, 60s)}});  // as etcd has it still
  EXPECT_EQ(member("mta/mta1:25").state(), "disabled");
  hear({{"mta/mta1", drain(6)}});  // said anew
  EXPECT_EQ(member("mta/mta1:25").state(), "draining");
}

TEST_F(WishesTest, EndWhenTheNodeThatSaidThemSaidWhateverTheClockHereIsSetTo) {
  hear({{"mta/mta1", drain(5, 600s)}});
  const Wishes before = overrides_.wishes();
  for (const auto by : {SystemTime::duration(24h), SystemTime::duration(-24h)}) EXPECT_FALSE(overrides_.move_times(by));
  EXPECT_EQ(overrides_.wishes(), before);
}

TEST_F(WishesTest, SurviveARestartWithoutEtcd) {
  hear({{"mta/mta1", drain(5)}});
  Overrides after = overrides();
  after.restore();
  EXPECT_EQ(after.wishes(), overrides_.wishes());
  EXPECT_EQ(member("mta/mta1:25").state(), "draining");
}

TEST_F(WishesTest, MayBeForWhatIsNotThereWhateverItIsCalled) {
  hear({{"mta/\xff\xfe", drain(5)}, {"", drain(6)}, {"mta/mta1", drain(7)}});
  EXPECT_EQ(member("mta/mta1:25").state(), "draining");
  EXPECT_TRUE(wishes_from(directory_.read("wishes.json")));
}

TEST_F(WishesTest, AreTextOnTheWay) {
  Wish before = drain(5, 60s);
  const auto after = wish_from(to_text(before));
  before.revision = 0;  // which is not of the text
  ASSERT_TRUE(after) << after.error();
  EXPECT_EQ(*after, before);
  for (const char* text : {"", "{}", "[]", R"({"entry": {}, "node": 1, "who": ""})",
                           R"({"entry": {"admin": "gone"}, "node": "", "who": ""})"})
    EXPECT_FALSE(wish_from(text)) << text;
}

}  // namespace
}  // namespace sluice::control

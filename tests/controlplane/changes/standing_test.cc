// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/standing.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/controlplane/support/model_fixture.h"

namespace sluice::control {
namespace {

class StandingTest : public ModelTest {
 protected:
  /// The model of a process that starts with the configuration as it is now, where another left `text`.
  Model start_from(const std::string& text) {
    Model out = model();
    const auto before = standing_from(text, journal_);
    EXPECT_TRUE(before.has_value()) << before.error();
    if (before) out.take_over(*before);
    out.refresh();
    return out;
  }
  /// As it comes back.
  static std::optional<Removal> kept(std::optional<Removal> removal) {
    if (removal) removal->is_absolute = true;
    return removal;
  }
};

TEST_F(StandingTest, AProcessThatStartsAnewGoesOnWithKeysAndDrains) {
  add_service("submission", 587, "");
  Model first = model();
  bring_up(first);
  config_.pools[0].name = "mx";
  config_.pools[0].removal_deadline = std::chrono::seconds(90);
  config_.services[0].pool = "mx";
  config_.services.pop_back();
  config_.pools[0].backends.pop_back();
  Model second = model();
  second.take_over(first);
  ASSERT_EQ(second.members().size(), 6u);
  now_ += std::chrono::seconds(30);
  const Model third = start_from(standing_text(second));
  ASSERT_EQ(third.members().size(), 6u);
  for (size_t i = 0; i < 6; i++) {
    EXPECT_EQ(third.members()[i].key, second.members()[i].key) << i;
    EXPECT_EQ(third.members()[i].label(), second.members()[i].label()) << i;
    EXPECT_EQ(third.members()[i].removal, kept(second.members()[i].removal)) << i;
  }
  ASSERT_EQ(third.removed_services().size(), 1u);
  EXPECT_EQ(third.removed_services()[0].key, first.services()[1].key);
  EXPECT_EQ(third.removed_services()[0].removal, kept(second.removed_services()[0].removal));
}

TEST_F(StandingTest, AFileThatChangedWhileControlWasAwayDrainsWhatItLeavesOut) {
  config_.pools[0].removal_deadline = std::chrono::seconds(90);
  Model before = model();
  const std::string text = standing_text(before);
  config_.pools[0].name = "mx";
  config_.services[0].pool = "mx";
  config_.pools[0].backends.pop_back();
  const Model after = start_from(text);
  ASSERT_EQ(after.members().size(), 3u);
  EXPECT_EQ(after.members()[0].key, before.members()[0].key);
  EXPECT_EQ(after.members()[2].label(), "mta/mta3:25 (removed: 10.0.1.3, relay)");
  EXPECT_EQ(after.members()[2].removal->deadline, now_ + std::chrono::seconds(90)) << "as its pool said";
}

TEST_F(StandingTest, WhatDrainsEndsWhenTheEarlierProcessSaidWhateverTheClockIsSetTo) {
  config_.pools[0].removal_deadline = std::chrono::seconds(90);
  Model first = model();
  config_.pools[0].backends.pop_back();
  Model second = model();
  second.take_over(first);
  const SystemTime deadline = now_ + std::chrono::seconds(90);
  Model third = start_from(standing_text(second));
  for (const auto by : {std::chrono::hours(24), std::chrono::hours(-24)}) {
    third.move_times(by);
    EXPECT_EQ(third.members()[2].removal->deadline, deadline) << "a day earlier would cut";
    second.move_times(by);
  }
  EXPECT_EQ(second.members()[2].removal->deadline, deadline) << "there and back";
  second.move_times(std::chrono::hours(1));
  EXPECT_EQ(second.members()[2].removal->deadline, deadline + std::chrono::hours(1)) << "by its own clock";
}

TEST_F(StandingTest, AServiceThatIsGoneGoesOnRefusingAsItDid) {
  add_service("submission", 587, "");
  config_.services[1].on_no_backend = config::OnNoBackend::kSilence;
  config_.services[1].text_421 = "4.7.0 gone";
  Model first = model();
  config_.services.pop_back();
  Model second = model();
  second.take_over(first);
  const Model third = start_from(standing_text(second));
  ASSERT_EQ(third.removed_services().size(), 1u);
  EXPECT_EQ(third.removed_services()[0].config.on_no_backend, config::OnNoBackend::kSilence);
  EXPECT_EQ(third.removed_services()[0].config.text_421, "4.7.0 gone");
}

TEST_F(StandingTest, AnAddressOfOursThatIsNotBackYetIsStillSpokenFrom) {
  const std::vector<LocalAddress> ours{{"slb0", ip("10.0.1.1")}, {"slb0", ip("fd00:1::1")}};
  std::vector<LocalAddress> all = ours;
  all.insert(all.begin(), {"", ip("10.0.1.2")});
  Model first = model();
  first.set_local_addresses(all);
  const std::string text = standing_text(first);
  EXPECT_EQ(start_from(text).local_addresses(), ours) << "those of other nodes are the file's to say";
  nlohmann::json without = nlohmann::json::parse(text);
  without.erase("local_addresses");
  EXPECT_TRUE(start_from(without.dump()).local_addresses().empty()) << "of an earlier version";
}

TEST_F(StandingTest, SaysWhatIsWrongWithATextThatMakesNoSense) {
  Model known = model();
  known.set_local_addresses({{"slb0", ip("10.0.1.99")}});
  const std::string good = standing_text(known);
  EXPECT_TRUE(standing_from(good, journal_).has_value());
  for (const auto& [old, bad] : {std::pair<std::string, std::string>("\"version\": 1", "\"version\": 2"),
                                 {"10.0.1.1", "nowhere"},
                                 {"\"nat\"", "\"carrier pigeon\""},
                                 {"\"slb0\"", "\"\""},
                                 {"10.0.1.99", "here"},
                                 {"\"drain\"", "7"},
                                 {"\"port\": 25", "\"port\": 65561"},
                                 {"\"port\": 25", "\"port\": -1"},
                                 {"\"mss\": 0", "\"mss\": 1e9"},
                                 {"\"version\": 1", "\"version\": 1e300"},
                                 {"\"key\"", "\"lock\""}}) {
    std::string text = good;
    text.replace(text.find(old), old.size(), bad);
    const auto read = standing_from(text, journal_);
    ASSERT_FALSE(read.has_value()) << bad;
    EXPECT_FALSE(read.error().empty());
  }
  EXPECT_FALSE(standing_from(good.substr(0, good.size() / 2), journal_).has_value());
}

}  // namespace
}  // namespace sluice::control

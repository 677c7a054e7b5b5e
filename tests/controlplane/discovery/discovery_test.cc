// SPDX-License-Identifier: Apache-2.0
//
// Backends that come and go by a file and by hand: what is believed, what stays when a source fails, what outlives the
// process, and who has the last word.
#include "controlplane/discovery/discovery.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using Names = std::vector<std::string>;

Names names_of(const DiscoveredBackends& backends) {
  Names out;
  for (const auto& [name, each] : backends) out.push_back(name + (each.missing ? "?" : ""));
  return out;
}

class DiscoveryTest : public testing::Test {
 protected:
  DiscoveryTest() {
    config_.pools.resize(1);
    config::Pool& pool = config_.pools.front();
    pool.name = "mta";
    pool.discover = config::Discover{.file = directory_.file("mta.json")};
    config::Backend& own = pool.backends.emplace_back();
    own.name = "own";
    own.address = *config::IpAddress::parse("10.0.1.10");
    begin();
  }

  void begin() {
    discovery_ =
        std::make_unique<Discovery>(io_, journal_, directory_.path() + "/state", [this](const DiscoveredPools& known) {
          if (refuses_.empty()) used_ = complete(config_, known);
          return refuses_;
        });
  }
  void start() {
    discovery_->start(config_.pools);
    used_ = complete(config_, discovery_->pools());
  }

  /// The source, with these at 10.0.2.1 and on.
  void tell(const Names& names) {
    std::string text;
    for (size_t i = 0; i < names.size(); i++)
      text += fmt::format(R"({}{{"name": "{}", "address": "10.0.2.{}"}})", i == 0 ? "" : ",", names[i], i + 1);
    write(R"({"backends": [)" + text + "]}");
  }
  void write(const std::string& text) {
    directory_.write("next.json", text);  // as one should: beside it, then over it
    std::filesystem::rename(directory_.file("next.json"), directory_.file("mta.json"));
  }

  void passes(std::chrono::seconds time) { now_ += time; }

  Names used() const {
    Names out;
    for (const config::Backend& backend : used_.pools.front().backends) out.push_back(backend.name);
    return out;
  }
  const DiscoveredPool& pool() const { return discovery_->pools().at("mta"); }
  size_t events(const std::string& words) const {
    return static_cast<size_t>(std::ranges::count_if(journal_.entries(), [&](const JournalEntry& entry) {
      return entry.kind == "discovery" && entry.text.find(words) != std::string::npos;
    }));
  }

  boost::asio::io_context io_;
  StateDirectory directory_;
  SystemTime now_ = from_ms(1'800'000'000'000);
  Journal journal_{[this] { return now_; }};
  config::Config config_;
  config::Config used_;  // what was gone over to last
  std::string refuses_;
  std::unique_ptr<Discovery> discovery_;
};

/// What backends at 10.0.2.1 and on say of themselves, and who leave.
PoolDocuments registered(const Names& names, const std::set<std::string>& leaving = {}) {
  std::string text;
  for (size_t i = 0; i < names.size(); i++)
    text += fmt::format(R"({}{{"name": "{}", "address": "10.0.2.{}"}})", i == 0 ? "" : ",", names[i], i + 1);
  return {{"mta", PoolMembers{R"({"backends": [)" + text + "]}", leaving, ""}}};
}

TEST_F(DiscoveryTest, TakesWhoRegisteredThemselves) {
  config_.pools.front().discover = config::Discover{.etcd = true};
  start();
  EXPECT_EQ(used(), Names{"own"});
  EXPECT_EQ(pool().source(), "etcd");
  EXPECT_FALSE(pool().read) << "nothing was heard yet";
  discovery_->hear_fleet(registered({"a", "b", "c"}));
  EXPECT_EQ(used(), (Names{"own", "a", "b", "c"}));
  discovery_->hear_fleet(registered({"a", "b"}));
  EXPECT_EQ(used(), (Names{"own", "a", "b"})) << "one that left is believed";

  discovery_->hear_fleet(std::unexpected("nobody answers"));
  EXPECT_EQ(pool().fault, "nobody answers");
  discovery_->hear_fleet(PoolDocuments{});
  EXPECT_EQ(pool().missing(), 2U) << "nobody at all is not believed";
  EXPECT_EQ(pool().fault, "");
  PoolDocuments wrong;
  wrong["mta"].fault = "/k/mta/a: is no JSON object";
  discovery_->hear_fleet(wrong);
  EXPECT_EQ(pool().fault, "/k/mta/a: is no JSON object");
  EXPECT_EQ(used(), (Names{"own", "a", "b"}));

  begin();  // another process, before anything was heard
  start();
  EXPECT_EQ(used(), (Names{"own", "a", "b"}));
  discovery_->hear_fleet(registered({"a", "b"}));
  EXPECT_EQ(pool().missing(), 0U);
}

class LeasesTest : public DiscoveryTest {
 protected:
  LeasesTest() {
    config_.pools.front().discover = config::Discover{.etcd = true};
    config_.pools.front().backends.clear();
    start();
    discovery_->hear_fleet(registered({"a", "b", "c"}));
  }
};

TEST_F(LeasesTest, ThatEndOneByOneTakeNoMoreThanTheShare) {
  discovery_->hear_fleet(registered({"a", "b"}));
  EXPECT_EQ(used(), (Names{"a", "b"}));
  passes(3s);
  discovery_->hear_fleet(registered({"a"}));
  EXPECT_EQ(used(), (Names{"a", "b"})) << "two of three within a lease time";
  passes(1h);
  begin();  // nor by time alone, nor by another process
  start();
  discovery_->hear_fleet(registered({"a"}));
  EXPECT_EQ(used(), (Names{"a", "b"}));
  EXPECT_EQ(pool().missing(), 1U);
  discovery_->hear_fleet(PoolDocuments{});
  EXPECT_EQ(used(), (Names{"a", "b"}));
  discovery_->hear_fleet(registered({"a", "b", "c"}));
  EXPECT_EQ(used(), (Names{"a", "b", "c"}));
  EXPECT_EQ(pool().missing(), 0U);
}

TEST_F(LeasesTest, ThatEndFarApartAreBelieved) {
  discovery_->hear_fleet(registered({"a", "b"}));
  passes(31s);
  discovery_->hear_fleet(registered({"a"}));
  EXPECT_EQ(used(), Names{"a"});
}

TEST_F(LeasesTest, WhoLeavesDoesSoBesideAKeyThatIsWrong) {
  const PoolDocuments wrong{{"mta", PoolMembers{.leaving = {"b"}, .fault = "/k/mta/c: is no JSON object"}}};
  discovery_->hear_fleet(wrong);
  EXPECT_EQ(used(), (Names{"a", "c"}));
  EXPECT_EQ(pool().missing(), 0U);
  EXPECT_EQ(pool().fault, "/k/mta/c: is no JSON object");
  discovery_->hear_fleet(registered({"a", "c"}));
  EXPECT_EQ(pool().fault, "");
}

TEST_F(LeasesTest, RestartedAllAtOnceLeaveThePoolAsItIs) {
  discovery_->hear_fleet(registered({}, {"a", "b", "c"}));
  EXPECT_EQ(used(), (Names{"a", "b", "c"}));
  discovery_->hear_fleet(registered({}, {"b"}));
  discovery_->hear_fleet(PoolDocuments{});
  EXPECT_EQ(used(), (Names{"a", "b", "c"}));
  discovery_->hear_fleet(registered({"a", "b", "c"}));
  EXPECT_EQ(pool().missing(), 0U);
}

TEST_F(LeasesTest, LostInTheFutureAreNotLostAtOnceWithOthers) {
  discovery_->hear_fleet(registered({"a", "b"}));
  passes(-1h);  // a clock that was wrong
  discovery_->hear_fleet(registered({"a"}));
  EXPECT_EQ(used(), Names{"a"});
}

TEST_F(LeasesTest, WhatWasAcceptedDoesNotCountAgainstOthers) {
  discovery_->hear_fleet(registered({"a", "b"}));
  discovery_->hear_fleet(registered({"a"}));
  ASSERT_TRUE(discovery_->accept("mta"));
  EXPECT_EQ(used(), Names{"a"});
  discovery_->hear_fleet(registered({"a", "b"}));
  discovery_->hear_fleet(registered({"a"}));
  EXPECT_EQ(used(), Names{"a"}) << "one of two";
}

TEST_F(LeasesTest, OfThoseWhoSayThatTheyLeaveDoNotCount) {
  discovery_->hear_fleet(registered({"a", "b"}, {"c"}));
  discovery_->hear_fleet(registered({"a"}, {"b", "c"}));
  EXPECT_EQ(used(), Names{"a"});
  discovery_->hear_fleet(registered({"a"}));
  EXPECT_EQ(pool().missing(), 0U);
  discovery_->hear_fleet(registered({}, {"a"}));
  EXPECT_EQ(used(), Names{"a"}) << "nobody else would be left";
  EXPECT_EQ(pool().missing(), 1U);
  discovery_->hear_fleet(registered({"a", "b", "c"}));
  discovery_->hear_fleet(registered({"a", "b"}));
  EXPECT_EQ(used(), (Names{"a", "b"}));
}

TEST_F(DiscoveryTest, AReloadFindsWhoHadRegisteredBefore) {
  tell({"x"});
  start();
  discovery_->hear_fleet(registered({"a", "b"}));
  EXPECT_EQ(used(), (Names{"own", "x"})) << "of no pool that asks for it";
  config_.pools.front().discover = config::Discover{.etcd = true};
  DiscoveredPools known = discovery_->known_for(config_.pools);
  EXPECT_EQ(names_of(known.at("mta").found), (Names{"a", "b"})) << "at once";
}

TEST_F(DiscoveryTest, TakesWhatTheFileSaysAndFollowsIt) {
  tell({"a", "b"});
  start();
  EXPECT_EQ(used(), (Names{"own", "a", "b"}));
  EXPECT_EQ(used_.pools[0].backends[1].origin, config::Origin::kDiscovered);
  tell({"b", "c"});
  discovery_->tick();
  EXPECT_EQ(used(), (Names{"own", "b", "c"}));
  EXPECT_EQ(events("1 joined: c; 1 changed: b; 1 left: a"), 1U);
  discovery_->tick();
  EXPECT_EQ(events("joined"), 1U) << "a file that is the same is not told of";
}

TEST_F(DiscoveryTest, ASourceWithAFaultChangesNothing) {
  tell({"a", "b"});
  start();
  for (const char* text :
       {"", "{", R"({"backends": [{"name": "a"}]})",
        R"({"backends": [{"name": "a", "address": "10.0.2.1"}, {"name": "a", "address": "10.0.2.2"}]})"}) {
    write(text);
    discovery_->tick();
    discovery_->tick();
    EXPECT_EQ(used(), (Names{"own", "a", "b"})) << text;
    EXPECT_FALSE(pool().fault.empty()) << text;
  }
  EXPECT_EQ(events("refused, the 2 backends of before stay"), 4U) << "each fault once";
  std::filesystem::remove(directory_.file("mta.json"));
  discovery_->tick();
  discovery_->tick();
  EXPECT_EQ(used(), (Names{"own", "a", "b"}));
  EXPECT_EQ(events("No such file"), 1U);
  tell({"a", "b", "c"});
  discovery_->tick();
  EXPECT_EQ(used(), (Names{"own", "a", "b", "c"}));
  EXPECT_EQ(pool().fault, "");
}

TEST_F(DiscoveryTest, TheFileThatIsConfiguredHasTheLastWord) {
  write(R"({"backends": [{"name": "own", "address": "10.0.2.1"}, {"name": "other", "address": "10.0.1.10"},
                         {"name": "c", "address": "10.0.2.3"}]})");
  start();
  EXPECT_EQ(used(), (Names{"own", "c"})) << "neither its name nor its endpoint is anybody else's";
  EXPECT_EQ(used_.pools[0].backends[0].address, *config::IpAddress::parse("10.0.1.10"));
}

TEST_F(DiscoveryTest, WhatVanishesAtOnceStaysUntilItIsAccepted) {
  tell({"a", "b", "c", "d"});
  start();
  tell({"a"});
  discovery_->tick();
  EXPECT_EQ(used(), (Names{"own", "a", "b", "c", "d"}));
  EXPECT_EQ(pool().missing(), 3U);
  EXPECT_EQ(events("3 vanished at once"), 1U);
  ASSERT_TRUE(discovery_->accept("mta"));
  EXPECT_EQ(used(), (Names{"own", "a"}));
  EXPECT_FALSE(discovery_->accept("mta")) << "nothing is missing any more";
  EXPECT_FALSE(discovery_->accept("nowhere"));
}

TEST_F(DiscoveryTest, IsKnownToTheNextProcessThatFindsNoSource) {
  tell({"a", "b", "c", "d"});
  start();
  tell({"a"});
  discovery_->tick();
  ASSERT_TRUE(discovery_->add("mta", R"({"name": "hand", "address": "10.0.3.1", "weight": 7})"));
  std::filesystem::remove(directory_.file("mta.json"));
  begin();
  start();
  EXPECT_EQ(used(), (Names{"own", "hand", "a", "b", "c", "d"}));
  EXPECT_EQ(used_.pools[0].backends[1].weight, 7U);
  EXPECT_EQ(used_.pools[0].backends[1].origin, config::Origin::kByHand);
  EXPECT_EQ(pool().missing(), 3U);
  EXPECT_FALSE(pool().fault.empty());
}

TEST_F(DiscoveryTest, AFileThatWasCutWhileNobodyLookedIsNotBelievedEither) {
  tell({"a", "b", "c", "d"});
  start();
  tell({"a"});
  begin();
  start();
  EXPECT_EQ(used(), (Names{"own", "a", "b", "c", "d"}));
  EXPECT_EQ(events("3 vanished at once"), 1U) << "and it is told";
}

TEST_F(DiscoveryTest, StateThatMakesNoSenseIsSetAside) {
  tell({"a"});
  start();
  for (
      const char* text :
      {"{", R"({"version": 2, "pools": {}})", R"({"version": 1, "pools": {"mta": {}}})",
       R"({"version": 1, "pools": {"mta": {"found": [{}], "missing": [], "by_hand": []}}})",
       R"({"version": 1, "pools": {"mta": {"found": [], "missing": ["x"], "by_hand": []}}})",
       R"({"version": 1, "pools": {"mta": {"found": [], "missing": [], "by_hand": [], "lost": {"x": "y"}}}})",
       R"({"version": 1, "pools": {"mta": {"found": [], "missing": [], "by_hand": [], "lost": {"x": 9223372036854775807}}}})"}) {
    directory_.write("state/backends.json", text);
    begin();
    start();
    EXPECT_EQ(used(), (Names{"own", "a"})) << text;
  }
}

TEST_F(DiscoveryTest, WhatCannotBeGoneOverToIsNotKnown) {
  tell({"a"});
  start();
  refuses_ = "no room";
  tell({"a", "b"});
  discovery_->tick();
  EXPECT_EQ(names_of(pool().found), Names{"a"});
  EXPECT_EQ(pool().fault, "no room");
  const auto added = discovery_->add("mta", R"({"name": "hand", "address": "10.0.3.1"})");
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error(), "no room");
  EXPECT_TRUE(pool().by_hand.empty());
}

TEST_F(DiscoveryTest, ByHandIsAddedOnceAndTakenBack) {
  tell({"a"});
  start();
  EXPECT_FALSE(discovery_->add("nowhere", R"({"name": "x", "address": "10.0.3.1"})"));
  EXPECT_FALSE(discovery_->add("mta", R"({"name": "own", "address": "10.0.3.1"})"));
  EXPECT_FALSE(discovery_->add("mta", R"({"name": "a", "address": "10.0.3.1"})"));
  EXPECT_FALSE(discovery_->add("mta", R"({"name": "x", "address": "10.0.1.10"})")) << "own's address";
  EXPECT_FALSE(discovery_->add("mta", R"({"name": "x", "address": "10.0.2.1"})")) << "a's address";
  EXPECT_FALSE(discovery_->add("mta", R"({"name": "x", "address": "nowhere"})"));
  EXPECT_FALSE(discovery_->add("mta", R"({"name": "x", "address": "10.0.3.1"}, {"name": "y", "address": "10.0.3.2"})"));
  EXPECT_FALSE(discovery_->add("mta", ""));
  ASSERT_TRUE(discovery_->add("mta", R"({"name": "x", "address": "10.0.3.1"})"));
  EXPECT_FALSE(discovery_->add("mta", R"({"name": "x", "address": "10.0.3.1"})"));
  EXPECT_EQ(used(), (Names{"own", "x", "a"}));
  EXPECT_EQ(events("added by hand: x"), 1U);
  EXPECT_FALSE(discovery_->remove("mta", "a")) << "that is the source's";
  ASSERT_TRUE(discovery_->remove("mta", "x"));
  EXPECT_EQ(used(), (Names{"own", "a"}));
}

TEST_F(DiscoveryTest, AReloadReadsASourceThatIsNewBeforeAnythingChanges) {
  tell({"a", "b"});
  start();
  config_.pools[0].discover->file = directory_.file("elsewhere.json");
  EXPECT_EQ(names_of(discovery_->known_for(config_.pools).at("mta").found), (Names{"a", "b"}))
      << "not there: what was stays";
  directory_.write("elsewhere.json",
                   R"({"backends": [{"name": "b", "address": "10.0.2.2"}, {"name": "z", "address": "10.0.2.9"}]})");
  const DiscoveredPools next = discovery_->known_for(config_.pools);
  EXPECT_EQ(names_of(next.at("mta").found), (Names{"b", "z"}));
  EXPECT_EQ(names_of(pool().found), (Names{"a", "b"})) << "it was only asked";
  discovery_->follow(next);
  EXPECT_EQ(names_of(pool().found), (Names{"b", "z"}));
  config_.pools[0].discover.reset();
  discovery_->follow(discovery_->known_for(config_.pools));
  EXPECT_TRUE(pool().found.empty());
}

TEST_F(DiscoveryTest, APoolThatGoesTakesWhatWasAddedWithIt) {
  start();
  ASSERT_TRUE(discovery_->add("mta", R"({"name": "x", "address": "10.0.3.1"})"));
  config_.pools.clear();
  discovery_->follow(discovery_->known_for(config_.pools));
  EXPECT_TRUE(discovery_->pools().empty());
  EXPECT_EQ(events("with it what was added to it by hand"), 1U);
}

TEST_F(DiscoveryTest, WritesNothingDownForThoseWhoDiscoverNothing) {
  config_.pools[0].discover.reset();
  start();
  discovery_->follow(discovery_->known_for(config_.pools));
  EXPECT_FALSE(std::filesystem::exists(directory_.file("state/backends.json")));
}

}  // namespace
}  // namespace sluice::control

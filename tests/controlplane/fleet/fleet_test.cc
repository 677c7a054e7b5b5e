// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/fleet.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tests/controlplane/support/etcd_stub.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

constexpr const char* kKinds[] = {"/s/backends/", "/s/blocks/", "/s/wishes/"};
constexpr const char* kNode = "/s/nodes/edge1";

class FleetTest : public testing::Test {
 protected:
  FleetTest() {
    member_.put("/s/wishes/mta/mta1", to_text(Wish{.entry = {.admin = Admin::kDraining}}));
    member_.put("/s/blocks/192.0.2.0/24", to_text(FleetBlock{{now_, {}}, "edge1", "root"}));
  }

  /// Control is started, or once more.
  void start() {
    fleet_.reset();
    backends_.reset();
    wishes_.reset();
    blocks_.reset();
    for (const char* kind : kKinds) watches_before_[kind] = member_.asked("/v3/watch", kind);
    fleet_ = std::make_unique<Fleet>(io_, journal_, directory_.path(), hooks());
    config::Etcd etcd{.prefix = "/s"};
    for (const EtcdStub* each : {&member_, &other_}) etcd.endpoints.push_back(each->endpoint());
    fleet_->start({.node = "edge1", .etcd = etcd});
  }

  Fleet::Hooks hooks() {
    return {.on_backends = [this](const auto& told) { backends_ = told; },
            .on_wishes = [this](Wishes wishes) { wishes_ = std::move(wishes); },
            .on_blocks = [this](FleetBlocksHeard heard) { blocks_ = std::move(heard); },
            .report = [] { return NodeReport{.node = "edge1"}; }};
  }

  void run_until(const std::function<bool()>& condition, const char* what) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << what;
      io_.restart();
      io_.run_for(std::chrono::milliseconds(5));
    }
  }
  void run_until_all_is_heard() {
    run_until([this] { return backends_ && *backends_ && wishes_ && blocks_; }, "all is heard");
  }
  /// Until a listing of each kind of key was heard, or not: a watch begins behind the first.
  void run_until_all_is_judged() {
    for (const char* kind : kKinds)
      run_until([&] { return member_.asked("/v3/watch", kind) > watches_before_[kind]; }, kind);
  }
  bool is_refused_as_set_back() const {
    return fleet_->fault().starts_with("etcd was set back: it was at revision 10");
  }

  /// On all nodes, from here.
  void take_the_wish_back() {
    std::optional<std::string> told;
    fleet_->change({{"mta/mta1", wishes_->at("mta/mta1").revision, std::nullopt}},
                   [&](const std::string& fault) { told = fault; });
    run_until([&] { return told.has_value(); }, "it is made");
    EXPECT_EQ(told, "");
    EXPECT_TRUE(wishes_->empty());
  }

  /// A store of the same cluster in which none of that is.
  void set_back() {
    member_.records.clear();
    member_.revision = 3;
  }

  StateDirectory directory_;
  SystemTime now_{std::chrono::hours(1000)};
  Journal journal_{[this] { return now_; }};
  boost::asio::io_context io_;
  EtcdStub member_{io_}, other_{io_};
  std::optional<std::expected<PoolDocuments, std::string>> backends_;
  std::optional<Wishes> wishes_;
  std::optional<FleetBlocksHeard> blocks_;
  std::map<std::string, int> watches_before_;
  std::unique_ptr<Fleet> fleet_;
};

TEST_F(FleetTest, HearsWhatIsSaidForAllNodes) {
  start();
  run_until_all_is_heard();
  EXPECT_EQ(wishes_->at("mta/mta1").entry.admin, Admin::kDraining);
  EXPECT_EQ(blocks_->entries.size(), 1);
  EXPECT_EQ(fleet_->fault(), "");
}

TEST_F(FleetTest, HearsNothingOfAStoreThatWasSetBackWhicheverAnswerComesFirst) {
  start();
  run_until_all_is_heard();
  set_back();
  const std::string kept = directory_.read("etcd.json");
  for (const std::string first : kKinds) {
    SCOPED_TRACE(first);
    directory_.write("etcd.json", kept);
    for (const char* kind : kKinds) member_.late.emplace(kind);
    member_.late.erase(first);
    member_.on_list = [&](const std::string& prefix) {
      if (prefix == first) member_.late.clear();
    };
    start();
    run_until_all_is_judged();
    EXPECT_TRUE(backends_ && !*backends_);
    EXPECT_FALSE(wishes_);
    EXPECT_FALSE(blocks_);
    EXPECT_TRUE(is_refused_as_set_back()) << fleet_->fault();
  }
}

TEST_F(FleetTest, KeepsRefusingAStoreThatHasGrownPastTheFormerOneUntilItIsAccepted) {
  start();
  run_until_all_is_heard();
  set_back();
  start();
  run_until([this] { return is_refused_as_set_back(); }, "it is told");
  member_.revision = 5000;
  start();
  run_until_all_is_judged();
  EXPECT_TRUE(is_refused_as_set_back()) << "by the next process, too";
  EXPECT_FALSE(wishes_);
  EXPECT_FALSE(blocks_);
  EXPECT_TRUE(fleet_->accept());
  run_until([this] { return fleet_->fault().empty() && wishes_ && blocks_; }, "it is believed");
  EXPECT_TRUE(wishes_->empty()) << "who accepts a store accepts what it says";
  EXPECT_TRUE(blocks_->entries.empty());
}

TEST_F(FleetTest, SaysNothingForAllNodesBeforeEtcdHasAnswered) {
  member_.late.emplace("/s/wishes/");
  start();
  std::optional<std::string> told;
  fleet_->change({{"mta/mta1", 101, std::nullopt}}, [&](const std::string& fault) { told = fault; });
  EXPECT_EQ(told, "etcd has not answered yet: say it again");
}

TEST_F(FleetTest, KeepsItsKeyWhileEtcdIsFullAndTellsOfIt) {
  start();
  run_until([this] { return member_.records.contains(kNode); }, "the node is there");
  const etcd::Record before = member_.records.at(kNode);
  member_.is_full = true;
  run_until([this] { return !fleet_->write_fault().empty(); }, "it is told");
  EXPECT_EQ(fleet_->write_fault(),
            "etcd refused: " + member_.endpoint() + ": etcdserver: mvcc: database space exceeded");
  const int renewed = member_.asked("/v3/lease/keepalive");
  run_until([&] { return member_.asked("/v3/lease/keepalive") > renewed; }, "the lease is renewed all the same");
  EXPECT_EQ(fleet_->fault(), "") << "what is there is read as before";
  member_.is_full = false;
  run_until([this] { return fleet_->write_fault().empty(); }, "it takes what is written again");
  EXPECT_EQ(member_.records.at(kNode).lease, before.lease);
  EXPECT_EQ(member_.asked("/v3/lease/grant"), 1);
}

TEST_F(FleetTest, AsksForChangesWhereItWasAnsweredLast) {
  other_.put("/s/wishes/mta/mta1", to_text(Wish{.entry = {.admin = Admin::kDraining}}));
  member_.is_away = true;
  start();
  run_until_all_is_heard();
  take_the_wish_back();
  EXPECT_EQ(member_.asked("/v3/kv/txn"), 0);
}

TEST_F(FleetTest, AnOlderListingThatIsHeardLaterTakesNothingBack) {
  start();
  run_until_all_is_heard();
  member_.held = "/s/wishes/";
  run_until([this] { return member_.held.empty(); }, "it is listed as it is");
  take_the_wish_back();
  wishes_.reset();
  member_.late.emplace("/s/wishes/");
  const int asked = member_.asked("/v3/kv/range", "/s/wishes/");
  member_.is_released = true;
  run_until([&] { return member_.asked("/v3/kv/range", "/s/wishes/") > asked; }, "the older one has come");
  EXPECT_FALSE(wishes_) << "it is not heard";
  EXPECT_EQ(fleet_->fault(), "") << "and is no fault";
}

TEST_F(FleetTest, WatchesWhereItIsAnswered) {
  other_.revision = member_.revision + 1000;
  start();
  run_until([this] { return member_.asked("/v3/watch", "/s/wishes/") == 1; }, "it watches");
  member_.is_away = true;  // and its watch hangs
  run_until([this] { return other_.asked("/v3/watch", "/s/wishes/") == 1; }, "it watches the other");
}

}  // namespace
}  // namespace sluice::control

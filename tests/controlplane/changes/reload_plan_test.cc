// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/reload_plan.h"

#include <gtest/gtest.h>

#include "controlplane/changes/config_differences.h"
#include "tests/controlplane/support/model_fixture.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

using What = ReloadPlan::What;

class ReloadPlanTest : public ModelTest {
 protected:
  ReloadPlanTest() {
    config_.services[0].table_size = 10007;
    running_ = config_;
    model_ = model();
    bring_up(model_);
  }

  /// From what runs to `config_`.
  ReloadPlan plan() {
    return plan_reload(running_, config_, model_,
                       {[this](const Member& member) { return count("backend " + member.label()); },
                        [this](const ServiceState& service) { return count("service " + service.config.name); }},
                       now_);
  }
  std::optional<uint64_t> count(const std::string& what) const {
    const auto known = flows_.find(what);
    return known == flows_.end() ? std::optional<uint64_t>(0) : known->second;
  }
  static std::string words(const ReloadPlan& plan) {
    std::string out;
    for (const auto& change : plan.changes) {
      out += (change.what == What::kAdded     ? "+ "
              : change.what == What::kRemoved ? "- "
                                              : "~ ") +
             change.kind + " " + change.name + (change.text.empty() ? "" : ": " + change.text) + "\n";
    }
    return out;
  }
  static double after(const ReloadPlan& plan, const std::string& backend) {
    for (const auto& share : plan.shares) {
      if (share.backend == backend) return share.after;
    }
    return -1;
  }

  config::Config running_;
  Model model_ = model();
  std::map<std::string, std::optional<uint64_t>> flows_;
};

TEST_F(ReloadPlanTest, IsEmptyForTheSameFile) {
  const ReloadPlan plan = this->plan();
  EXPECT_TRUE(plan.is_empty());
  EXPECT_TRUE(plan.shares.empty());
  EXPECT_TRUE(plan.cuts.empty());
  EXPECT_EQ(plan.summary(), "nothing has changed");
}

TEST_F(ReloadPlanTest, ShowsTheSharesOfNewConnectionsByTheTables) {
  config_.pools[0].backends[0].weight = 200;
  const ReloadPlan plan = this->plan();
  EXPECT_EQ(words(plan), "~ backend mta/mta1: weight 100 -> 200\n");
  ASSERT_EQ(plan.shares.size(), 3u);
  EXPECT_NEAR(plan.shares[0].before, 1 / 3.0, 0.001);
  EXPECT_NEAR(after(plan, "mta/mta1:25"), 0.5, 0.001);
  EXPECT_NEAR(after(plan, "mta/mta2:25"), 0.25, 0.001);
  EXPECT_TRUE(plan.cuts.empty());
  EXPECT_EQ(plan.flows_cut, 0u);
}

TEST_F(ReloadPlanTest, TakesABackendThatIsNewAsGoodAndOneThatIsDownAsDown) {
  model_.set_health(1, Health::kDown, "dead");
  model_.refresh();
  config_.pools[0].backends.push_back({.name = "mta4", .address = ip("10.0.1.4")});
  const ReloadPlan plan = this->plan();
  EXPECT_EQ(words(plan), "+ backend mta/mta4\n");
  EXPECT_NEAR(after(plan, "mta/mta4:25"), 1 / 3.0, 0.001);
  EXPECT_EQ(after(plan, "mta/mta2:25"), -1) << "had nothing, and gets nothing";
}

TEST_F(ReloadPlanTest, ReckonsWithTheWarmUpOfABackendThatIsNew) {
  config::Backend fresh{.name = "mta4", .address = ip("10.0.1.4")};
  fresh.warm_up = config::WarmUp{.start = std::chrono::floor<std::chrono::days>(now_), .from = 0.1, .table = {}};
  config_.pools[0].backends.push_back(fresh);
  EXPECT_NEAR(after(plan(), "mta/mta4:25"), 0.1 / 3.1, 0.001);
}

TEST_F(ReloadPlanTest, CountsTheFlowsOfWhatIsRemovedAndDrains) {
  flows_ = {{"backend mta/mta2:25", 17}, {"backend mta/mta3:25", 4}};
  config_.pools[0].backends.erase(config_.pools[0].backends.begin() + 1);
  config_.pools[0].removal_deadline = std::chrono::seconds(90);
  const ReloadPlan plan = this->plan();
  EXPECT_TRUE(plan.cuts.empty());
  EXPECT_EQ(plan.flows_cut, 0u);
  ASSERT_EQ(plan.drains.size(), 1u);
  EXPECT_EQ(plan.drains[0].what, "backend mta/mta2:25");
  EXPECT_EQ(plan.drains[0].flows, 17u);
  EXPECT_EQ(plan.drains[0].deadline_s, 90u);
  EXPECT_EQ(plan.summary(), "2 changes; 17 open flows of what is removed go on");
}

TEST_F(ReloadPlanTest, ARenamedPoolGoesOnWithItsFlowsAndItsShares) {
  flows_ = {{"backend mta/mta2:25", 17}};
  config_.pools[0].name = "mx";
  config_.services[0].pool = "mx";
  config_.services[0].name = "mail";
  const ReloadPlan plan = this->plan();
  EXPECT_TRUE(plan.cuts.empty() && plan.drains.empty());
  ASSERT_EQ(plan.moves.size(), 4u);
  EXPECT_EQ(plan.moves[0].from + " -> " + plan.moves[0].to, "service relay -> service mail");
  EXPECT_EQ(plan.moves[1].from + " -> " + plan.moves[1].to, "backend mta/mta1:25 -> backend mx/mta1:25");
  EXPECT_TRUE(plan.shares.empty());
}

TEST_F(ReloadPlanTest, AnotherOrderOfServicesChangesNothing) {
  add_service("partner", 25, "submission");
  config_.services[1].vip = ip("192.0.2.26");
  running_ = config_;
  model_ = model();
  bring_up(model_);
  std::ranges::reverse(config_.services);
  EXPECT_TRUE(plan().is_empty());
  config_.services.pop_back();  // and without the first
  flows_ = {{"service relay", 5}, {"backend mta/mta1:25", 5}, {"backend mta/mta1:25 (submission)", 7}};
  const ReloadPlan plan = this->plan();
  EXPECT_TRUE(plan.cuts.empty() && plan.moves.empty());
  ASSERT_EQ(plan.drains.size(), 1u) << "its backends' flows are its own";
  EXPECT_EQ(plan.drains[0].what, "service relay");
  EXPECT_EQ(plan.flows_draining, 5u);
}

TEST_F(ReloadPlanTest, IsNotEmptyWhereFlowsAreCut) {
  ReloadPlan plan;
  plan.cuts.push_back({"backend mta/mta1:25", 3});
  EXPECT_FALSE(plan.is_empty());
}

TEST_F(ReloadPlanTest, CountsTheFlowsOfWhatIsRemovedWhereThatCuts) {
  config_.pools[0].on_removal = config::OnRemoval::kReset;
  running_ = config_;
  flows_ = {{"backend mta/mta2:25", 17}, {"backend mta/mta3:25", 4}};
  config_.pools[0].backends.erase(config_.pools[0].backends.begin() + 1);
  config_.pools[0].backends[1].address = ip("10.0.1.33");
  const ReloadPlan plan = this->plan();
  EXPECT_EQ(words(plan), "~ backend mta/mta3: address 10.0.1.3 -> 10.0.1.33\n- backend mta/mta2\n");
  ASSERT_EQ(plan.cuts.size(), 2u);
  EXPECT_EQ(plan.cuts[0].what, "backend mta/mta2:25");
  EXPECT_EQ(plan.flows_cut, 21u);
  EXPECT_EQ(plan.summary(), "2 changes; 21 open flows cut");
}

TEST_F(ReloadPlanTest, CountsAFlowOfARemovedServiceOnce) {
  config_.pools[0].on_removal = config::OnRemoval::kReset;
  add_service("submission", 587, "");
  running_ = config_;
  model_ = model();
  bring_up(model_);
  flows_ = {{"service submission", 8}, {"backend mta/mta1:587", 3}, {"backend mta/mta2:587", 5}};
  config_.services.pop_back();
  const ReloadPlan plan = this->plan();
  EXPECT_EQ(words(plan), "- service submission\n");
  EXPECT_EQ(plan.flows_cut, 8u);
  flows_["service submission"] = std::nullopt;
  EXPECT_EQ(this->plan().flows_cut, std::nullopt);
  EXPECT_EQ(this->plan().summary(), "1 change; the flows of what is removed cut");
}

TEST_F(ReloadPlanTest, NamesWhatWaitsForARestart) {
  config_.dataplane.workers = 4;
  config_.dataplane.memory_mb = 4096;
  config_.dataplane.timers.established = 9000;
  config_.control.http = "127.0.0.1:9999";
  config_.fleet.node = "edge2";
  const ReloadPlan plan = this->plan();
  EXPECT_TRUE(plan.changes.empty());
  EXPECT_EQ(plan.dataplane_restart,
            (std::vector<std::string>{"dataplane.workers", "dataplane.memory_mb", "dataplane.timers", "fleet"}));
  EXPECT_EQ(plan.control_restart, (std::vector<std::string>{"control.http"}));
  EXPECT_EQ(
      plan.summary(),
      "0 changes; dataplane.workers, dataplane.memory_mb, dataplane.timers, fleet left until the data plane restarts; "
      "control.http left until control restarts");
  config_.pools[0].backends[0].weight = 5;
  const config::Config kept = without_restart(running_, config_);
  EXPECT_EQ(StartSettings::of(kept), StartSettings::of(running_));
  EXPECT_EQ(kept.control.http, running_.control.http);
  EXPECT_EQ(kept.pools[0].backends[0].weight, 5u);
}

TEST_F(ReloadPlanTest, NamesEveryKindOfChange) {
  config_.checks[0].type = config::CheckType::kBanner;
  config_.checks[1].interval = std::chrono::seconds(9);
  config_.checks.push_back({.name = "new"});
  config_.pools[0].min_healthy = 2;
  config_.pools[0].backends[0].warm_up.emplace();
  config_.services[0].scheduler = config::Scheduler::kWrr;
  config_.services[0].check = "submission";
  config_.control.log_level = config::LogLevel::kDebug;
  EXPECT_EQ(words(plan()),
            "~ control log: level info -> debug\n"
            "~ check relay: type tcp -> banner\n"
            "~ check submission: other settings changed\n"
            "+ check new\n"
            "~ pool mta: min_healthy 0 -> 2\n"
            "~ backend mta/mta1: warm_up changed\n"
            "~ service relay: check \"\" -> submission, scheduler maglev -> wrr\n");
}

}  // namespace
}  // namespace sluice::control

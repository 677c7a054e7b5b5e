// SPDX-License-Identifier: Apache-2.0
//
// Control as a whole: reloads, and what outlives it.
//
// SLUICE_RELOADS sets how many reloads the test of memory does (10000 for the whole one: some minutes).
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <set>

#include "tests/controlplane/support/controller_fixture.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

TEST_F(ControllerTest, AReloadLeavesBackendsThatStayUntouched) {
  write({.backends = 3});
  start();
  const auto before = ids();
  ASSERT_EQ(table(), (std::set<uint16_t>{before.at("m0"), before.at("m1"), before.at("m2")}));
  for (uint32_t w = 0; w < kWorkers; w++) dataplane_->worker(w).named_backends.clear();
  write({.backends = 3, .first = 1, .first_weight = 50});
  const Reloaded plan = controller_->reload();
  ASSERT_TRUE(plan) << plan.error().front();
  EXPECT_EQ(plan->summary(), "3 changes; 0 open flows of what is removed go on");
  settle();
  const auto after = ids();
  EXPECT_EQ(after.at("m1"), before.at("m1"));
  EXPECT_EQ(after.at("m2"), before.at("m2"));
  for (uint32_t w = 0; w < kWorkers; w++) {
    auto& worker = dataplane_->worker(w);
    EXPECT_EQ(worker.backends.at(before.at("m0")).weight, 0) << "it drains";
    EXPECT_EQ(worker.backends.at(after.at("m1")).weight, 50);
    EXPECT_EQ(worker.named_backends.count(after.at("m2")), 0u) << "nothing was said of what has not changed";
    EXPECT_EQ(worker.backends.at(after.at("m3")).flags, channel::kBackendReachable);
  }
  EXPECT_EQ(table(), (std::set<uint16_t>{after.at("m1"), after.at("m2"), after.at("m3")})) << "all in one aim";
}

TEST_F(ControllerTest, AFaultyFileChangesNothing) {
  write({.backends = 3});
  start();
  const auto before = ids();
  const auto put = dataplane_->worker(0).services.at(0).table_generation;
  write({.backends = 2, .more = "pols = 1; dataplane = 2;"});
  const Reloaded refused = controller_->reload();
  ASSERT_FALSE(refused);
  EXPECT_GE(refused.error().size(), 2u) << "all faults, not only the first";
  settle();
  EXPECT_EQ(ids(), before);
  EXPECT_EQ(dataplane_->worker(0).services.at(0).table_generation, put);
  // Sound in itself, but no check can be run by it.
  write({.backends = 2, .more = "checks2 = 1;"});
  EXPECT_FALSE(controller_->reload());
  std::filesystem::remove(directory_.file("test.cfg"));
  ASSERT_FALSE(controller_->reload());
  EXPECT_EQ(controller_->model().members().size(), 3u);
  write({.backends = 2});
  EXPECT_TRUE(controller_->reload());
  settle();
  EXPECT_EQ(ids().size(), 2u);
}

TEST_F(ControllerTest, AReloadTellsEachWarningOnce) {
  write({.backends = 1});
  start();
  EXPECT_FALSE(journal_says("warning: "));
  const auto warnings = [&] {
    const std::string events = directory_.read("state/test/events.jsonl");
    size_t count = 0;
    for (size_t at = events.find("every weight is 0"); at != std::string::npos;
         at = events.find("every weight is 0", at + 1))
      count++;
    return count;
  };
  const auto reload = [&](uint32_t weight, const char* more) {
    write({.backends = 1, .first_weight = weight, .more = more});
    const Reloaded plan = controller_->reload();
    settle();
    EXPECT_TRUE(plan);
    std::vector<std::string> out = plan ? plan->warnings : std::vector<std::string>{};
    std::erase_if(out, [](const std::string& warning) { return warning.find("weight") == std::string::npos; });
    return out;
  };
  const std::vector<std::string> told = reload(0, "");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].starts_with(directory_.file("test.cfg") + ":6: warning: pools[0].backends: every weight is 0"))
      << told[0];
  EXPECT_TRUE(journal_says(R"(test.cfg:6: warning: pools[0].backends: every weight is 0)"));
  EXPECT_EQ(warnings(), 1u);
  EXPECT_EQ(reload(0, "\n\n").size(), 1u) << "it stands on another line, and is the same";
  EXPECT_EQ(warnings(), 1u);
  EXPECT_TRUE(reload(100, "").empty());
  EXPECT_EQ(reload(0, "").size(), 1u);
  EXPECT_EQ(warnings(), 2u) << "it had gone";
}

TEST_F(ControllerTest, AReloadSaysWhatWaitsForARestartAndLeavesIt) {
  write({.backends = 3});
  start();
  directory_.write("test.cfg",
                   std::string(directory_.read("test.cfg"))
                       .replace(directory_.read("test.cfg").find("twin = \"slb0\""), 13, "twin = \"slb9\""));
  const Reloaded plan = controller_->reload();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->dataplane_restart, std::vector<std::string>{"dataplane.ports"});
  EXPECT_TRUE(plan->changes.empty());
  settle();
  EXPECT_EQ(table().size(), 3u);
  EXPECT_EQ(controller_->reload()->dataplane_restart.size(), 1u) << "still waiting";
}

TEST_F(ControllerTest, StateOutlivesTheProcess) {
  write({.backends = 3});
  start();
  directory_.write(
      "state/test/by-hand.json",
      R"({"version": 1, "backends": {"mta/m1": {"admin": "draining", "admin_since_ms": 1, "flows_cut": 0}}})");
  controller_->stop();
  io_.poll();
  controller_.reset();
  io_.restart();
  start_control();
  EXPECT_EQ(controller_->model().members()[1].state(), "draining");
  EXPECT_EQ(table(), (std::set<uint16_t>{ids().at("m0"), ids().at("m2")}));
  EXPECT_NE(directory_.read("state/test/events.jsonl").find("stopping; packets go by the last state"),
            std::string::npos);
}

/// The least processor time of ten reloads until what they change is in use on every worker, as the machine may be busy
/// with something else.
template <typename Reload>
std::chrono::nanoseconds least_work(Reload reload) {
  auto best = std::chrono::nanoseconds::max();
  for (uint32_t i = 0; i < 10; i++) {
    const std::clock_t before = std::clock();
    reload(i);
    const std::chrono::duration<double> took(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC);
    best = std::min(best, std::chrono::duration_cast<std::chrono::nanoseconds>(took));
  }
  return best;
}

TEST_F(ControllerTest, WhatAReloadCostsGrowsAsTheBackendsDo) {
  write({.backends = 1000});
  start();
  const auto reload = [this](uint32_t backends, uint32_t weight) {
    write({.backends = backends, .first = 1, .first_weight = weight, .check = "greet"});
    ASSERT_TRUE(controller_->reload());
    settle();
  };
  reload(1000, 40);
  const auto many = least_work([&](uint32_t i) { reload(1000, 50 + i); });
  ASSERT_EQ(table().size(), 999u) << "and one that was never checked waits for its verdict";
  reload(100, 40);
  const auto few = least_work([&](uint32_t i) { reload(100, 50 + i); });
  std::printf("a reload takes %.1f ms with 1000 backends, %.1f ms with 100\n",
              std::chrono::duration<double, std::milli>(many).count(),
              std::chrono::duration<double, std::milli>(few).count());
  EXPECT_LT(many, 30 * few) << "ten times as many; were it by each other one, it would be a hundred times";
}

TEST_F(ControllerTest, ReloadsLeaveNothingBehindInMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer's allocator keeps no such figures; it finds leaks itself";
#endif
  const char* wanted = std::getenv("SLUICE_RELOADS");
  const uint32_t reloads = wanted != nullptr ? static_cast<uint32_t>(std::atoi(wanted)) : 200;
  const uint32_t backends = 1000;
  write({.backends = backends});
  start();
  size_t before = 0;
  for (uint32_t i = 0; i < reloads; i++) {
    if (i == reloads / 2) before = mallinfo2().uordblks;
    write({.backends = backends, .first = i % 2, .first_weight = 50 + i % 7, .check = "greet"});
    ASSERT_TRUE(controller_->reload());
    settle();
    ASSERT_FALSE(HasFatalFailure());
  }
  const auto grown = static_cast<int64_t>(mallinfo2().uordblks) - static_cast<int64_t>(before);
  std::printf("%u reloads: %lld bytes more in use than after half of them\n", reloads, static_cast<long long>(grown));
  // What is under way (probes, journal entries) differs by less; a model that is left behind has megabytes.
  EXPECT_LT(grown, 1'000'000);
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// A control process without the state of the one before it, or with one that is wrong: what the data plane has in use
// is all that is known, and sessions hang on it.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/controlplane/support/controller_fixture.h"

namespace sluice::control {
namespace {

class ControllerState : public ControllerTest {
 protected:
  void stop_control() {
    controller_->stop();
    io_.poll();
    controller_.reset();
    io_.restart();
  }
  /// Backend m0 leaves the file while a session of it is open.
  uint16_t remove_first() {
    write({.backends = 3});
    start();
    const uint16_t left = ids().at("m0");
    write({.backends = 2, .first = 1});
    EXPECT_TRUE(controller_->reload());
    settle();
    dataplane_->stats_of(0).backends[left].flows_now = 1;
    return left;
  }
  /// Whether the workers still send what they have there, and nothing new.
  void expect_drains(uint16_t left, uint16_t generation) {
    for (uint32_t w = 0; w < kWorkers; w++) {
      ASSERT_TRUE(dataplane_->worker(w).backends.contains(left)) << "its sessions are cut";
      const channel::PutBackend& put = dataplane_->worker(w).backends.at(left);
      EXPECT_EQ(put.generation, generation);
      EXPECT_EQ(put.flags, channel::kBackendReachable);
      EXPECT_EQ(put.weight, 0);
    }
    EXPECT_EQ(table(), (std::set<uint16_t>{ids().at("m1"), ids().at("m2")}));
  }
};

TEST_F(ControllerState, WhatDrainsGoesOnWhereTheStateIsGone) {
  const uint16_t left = remove_first();
  const uint16_t generation = dataplane_->worker(0).backends.at(left).generation;
  stop_control();
  std::filesystem::remove_all(directory_.file("state"));
  start_control();
  expect_drains(left, generation);
  EXPECT_TRUE(journal_says("no file names it"));
  stop_control();
  start_control();
  expect_drains(left, generation);
  dataplane_->stats_of(0).backends[left].flows_now = 0;
  run_until([&] { return !dataplane_->worker(0).backends.contains(left); });
}

TEST_F(ControllerState, WhatDrainsGoesOnWhereTheStateMakesNoSense) {
  const uint16_t left = remove_first();
  const uint16_t generation = dataplane_->worker(0).backends.at(left).generation;
  stop_control();
  directory_.write("state/test/standing.json", "{ \"version\": 1, \"backends\"");
  start_control();
  expect_drains(left, generation);
}

TEST_F(ControllerState, WhatDrainsGoesOnWhereTheStateIsOfAnEarlierDay) {
  write({.backends = 2, .first = 1});
  start();
  const std::string earlier = directory_.read("state/test/standing.json");
  stop_control();
  dataplane_.reset();
  const uint16_t left = remove_first();
  const uint16_t generation = dataplane_->worker(0).backends.at(left).generation;
  stop_control();
  directory_.write("state/test/standing.json", earlier);
  start_control();
  expect_drains(left, generation);
}

TEST_F(ControllerState, WhatCannotBeKeptIsNotLeftAsItWas) {
  const uint16_t left = remove_first();
  const uint16_t generation = dataplane_->worker(0).backends.at(left).generation;
  const std::string state = directory_.file("state/test/standing.json");
  ASSERT_TRUE(std::filesystem::exists(state));
  std::filesystem::create_directories(state + ".new");  // it is written there first
  write({.backends = 3});
  ASSERT_TRUE(controller_->reload());
  settle();
  EXPECT_FALSE(std::filesystem::exists(state)) << "m0 is not what it says";
  stop_control();
  write({.backends = 2, .first = 1});
  start_control();
  expect_drains(left, generation);
  EXPECT_TRUE(journal_says("no file names it"));
}

TEST_F(ControllerState, WhatWasRenamedKeepsItsSessionsWhereTheStateIsGone) {
  write({.backends = 3});
  start();
  const auto before = ids();
  stop_control();
  std::filesystem::remove_all(directory_.file("state"));
  std::string text = directory_.read("test.cfg");
  for (const auto& [old, now] : {std::pair<std::string, std::string>("\"m0\"", "\"first\""), {"\"mta\"", "\"mx\""}}) {
    for (size_t at = text.find(old); at != std::string::npos; at = text.find(old, at + now.size()))
      text.replace(at, old.size(), now);
  }
  directory_.write("test.cfg", text);
  start_control();
  EXPECT_EQ(ids().at("first"), before.at("m0"));
  EXPECT_EQ(ids().at("m1"), before.at("m1"));
  EXPECT_EQ(dataplane_->worker(0).backends.size(), 3u);
}

TEST_F(ControllerState, WhatThePoolCutsStaysCut) {
  write({.backends = 3});
  start();
  const uint16_t left = ids().at("m0");
  stop_control();
  write({.backends = 2, .first = 1});
  std::string text = directory_.read("test.cfg");
  const std::string pool = "name = \"mta\";";
  text.replace(text.find(pool), pool.size(), pool + " on_removal = \"reset\";");
  directory_.write("test.cfg", text);
  start_control();
  EXPECT_FALSE(dataplane_->worker(0).backends.contains(left)) << "its state tells that it was meant to go";
}

}  // namespace
}  // namespace sluice::control

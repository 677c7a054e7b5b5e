// SPDX-License-Identifier: Apache-2.0
#include "controlplane/announce/node_drain.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using Phase = NodeDrain::Phase;

class NodeDrainTest : public testing::Test {
 protected:
  NodeDrainTest() { restart(); }

  void restart() {
    node_ = std::make_unique<NodeDrain>(journal_, directory_.path());
    node_->restore();
  }
  Phase after(std::chrono::seconds time, NodeDrain::Flows flows) {
    now_ += time;
    node_->tick(flows);
    return node_->phase();
  }

  StateDirectory directory_;
  SystemTime now_{std::chrono::seconds(1'800'000'000)};
  Journal journal_{[this] { return now_; }};
  std::unique_ptr<NodeDrain> node_;
};

TEST_F(NodeDrainTest, GoesOnUntilNewSessionsHaveCeasedAndUntilNoneIsOpen) {
  EXPECT_EQ(after(1s, {100, 7}), Phase::kServing);
  ASSERT_EQ(node_->drain(std::nullopt), "");
  EXPECT_EQ(node_->phase(), Phase::kDraining);
  EXPECT_EQ(after(4s, {104, 9}), Phase::kDraining);
  EXPECT_EQ(after(4s, {104, 9}), Phase::kDraining) << "the last new session was 4 s ago";
  EXPECT_EQ(after(1s, {104, 9}), Phase::kQuiet);
  EXPECT_EQ(after(1s, {105, 10}), Phase::kDraining) << "one more";
  EXPECT_EQ(after(5s, {105, 0}), Phase::kEmpty);
  ASSERT_TRUE(node_->undrain());
  EXPECT_EQ(node_->phase(), Phase::kServing);
  EXPECT_FALSE(node_->undrain());
}

TEST_F(NodeDrainTest, TakesARestartOfTheDataPlaneForNewSessionsAndItsAbsenceForIgnorance) {
  ASSERT_TRUE(node_->drain(std::nullopt));
  EXPECT_EQ(after(1s, {100, 1}), Phase::kDraining);
  EXPECT_EQ(after(5s, {100, 1}), Phase::kQuiet);
  EXPECT_EQ(after(1s, {3, 1}), Phase::kDraining);
  now_ += 1h;
  node_->tick(std::nullopt);
  EXPECT_EQ(node_->phase(), Phase::kDraining);
}

TEST_F(NodeDrainTest, IsOutAtItsDeadlineWhichCanBeSetAnew) {
  ASSERT_TRUE(node_->drain(10s));
  EXPECT_EQ(after(9s, {1, 1}), Phase::kDraining);
  ASSERT_TRUE(node_->drain(10s));
  const SystemTime since = node_->wish()->since;
  EXPECT_EQ(since, now_ - 9s) << "it has drained since then";
  EXPECT_EQ(after(9s, {1, 1}), Phase::kQuiet);
  EXPECT_EQ(after(1s, {1, 1}), Phase::kOut);
  ASSERT_TRUE(node_->drain(std::nullopt));
  EXPECT_EQ(node_->phase(), Phase::kQuiet) << "no deadline any more";
}

TEST_F(NodeDrainTest, GoesOnAsBeforeWhenTheClockIsSet) {
  for (const auto by : {SystemTime::duration(24h), SystemTime::duration(-24h)}) {
    ASSERT_TRUE(node_->drain(10s));
    now_ += by;
    node_->move_times(by);
    EXPECT_NE(after(9s, {1, 1}), Phase::kOut);
    EXPECT_EQ(after(1s, {1, 1}), Phase::kOut);
    ASSERT_TRUE(node_->undrain());
  }
}

TEST_F(NodeDrainTest, WhatAnEarlierProcessKeptEndsWhenItSaidWhateverTheClockIsSetTo) {
  ASSERT_TRUE(node_->drain(1h));
  const auto deadline = node_->wish()->deadline;
  restart();
  for (const auto by : {SystemTime::duration(24h), SystemTime::duration(-24h)}) {
    node_->move_times(by);
    EXPECT_EQ(node_->wish()->deadline, deadline);
  }
  ASSERT_TRUE(node_->drain(1h));
  node_->move_times(24h);
  EXPECT_EQ(node_->wish()->deadline, now_ + 25h) << "said anew, to this process";
}

TEST_F(NodeDrainTest, HasSessionsToldInTheLastPartOfItsTime) {
  EXPECT_FALSE(node_->leaves());
  ASSERT_TRUE(node_->drain(std::nullopt));
  now_ += 1h;
  EXPECT_FALSE(node_->leaves()) << "there is no end";
  ASSERT_TRUE(node_->undrain());
  ASSERT_TRUE(node_->drain(10min));
  now_ += 299s;
  EXPECT_FALSE(node_->leaves());
  now_ += 1s;
  EXPECT_TRUE(node_->leaves());
  restart();
  EXPECT_TRUE(node_->leaves());
  now_ += 10min;
  EXPECT_TRUE(node_->leaves()) << "what still comes is to go elsewhere";
  ASSERT_TRUE(node_->undrain());
  EXPECT_FALSE(node_->leaves());
}

TEST_F(NodeDrainTest, OutlivesTheProcess) {
  ASSERT_TRUE(node_->drain(1h));
  const NodeDrain::Wish wish = *node_->wish();
  now_ += 10s;
  restart();
  ASSERT_TRUE(node_->wish());
  EXPECT_EQ(node_->wish()->since, wish.since);
  EXPECT_EQ(node_->wish()->deadline, wish.deadline);
  EXPECT_EQ(node_->phase(), Phase::kDraining);
  now_ += 1h;
  restart();
  EXPECT_EQ(node_->phase(), Phase::kOut);
  ASSERT_TRUE(node_->undrain());
  restart();
  EXPECT_FALSE(node_->wish());
}

TEST_F(NodeDrainTest, AFileThatMakesNoSenseIsSetAside) {
  for (const char* text : {"{", "[]", R"({"version": 2})", R"({"version": 1, "draining_since_ms": "x"})",
                           R"({"version": 1, "draining_since_ms": 9223372036854775807})",
                           R"({"version": 1, "draining_since_ms": 1, "deadline_ms": -9223372036854775808})"}) {
    directory_.write("node.json", text);
    restart();
    EXPECT_FALSE(node_->wish()) << text;
    EXPECT_TRUE(std::filesystem::exists(directory_.file("node.json.unreadable"))) << text;
    EXPECT_NE(journal_.entries().back().text.find("it serves"), std::string::npos);
  }
}

TEST_F(NodeDrainTest, WarnsWhereItCannotBeKept) {
  std::filesystem::create_directories(directory_.file("node.json"));  // a directory where the file belongs
  const auto done = node_->drain(std::nullopt);
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->starts_with("in effect, but gone with the next start of control")) << *done;
  EXPECT_TRUE(node_->wish());
}

}  // namespace
}  // namespace sluice::control

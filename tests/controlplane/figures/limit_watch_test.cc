// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/limit_watch.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

class LimitWatchTest : public testing::Test {
 protected:
  /// The events of a second in which the only rule has refused so many in all.
  std::vector<std::string> second(uint64_t refused) {
    now_ += 1s;
    const size_t before = journal_.entries().size();
    watch_.tick(limits_, {refused});
    std::vector<std::string> out;
    for (size_t i = before; i < journal_.entries().size(); i++) out.push_back(journal_.entries()[i].text);
    return out;
  }
  std::vector<std::string> calm(uint64_t refused) {
    now_ += LimitWatch::kCalm;
    return second(refused);
  }

  std::vector<config::Limit> limits_{{.of = config::LimitOf::kAddress, .connections = 5}};
  SystemTime now_{std::chrono::seconds(1'000'000)};
  Journal journal_{[this] { return now_; }};
  LimitWatch watch_{journal_};
};

TEST_F(LimitWatchTest, TellsOnceThatARuleRefusesAndOnceThatItHasStopped) {
  EXPECT_TRUE(second(0).empty());
  EXPECT_EQ(second(3),
            std::vector<std::string>{"rate-limited: refuses connections; 5 connections of each address: 421"});
  EXPECT_TRUE(second(9).empty());
  EXPECT_TRUE(second(9).empty());
  EXPECT_EQ(calm(9), std::vector<std::string>{"refuses no more connections; it refused 9"});
  EXPECT_TRUE(calm(9).empty());
  EXPECT_EQ(second(10).size(), 1u) << "again";
  EXPECT_EQ(calm(10), std::vector<std::string>{"refuses no more connections; it refused 1"});
}

TEST_F(LimitWatchTest, TakesARestartOfTheDataPlaneForWhatItIs) {
  EXPECT_TRUE(second(50).empty()) << "of before control was there";
  EXPECT_EQ(second(100).size(), 1u);
  watch_.tick(limits_, {});  // not connected
  EXPECT_TRUE(second(0).empty());
  EXPECT_TRUE(second(2).empty()) << "it refuses still";
  EXPECT_EQ(calm(2), std::vector<std::string>{"refuses no more connections; it refused 2"});
}

TEST_F(LimitWatchTest, AnotherRuleBeginsAnew) {
  EXPECT_TRUE(second(0).empty());
  EXPECT_EQ(second(100).size(), 1u);
  limits_[0].connections = 6;
  EXPECT_TRUE(calm(100).empty());
  EXPECT_EQ(second(101).size(), 1u);
}

}  // namespace
}  // namespace sluice::control

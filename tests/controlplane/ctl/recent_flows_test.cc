// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {
namespace {

TEST(RecentFlows, AreTheNewestThatItTakesToJudge) {
  const auto recent = [](std::vector<double> created, std::vector<double> established) {
    return recent_flows_in({{"new_flows_per_s", created}, {"established_per_s", established}});
  };
  std::vector<double> created(60, 1), established(60, 1);
  std::fill(established.end() - 6, established.end(), 0);  // wrong for a minute
  ASSERT_TRUE(recent(created, established));
  EXPECT_EQ(recent(created, established)->created, 60);
  EXPECT_EQ(recent(created, established)->established, 0);
  EXPECT_FALSE(recent(std::vector<double>(60, 0.01), std::vector<double>(60, 0))) << "6 in ten minutes";
  EXPECT_FALSE(recent({100, 100}, {0, 0})) << "20 s may be a crowd of SYNs of nobody";
  nlohmann::json unknown{{"new_flows_per_s", {nullptr, nullptr}}, {"established_per_s", {nullptr, nullptr}}};
  EXPECT_FALSE(recent_flows_in(unknown));
}

}  // namespace
}  // namespace sluice::ctl

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/expiring.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

constexpr SystemTime kNow{std::chrono::seconds(1'000'000)};

struct Known {
  int value;
  SystemTime until;
};

class ExpiringTest : public testing::Test {
 protected:
  void put(const std::string& key, int value, std::chrono::seconds from_now) {
    known_.put(key, {value, kNow + from_now});
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> out;
    for (const auto& [key, value] : known_.entries()) out.push_back(key + std::to_string(value.value));
    return out;
  }

  using Keys = std::vector<std::string>;
  Expiring<std::string, Known> known_{3};
};

TEST_F(ExpiringTest, ForgetsWhatHasEnded) {
  put("a", 1, 10s);
  put("b", 2, 5s);
  EXPECT_FALSE(known_.expire(kNow + 4s));
  EXPECT_TRUE(known_.expire(kNow + 5s));
  EXPECT_EQ(keys(), Keys{"a1"});
  EXPECT_EQ(known_.find("b"), nullptr);
  ASSERT_NE(known_.find("a"), nullptr);
}

TEST_F(ExpiringTest, WhatIsPutAgainCountsAnew) {
  put("a", 1, 5s);
  put("a", 2, 10s);
  EXPECT_FALSE(known_.expire(kNow + 9s)) << "its first end is of no meaning any more";
  EXPECT_EQ(keys(), Keys{"a2"});
  EXPECT_TRUE(known_.expire(kNow + 10s));
  EXPECT_EQ(keys(), Keys{});
}

TEST_F(ExpiringTest, WhatWouldEndFirstGivesWay) {
  put("a", 1, 30s);
  put("b", 2, 10s);
  put("c", 3, 20s);
  put("c", 4, 20s);
  EXPECT_EQ(keys(), (Keys{"a1", "b2", "c4"})) << "one that is known needs no room";
  put("d", 5, 1s);
  EXPECT_EQ(keys(), (Keys{"a1", "c4", "d5"}));
}

TEST_F(ExpiringTest, ForgetsWhatIsMeant) {
  put("a", 1, 10s);
  put("b", 2, 10s);
  EXPECT_TRUE(known_.erase_if([](const std::string&, const Known& known) { return known.value == 1; }));
  EXPECT_FALSE(known_.erase_if([](const std::string& key, const Known&) { return key == "a"; }));
  EXPECT_EQ(keys(), Keys{"b2"});
  put("a", 3, 20s);
  EXPECT_TRUE(known_.expire(kNow + 10s));
  EXPECT_EQ(keys(), Keys{"a3"}) << "the end of the one before is forgotten too";
}

}  // namespace
}  // namespace sluice::control

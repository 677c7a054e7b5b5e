// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/beliefs.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace sluice::control {
namespace {

using Names = std::vector<std::string>;

Discovered discovered(const std::string& name, const std::string& address = "10.0.1.1") {
  config::Backend backend;
  backend.name = name;
  backend.address = *config::IpAddress::parse(address);
  backend.origin = config::Origin::kDiscovered;
  return {backend, fmt::format(R"({{"name": "{}", "address": "{}"}})", name, address)};
}

DiscoveredBackends all_of(const Names& names) {
  DiscoveredBackends out;
  for (const std::string& name : names) out.emplace(name, discovered(name));
  return out;
}

Names names_of(const DiscoveredBackends& backends) {
  Names out;
  for (const auto& [name, each] : backends) out.push_back(name + (each.missing ? "?" : ""));
  return out;
}

const Measure kHalf{.panic_share = 0.5};

TEST(Beliefs, WhoJoinsAndWhoLeavesIsTold) {
  const Belief belief = believe(all_of({"a", "b", "c"}), all_of({"b", "c", "d"}), kHalf);
  EXPECT_EQ(belief.joined, Names{"d"});
  EXPECT_EQ(belief.left, Names{"a"});
  EXPECT_TRUE(belief.changed.empty() && belief.missing.empty());
  EXPECT_EQ(names_of(belief.backends), (Names{"b", "c", "d"}));
}

TEST(Beliefs, WhatChangesIsTaken) {
  DiscoveredBackends told = all_of({"a", "b"});
  told.at("b").backend.weight = 7;
  const Belief belief = believe(all_of({"a", "b"}), told, kHalf);
  EXPECT_EQ(belief.changed, Names{"b"});
  EXPECT_EQ(belief.backends.at("b").backend.weight, 7U);
}

TEST(Beliefs, MoreThanTheShareAtOnceIsNotBelieved) {
  const Names all{"a", "b", "c", "d"};
  EXPECT_EQ(names_of(believe(all_of(all), all_of({"a", "b"}), kHalf).backends), (Names{"a", "b"}));  // half
  const Belief belief = believe(all_of(all), all_of({"a", "e"}), kHalf);
  EXPECT_EQ(names_of(belief.backends), (Names{"a", "b?", "c?", "d?", "e"})) << "and who joins is taken all the same";
  EXPECT_EQ(belief.missing, (Names{"b", "c", "d"}));
  EXPECT_EQ(belief.joined, Names{"e"});
  EXPECT_TRUE(belief.left.empty());
  EXPECT_TRUE(believe(all_of(all), all_of({"a"}), {.others = 2, .panic_share = 0.5}).missing.empty())
      << "3 of 6, with those of the file";
}

TEST(Beliefs, NobodyAtAllIsNeverBelieved) {
  EXPECT_EQ(believe(all_of({"a"}), {}, {.others = 99, .panic_share = 1}).missing, Names{"a"});
  EXPECT_TRUE(believe({}, {}, {}).backends.empty());
}

TEST(Beliefs, WhatIsMissingComesBackOrLeavesLittleByLittle) {
  DiscoveredBackends known = believe(all_of({"a", "b", "c", "d"}), all_of({"a"}), kHalf).backends;
  EXPECT_TRUE(believe(known, all_of({"a"}), kHalf).missing.empty()) << "told once";
  EXPECT_EQ(names_of(believe(known, all_of({"a"}), kHalf).backends), (Names{"a", "b?", "c?", "d?"}));
  EXPECT_EQ(names_of(believe(known, all_of({"a", "b", "c", "d"}), kHalf).backends), (Names{"a", "b", "c", "d"}));
  EXPECT_EQ(believe(known, all_of({"a", "b"}), kHalf).left, (Names{"c", "d"}));
}

TEST(Beliefs, WhoSaysSoHasLeft) {
  const Names all{"a", "b", "c", "d"};
  Measure measure{.panic_share = 0.5, .leaving = {"a", "b", "c", "stranger"}};
  EXPECT_EQ(names_of(believe(all_of(all), all_of({"d"}), measure).backends), Names{"d"});
  const Belief belief = believe(all_of(all), {}, measure);
  EXPECT_TRUE(belief.left.empty());
  EXPECT_TRUE(belief.lost.empty());
  EXPECT_EQ(names_of(belief.backends), (Names{"a?", "b?", "c?", "d?"})) << "nobody else would be left";
}

TEST(Beliefs, AllAtOnceDoNotLeaveThoughTheySaySo) {
  const Names all{"a", "b"};
  Measure measure{.panic_share = 0.5, .leaving = {"a", "b"}};
  Belief belief = believe(all_of(all), {}, measure);
  EXPECT_EQ(names_of(belief.backends), (Names{"a?", "b?"}));
  EXPECT_EQ(belief.missing, all);
  measure.leaving = {"b"};
  belief = believe(belief.backends, {}, measure);
  EXPECT_EQ(names_of(belief.backends), (Names{"a?", "b?"})) << "the first key is gone";
  EXPECT_TRUE(belief.missing.empty()) << "told once";
  EXPECT_EQ(names_of(believe(belief.backends, all_of({"a"}), measure).backends), Names{"a"}) << "one is back";
  measure = {.others = 1, .panic_share = 0.5, .leaving = {"a", "b"}};
  EXPECT_TRUE(believe(all_of(all), {}, measure).backends.empty()) << "there is one in the file";
}

TEST(Beliefs, WhoIsLostOneByOneIsLostAtOnce) {
  Measure measure = kHalf;
  Belief belief = believe(all_of({"a", "b", "c"}), all_of({"b", "c"}), measure);
  EXPECT_EQ(belief.lost, Names{"a"});
  measure.lost = {"a"};
  belief = believe(belief.backends, all_of({"c"}), measure);
  EXPECT_EQ(names_of(belief.backends), (Names{"b?", "c"})) << "two of three";
  EXPECT_EQ(names_of(believe(belief.backends, all_of({"a", "c"}), measure).backends), (Names{"a", "c"}))
      << "one is back, so one is lost";
  measure.lost = {"b"};
  EXPECT_EQ(names_of(believe(all_of({"a", "b", "c"}), all_of({"a", "c"}), measure).backends), (Names{"a", "c"}))
      << "who came back and is lost again is one";
}

}  // namespace
}  // namespace sluice::control

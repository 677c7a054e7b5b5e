// SPDX-License-Identifier: Apache-2.0
//
// How limits on sources reach the workers, and how what these count is read.
#include <gtest/gtest.h>

#include "controlplane/figures/limit_figures.h"
#include "tests/controlplane/support/channel_fixture.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

class Limits : public Channel {
 protected:
  Limits() { desired_ = two_services(); }

  static DesiredLimit limit(uint32_t connections, std::vector<uint64_t> services) {
    return {{24, 64, channel::LimitAction::kReset, 0, connections, 0, 1}, std::move(services)};
  }
  void say() {
    publish(desired_);
    settle();
  }
  const FakeDataplane::Worker& worker() { return dataplane_->worker(0); }

  Desired desired_;
};

TEST_F(Limits, NameServicesByTheirIds) {
  start_dataplane();
  desired_.limits.rules = {limit(5, {11, 12}), limit(7, {12, 99})};
  desired_.limits.clients_first = {12};
  publish(desired_);
  client_->start();
  settle();
  for (uint32_t w = 0; w < kWorkers; w++) {
    SCOPED_TRACE(w);
    const channel::LimitRules& rules = dataplane_->worker(w).limit_rules;
    EXPECT_EQ(dataplane_->worker(w).limits.rules, 2u);
    EXPECT_EQ(rules.rule[0].connections, 5u);
    EXPECT_EQ(rules.rule[1].connections, 7u);
    EXPECT_EQ(rules.rules_of[service_id(11, w)], 1);
    EXPECT_EQ(rules.rules_of[service_id(12, w)], 3);
    EXPECT_EQ(rules.clients_first[service_id(11, w)], 0);
    EXPECT_EQ(rules.clients_first[service_id(12, w)], 1);
  }
  EXPECT_EQ(client_->publisher()->limits_layout(), worker().limits.layout);
}

TEST_F(Limits, KeepTheirLayoutWhereTheyCountTheSame) {
  start_dataplane();
  desired_.limits.rules = {limit(5, {11})};
  publish(desired_);
  client_->start();
  settle();
  const uint32_t first = worker().limits.layout;
  ASSERT_NE(first, 0u);
  const size_t said = worker().log.size();
  say();
  EXPECT_EQ(worker().log.size(), said) << "nothing new";
  desired_.limits.rules[0].rule.connections = 6;
  desired_.limits.rules[0].rule.action = channel::LimitAction::kDrop;
  say();
  EXPECT_EQ(worker().limits.layout, first);
  EXPECT_EQ(worker().limit_rules.rule[0].connections, 6u);
  desired_.limits.rules[0].rule.v4_bits = 25;
  say();
  const uint32_t second = worker().limits.layout;
  EXPECT_NE(second, first) << "other prefixes";
  desired_.limits.rules[0].services = {11, 12};
  say();
  EXPECT_NE(worker().limits.layout, second) << "other services";
  desired_.limits.rules.clear();
  say();
  EXPECT_EQ(worker().limits.rules, 0u);
  EXPECT_EQ(client_->publisher()->limits_layout(), 0u);
  desired_.limits.rules = {limit(5, {11})};
  say();
  EXPECT_GT(worker().limits.layout, second) << "what was counted before is not to be found again";
}

TEST_F(Limits, SayWhomTheyExempt) {
  start_dataplane();
  const config::IpPrefix prefix = *config::IpPrefix::parse("198.51.100.0/24");
  desired_.limits.exempt = SourceList::of(std::vector{prefix}, {});
  publish(desired_);
  client_->start();
  settle();
  EXPECT_EQ(worker().exempt.v4_borders, 2u);
  EXPECT_EQ(worker().sources.v4_borders, 0u);
  desired_.limits.exempt = nullptr;
  say();
  EXPECT_EQ(worker().exempt.v4_borders, 0u);
}

TEST_F(Limits, ReadWhatWorkersCount) {
  start_dataplane();
  desired_.limits.rules = {limit(5, {11})};
  publish(desired_);
  client_->start();
  settle();
  for (uint32_t w = 0; w < kWorkers; w++) dataplane_->stats_of(w).limits[0] = {1, 2, 3, 4};
  const auto counters = limit_counters(*client_, 0);
  ASSERT_TRUE(counters);
  EXPECT_EQ(counters->refused_connections, kWorkers * 1);
  EXPECT_EQ(counters->refused_rate, kWorkers * 2);
  EXPECT_EQ(counters->cut, kWorkers * 3);
  EXPECT_EQ(counters->uncounted, kWorkers * 4);

  const uint64_t mark =
      channel::LimitTable::layout_mark(channel::limit_layout(dataplane_->epoch(), worker().limits.layout));
  channel::LimitTable& table = dataplane_->limit_table();
  const auto put = [&](uint32_t set, uint64_t layout_mark, uint32_t open, const std::string& prefix) {
    table.words[set][0] = layout_mark << channel::LimitTable::kOpenBits | open;
    table.states[set][0] = {.arrival_ns = 0,
                            .refused = 9,
                            .second = 100,
                            .begun = 4,
                            .begun_before = 3,
                            .prefix = {config::IpAddress::parse(prefix)->bytes},
                            .rule = 0};
  };
  put(7, mark, 5, "198.51.100.0");
  put(8, mark, 4, "2001:db8::");
  put(9, mark % 255 + 1, 5, "203.0.113.0");  // of another layout
  config::Limit rule;
  rule.of = config::LimitOf::kPrefix;
  rule.connections = 5;
  auto sources = limited_sources(*client_, {rule}, 101s);
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources[0].prefix.to_string(), "198.51.100.0/24");
  EXPECT_EQ(sources[0].open, 5u);
  EXPECT_EQ(sources[0].refused, 9u);
  EXPECT_EQ(sources[0].per_second, 4u) << "of the second before this one";
  EXPECT_TRUE(sources[0].too_many);
  EXPECT_EQ(sources[1].prefix.to_string(), "2001:db8::/64");
  EXPECT_FALSE(sources[1].too_many);
  EXPECT_EQ(limited_sources(*client_, {rule}, 100s)[0].per_second, 3u) << "this one is not over";
  EXPECT_EQ(limited_sources(*client_, {rule}, 105s)[0].per_second, 0u);

  rule = {.of = config::LimitOf::kPrefix, .per_second = 10, .burst = 3};
  table.states[7][0].arrival_ns = 101'200'000'001;  // one more than the burst lets be ahead
  table.states[8][0].arrival_ns = 101'200'000'000;
  sources = limited_sources(*client_, {rule}, 101s);
  EXPECT_TRUE(sources[0].too_fast);
  EXPECT_FALSE(sources[1].too_fast);
  EXPECT_TRUE(limited_sources(*client_, {}, 101s).empty()) << "rules that control knows no more";
}

}  // namespace
}  // namespace sluice::control

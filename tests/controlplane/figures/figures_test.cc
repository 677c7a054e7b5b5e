// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/figures.h"

#include <gtest/gtest.h>

#include <memory>

namespace sluice::control {
namespace {

using channel::SmtpCounter;

TEST(Figures, SumBlocksCounterByCounter) {
  channel::BackendCounters sum{.flows_created = 1, .flows_now = 2, .last_new_flow_ms = 50};
  const channel::BackendCounters block{.flows_created = 10,
                                       .flows_now = 20,
                                       .packets_in = 30,
                                       .bytes_in = 40,
                                       .packets_out = 50,
                                       .bytes_out = 60,
                                       .flows_established = 70,
                                       .last_new_flow_ms = 7};
  add(sum, block);
  EXPECT_EQ(sum.flows_created, 11u);
  EXPECT_EQ(sum.flows_now, 22u);
  EXPECT_EQ(sum.packets_in, 30u);
  EXPECT_EQ(sum.bytes_in, 40u);
  EXPECT_EQ(sum.packets_out, 50u);
  EXPECT_EQ(sum.bytes_out, 60u);
  EXPECT_EQ(sum.flows_established, 70u);
  EXPECT_EQ(sum.last_new_flow_ms, 50u) << "the latest, not a sum";
}

TEST(Figures, SumServicesCounterByCounter) {
  channel::ServiceCounters sum{};
  const channel::ServiceCounters block{1, 2, 3, 4, 5, 6, 7, 8};
  add(sum, block);
  add(sum, block);
  EXPECT_EQ(sum.flows_created, 2u);
  EXPECT_EQ(sum.flows_now, 4u);
  EXPECT_EQ(sum.packets_in, 6u);
  EXPECT_EQ(sum.bytes_in, 8u);
  EXPECT_EQ(sum.packets_out, 10u);
  EXPECT_EQ(sum.bytes_out, 12u);
  EXPECT_EQ(sum.flows_established, 14u);
  EXPECT_EQ(sum.flows_refused, 16u);
}

TEST(Figures, SumWhatWorkersSawOfSmtp) {
  auto first = std::make_unique<channel::SmtpCounters>();
  auto second = std::make_unique<channel::SmtpCounters>();
  (*first)[SmtpCounter::kGreeting2xx] = 5;
  (*second)[SmtpCounter::kGreeting2xx] = 6;
  (*second)[SmtpCounter::kEndedCut] = 1;
  first->greeting.add(3);
  second->greeting.add(3);
  second->connect.add(1'000'000);
  second->session.add(20);
  channel::SmtpCounters sum{};
  add(sum, *first);
  add(sum, *second);
  EXPECT_EQ(sum[SmtpCounter::kGreeting2xx], 11u);
  EXPECT_EQ(sum[SmtpCounter::kEndedCut], 1u);
  EXPECT_EQ(count_of(sum.greeting), 2u);
  EXPECT_EQ(sum.greeting.buckets[channel::GreetingHistogram::bucket_of(3)], 2u);
  EXPECT_EQ(sum.greeting.sum_ms, 6u);
  EXPECT_EQ(count_of(sum.connect), 1u);
  EXPECT_EQ(count_of(sum.session), 1u);
}

TEST(Figures, DifferToTheGrowthAndNeverBelowZero) {
  channel::SmtpCounters before{}, now{};
  before[SmtpCounter::kGreeting2xx] = 5;
  now[SmtpCounter::kGreeting2xx] = 8;
  before[SmtpCounter::kGreeting5xx] = 9;  // counted from 0 again since
  now[SmtpCounter::kGreeting5xx] = 2;
  before.greeting.add(3);
  now.greeting.add(3);
  now.greeting.add(100);
  const channel::SmtpCounters grown = difference(now, before);
  EXPECT_EQ(grown[SmtpCounter::kGreeting2xx], 3u);
  EXPECT_EQ(grown[SmtpCounter::kGreeting5xx], 0u);
  EXPECT_EQ(count_of(grown.greeting), 1u);
  EXPECT_EQ(grown.greeting.sum_ms, 100u);
}

TEST(Quantile, LiesWithinItsBucket) {
  channel::GreetingHistogram histogram{};
  EXPECT_EQ(quantile_ms(histogram, 0.5), std::nullopt);
  for (int i = 0; i < 90; i++) histogram.add(5);  // from 4 ms to 8 ms
  for (int i = 0; i < 10; i++) histogram.add(300);
  EXPECT_DOUBLE_EQ(*quantile_ms(histogram, 0.45), 6);
  EXPECT_DOUBLE_EQ(*quantile_ms(histogram, 0.9), 8);
  EXPECT_DOUBLE_EQ(*quantile_ms(histogram, 0.95), 384);  // half of the bucket from 256 ms to 512 ms
  EXPECT_DOUBLE_EQ(*quantile_ms(histogram, 1), 512);
}

TEST(Quantile, EndsAtTheLastBound) {
  channel::GreetingHistogram histogram{};
  histogram.add(10'000'000);
  EXPECT_DOUBLE_EQ(*quantile_ms(histogram, 0.5), 32768);
}

}  // namespace
}  // namespace sluice::control

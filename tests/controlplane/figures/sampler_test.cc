// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/sampler.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "tests/controlplane/support/model_fixture.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

constexpr uint32_t kFine = History::kFineSeconds;

class HistoryReaderTest : public ModelTest {
 protected:
  /// A pool of some hundred backends: more than a turn of no time takes.
  static constexpr size_t kBackends = 300;

  void SetUp() override {
    ModelTest::SetUp();
    auto& backends = config_.pools[0].backends;
    for (size_t i = backends.size(); i < kBackends; i++) {
      backends.push_back(backends[0]);
      backends.back().name = "more" + std::to_string(i);
      backends.back().address = ip("10.7." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250));
    }
  }
  /// How many points each subject of the model has; fails where they differ.
  size_t points(const History& history, const Model& model) {
    const size_t out = history.points(kAllServices, kFine).size();
    for (const auto& service : model.services()) EXPECT_EQ(history.points(subject_of(service), kFine).size(), out);
    for (const auto& placement : model.placements())
      EXPECT_EQ(history.points(subject_of(placement), kFine).size(), out) << subject_of(placement);
    for (const auto& member : model.members())
      EXPECT_EQ(history.points(subject_of(member), kFine).size(), out) << subject_of(member);
    return out;
  }

  boost::asio::io_context io_;
  ChannelClient channel_{io_, "/nonexistent", {}, {}};
  History history_;
  History::Time now_{1h};
};

TEST_F(HistoryReaderTest, ReadsEverythingInTurns) {
  const Model model = this->model();
  HistoryReader reader(history_, model, channel_);
  for (size_t reading = 0; reading < 3; reading++, now_ += 1s) {
    reader.begin(now_);
    size_t turns = 1;
    while (!reader.run(0s)) turns++;
    EXPECT_GT(turns, kBackends / 32) << "it rests between them";
    EXPECT_EQ(points(history_, model), reading) << "the first has none before it";
  }
}

TEST_F(HistoryReaderTest, BeginsAnewWhereTheModelIsAnotherAndReadsNothingTwice) {
  Model model = this->model();
  HistoryReader reader(history_, model, channel_);
  reader.begin(now_);
  ASSERT_TRUE(reader.run(1min));
  reader.begin(now_ + 1s);
  ASSERT_FALSE(reader.run(0s));
  config_.pools[0].backends.pop_back();
  Model next(config_, journal_);
  model = std::move(next);
  while (!reader.run(0s)) {
  }
  EXPECT_EQ(points(history_, model), 1U);
}

}  // namespace
}  // namespace sluice::control

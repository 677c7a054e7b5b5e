// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/syn_watch.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

using channel::Counter;

class SynWatchTest : public testing::Test {
 protected:
  /// The events of a second.
  std::vector<std::string> second(uint64_t workers, uint64_t sent, uint64_t accepted) {
    WorkerCounters counters{};
    counters[static_cast<size_t>(Counter::kSynProxyNow)] = workers;
    counters[static_cast<size_t>(Counter::kSynCookiesSent)] = sent;
    counters[static_cast<size_t>(Counter::kSynCookiesAccepted)] = accepted;
    return second(counters);
  }
  std::vector<std::string> shedding(uint64_t workers, uint64_t dropped) {
    WorkerCounters counters{};
    counters[static_cast<size_t>(Counter::kShedsSynsNow)] = workers;
    counters[static_cast<size_t>(Counter::kDropSynShed)] = dropped;
    return second(counters);
  }
  std::vector<std::string> second(const WorkerCounters& counters) {
    const size_t before = journal_.entries().size();
    watch_.tick(counters);
    std::vector<std::string> out;
    for (size_t i = before; i < journal_.entries().size(); i++) out.push_back(journal_.entries()[i].text);
    return out;
  }

  Journal journal_{[] { return SystemTime(std::chrono::seconds(1'000'000)); }};
  SynWatch watch_{journal_};
};

TEST_F(SynWatchTest, TellsOnceWhenItBeginsAndOnceWhenItEnds) {
  EXPECT_TRUE(second(0, 10, 10).empty()) << "services with syn_proxy = \"always\" are no flood";
  EXPECT_EQ(second(1, 10, 10),
            std::vector<std::string>{"handshakes pile up: 1 worker answers SYNs in the backends' place"});
  EXPECT_TRUE(second(2, 1000, 20).empty());
  watch_.tick(std::nullopt);
  EXPECT_EQ(
      second(0, 5010, 40),
      std::vector<std::string>{"backends answer SYNs themselves again; of 5000 that were answered in their place, "
                               "30 came from clients that were there"});
  EXPECT_TRUE(second(0, 5010, 40).empty());
}

TEST_F(SynWatchTest, TakesARestartOfTheDataPlaneForWhatItIs) {
  EXPECT_EQ(second(2, 5000, 50),
            std::vector<std::string>{"handshakes pile up: 2 workers answer SYNs in the backends' place"});
  const auto ended = second(0, 7, 1);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_NE(ended[0].find("of 7 that were answered in their place, 1 came"), std::string::npos) << ended[0];
}

TEST_F(SynWatchTest, TellsWhenSynsAreDroppedBecauseAWorkerIsBehind) {
  EXPECT_TRUE(shedding(0, 7).empty());
  EXPECT_EQ(shedding(1, 10), std::vector<std::string>{"packets come faster than a worker can carry: some SYNs are "
                                                      "dropped, so that open sessions keep up"});
  EXPECT_TRUE(shedding(2, 500).empty());
  EXPECT_EQ(shedding(0, 1010), std::vector<std::string>{"workers keep up again; 1000 SYNs were dropped meanwhile"});
  EXPECT_TRUE(shedding(0, 1010).empty());
  EXPECT_EQ(shedding(3, 1010).size(), 1u);
  EXPECT_EQ(shedding(0, 4), std::vector<std::string>{"workers keep up again; 4 SYNs were dropped meanwhile"})
      << "the data plane was restarted";
}

}  // namespace
}  // namespace sluice::control

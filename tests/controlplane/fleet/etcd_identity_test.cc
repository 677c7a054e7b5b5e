// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/etcd_identity.h"

#include <gtest/gtest.h>

#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

class EtcdIdentityTest : public testing::Test {
 protected:
  /// What another process would say.
  std::string judged_anew(const etcd::Position& answer) {
    EtcdIdentity other(journal_, path_);
    other.restore();
    return other.judge(answer, other.asked());
  }
  /// What is asked once what was answered before is known.
  std::string judged(const etcd::Position& answer) { return identity_.judge(answer, identity_.asked()); }

  StateDirectory directory_;
  std::chrono::system_clock::time_point now_{std::chrono::hours(1000)};
  Journal journal_{[this] { return now_; }};
  std::string path_ = directory_.path() + "/state/etcd.json";
  EtcdIdentity identity_{journal_, path_};
};

TEST_F(EtcdIdentityTest, BelievesTheFirstAndWhatGoesOnFromThere) {
  identity_.restore();
  EXPECT_FALSE(identity_.known());
  EXPECT_EQ(judged({7, 10}), "");
  EXPECT_EQ(judged({7, 10}), "");
  EXPECT_EQ(judged({7, 11}), "");
  EXPECT_EQ(identity_.known(), (etcd::Position{7, 11}));
  EXPECT_FALSE(identity_.accept());
}

TEST_F(EtcdIdentityTest, DoesNotBelieveAnotherClusterNorAnOlderOne) {
  ASSERT_EQ(judged({7, 10}), "");
  EXPECT_EQ(judged({8, 20}), "etcd answers as cluster 8, and ours is 7; if that is right: sluicectl fleet accept");
  EXPECT_EQ(judged({7, 12}), "") << "our own answers again";
  const std::string back = "etcd was set back: it was at revision 12 before; if that is right: sluicectl fleet accept";
  EXPECT_EQ(judged({7, 3}), back);
  EXPECT_EQ(judged({7, 4}), back) << "the words stay, so that it is told once";
  EXPECT_EQ(identity_.known(), (etcd::Position{7, 12}));
}

TEST_F(EtcdIdentityTest, RefusesAStoreThatWasSetBackAlsoWhenItHasGrownPastTheFormerOne) {
  ASSERT_EQ(judged({7, 10}), "");
  ASSERT_NE(judged({7, 3}), "");
  EXPECT_NE(judged({7, 10}), "");
  EXPECT_NE(judged({7, 5000}), "");
  EXPECT_NE(judged_anew({7, 5000}), "") << "by the next process too";
  EXPECT_NE(judged({8, 5000}), "");
  EXPECT_NE(judged({7, 5001}), "") << "that another cluster answered meanwhile does not mend it";
  EXPECT_EQ(identity_.accept(), "");
  EXPECT_EQ(identity_.known(), (etcd::Position{7, 5001}));
  EXPECT_EQ(judged({7, 5001}), "");
  EXPECT_EQ(judged_anew({7, 5001}), "");
}

TEST_F(EtcdIdentityTest, TakesAnswersInAnotherOrderThanTheyWereAskedFor) {
  ASSERT_EQ(judged({7, 10}), "");
  const auto earlier = identity_.asked();
  ASSERT_EQ(judged({7, 12}), "");
  EXPECT_EQ(identity_.judge({7, 11}, earlier), "") << "an answer on its way, while another was heard";
  EXPECT_EQ(identity_.known(), (etcd::Position{7, 12}));
  ASSERT_NE(judged({7, 4}), "");
  const auto before = identity_.asked();
  ASSERT_EQ(identity_.accept(), "");
  EXPECT_EQ(identity_.judge({7, 5}, before), "") << "asked before it was accepted, and answered behind that";
  EXPECT_EQ(judged({7, 5}), "");
}

TEST_F(EtcdIdentityTest, GoesOnFromWhatAnOperatorAccepts) {
  ASSERT_EQ(judged({7, 10}), "");
  ASSERT_NE(judged({8, 2}), "");
  EXPECT_EQ(identity_.accept(), "");
  EXPECT_EQ(judged({8, 2}), "");
  EXPECT_NE(judged({7, 11}), "");
  EXPECT_EQ(judged_anew({8, 3}), "") << "by the next process too";
}

TEST_F(EtcdIdentityTest, OutlivesTheProcess) {
  ASSERT_EQ(judged({7, 10}), "");
  EXPECT_NE(judged_anew({8, 11}), "");
  ASSERT_EQ(judged({7, 20}), "");
  EXPECT_EQ(judged_anew({7, 15}), "") << "a revision alone is written down once a minute";
  ASSERT_EQ(judged({7, 21}), "");
  identity_.write_down();
  EXPECT_NE(judged_anew({7, 20}), "");
  ASSERT_EQ(judged({7, 22}), "");
  now_ += std::chrono::minutes(1);
  ASSERT_EQ(judged({7, 30}), "");
  EXPECT_NE(judged_anew({7, 29}), "");
}

}  // namespace
}  // namespace sluice::control

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
    return other.judge(answer);
  }

  StateDirectory directory_;
  std::chrono::system_clock::time_point now_{std::chrono::hours(1000)};
  Journal journal_{[this] { return now_; }};
  std::string path_ = directory_.path() + "/state/etcd.json";
  EtcdIdentity identity_{journal_, path_};
};

TEST_F(EtcdIdentityTest, BelievesTheFirstAndWhatGoesOnFromThere) {
  identity_.restore();
  EXPECT_FALSE(identity_.known());
  EXPECT_EQ(identity_.judge({7, 10}), "");
  EXPECT_EQ(identity_.judge({7, 10}), "");
  EXPECT_EQ(identity_.judge({7, 11}), "");
  EXPECT_EQ(identity_.known(), (etcd::Position{7, 11}));
  EXPECT_FALSE(identity_.accept());
}

TEST_F(EtcdIdentityTest, DoesNotBelieveAnotherClusterNorAnOlderOne) {
  ASSERT_EQ(identity_.judge({7, 10}), "");
  EXPECT_EQ(identity_.judge({8, 20}),
            "etcd answers as cluster 8, and ours is 7; if that is right: sluicectl fleet accept");
  const std::string back = "etcd was set back: it was at revision 10 before; if that is right: sluicectl fleet accept";
  EXPECT_EQ(identity_.judge({7, 3}), back);
  EXPECT_EQ(identity_.judge({7, 4}), back) << "the words stay, so that it is told once";
  EXPECT_EQ(identity_.known(), (etcd::Position{7, 10}));
  EXPECT_EQ(identity_.judge({7, 12}), "") << "what was partitioned is itself again";
}

TEST_F(EtcdIdentityTest, GoesOnFromWhatAnOperatorAccepts) {
  ASSERT_EQ(identity_.judge({7, 10}), "");
  ASSERT_NE(identity_.judge({8, 2}), "");
  EXPECT_EQ(identity_.accept(), "");
  EXPECT_EQ(identity_.judge({8, 2}), "");
  EXPECT_NE(identity_.judge({7, 11}), "");
  EXPECT_EQ(judged_anew({8, 3}), "") << "by the next process too";
}

TEST_F(EtcdIdentityTest, OutlivesTheProcess) {
  ASSERT_EQ(identity_.judge({7, 10}), "");
  EXPECT_NE(judged_anew({8, 11}), "");
  EXPECT_NE(judged_anew({7, 9}), "");
  ASSERT_EQ(identity_.judge({7, 20}), "");
  EXPECT_EQ(judged_anew({7, 15}), "") << "a revision alone is written down once a minute";
  now_ += std::chrono::minutes(1);
  ASSERT_EQ(identity_.judge({7, 30}), "");
  EXPECT_NE(judged_anew({7, 29}), "");
}

}  // namespace
}  // namespace sluice::control

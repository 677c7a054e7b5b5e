// SPDX-License-Identifier: Apache-2.0
//
// config/bounds.h repeats sizes of the channel contract; here they are held together.
#include "config/bounds.h"

#include <gtest/gtest.h>
#include <sys/un.h>

#include "dataplane/contract/peers.h"
#include "dataplane/contract/segment.h"

namespace sluice::config {
namespace {

TEST(Bounds, AgreeWithTheChannel) {
  EXPECT_LE(kMaxServices, size_t{channel::kMaxServices});
  EXPECT_LE(kMaxBackends, size_t{channel::kMaxBackends});
  EXPECT_LE(kMaxPorts, size_t{channel::kMaxPorts});
  EXPECT_LE(kMaxBondMembers, channel::kMaxBondMembers);
  EXPECT_LE(kMaxLimits, size_t{channel::kMaxLimits});
  EXPECT_LT(kMaxNameBytes, channel::kPortNameBytes);
  EXPECT_LE(kMaxPeers, size_t{channel::kMaxPeers});
  EXPECT_LE(kMaxWorkers, int64_t{channel::kMaxWorkers});
  EXPECT_LE(kMaxSocketPathBytes, sizeof(sockaddr_un::sun_path) - 1);
  EXPECT_LT(kMaxLcore, unsigned{RTE_MAX_LCORE});
}

}  // namespace
}  // namespace sluice::config

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/displaced_handshakes.h"

#include <gtest/gtest.h>

#include <memory>

#include "dataplane/contract/placement.h"

namespace sluice {
namespace {

Handshake handshake(uint32_t n) {
  return {fold_multiply(n + 1, kMixB), 3, n * 7919, n * 104729};
}

class Displaced : public ::testing::Test {
 protected:
  const std::unique_ptr<DisplacedHandshakes> memory_ = std::make_unique<DisplacedHandshakes>();
};

TEST_F(Displaced, HandshakeIsFoundOnceByAllOfItsNumbers) {
  memory_->remember(handshake(1), 16383, 6);
  Handshake other = handshake(1);
  other.client_next++;
  EXPECT_EQ(memory_->take(other).backend, channel::kNoBackend);
  other = handshake(1);
  other.server_next++;
  EXPECT_EQ(memory_->take(other).backend, channel::kNoBackend);
  other = handshake(1);
  other.service++;
  EXPECT_EQ(memory_->take(other).backend, channel::kNoBackend);
  other = handshake(1);
  other.client_hash++;
  EXPECT_EQ(memory_->take(other).backend, channel::kNoBackend);
  const auto found = memory_->take(handshake(1));
  EXPECT_EQ(found.backend, 16383);
  EXPECT_EQ(found.generation, DisplacedHandshakes::generation_bits(6));
  EXPECT_EQ(memory_->take(handshake(1)).backend, channel::kNoBackend);
}

TEST_F(Displaced, ARoundTripOfAFloodIsRemembered) {
  constexpr uint32_t kCount = DisplacedHandshakes::kSets * DisplacedHandshakes::kWays / 2;
  for (uint32_t n = 0; n < kCount; n++) memory_->remember(handshake(n), static_cast<uint16_t>(n % 100), 1);
  uint32_t found = 0;
  for (uint32_t n = 0; n < kCount; n++) {
    const auto one = memory_->take(handshake(n));
    if (one.backend == channel::kNoBackend) continue;
    EXPECT_EQ(one.backend, n % 100);
    found++;
  }
  EXPECT_GT(found, kCount / 100 * 98);
}

}  // namespace
}  // namespace sluice

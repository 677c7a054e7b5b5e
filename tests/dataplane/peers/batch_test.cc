// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/batch.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {
namespace {

ToldFlow v4_flow() {
  return {.client = endpoint("198.51.100.7", 40000),
          .vip = endpoint("192.0.2.25", 25),
          .backend = endpoint("10.0.1.10", 2525),
          .forwarding = channel::Forwarding::kGue,
          .stage = FlowStage::kOpen,
          .proxy_bytes = 28};
}

std::vector<uint8_t> written(const ToldFlow& flow) {
  std::vector<uint8_t> out(kMostFlowBytes);
  size_t used = 0;
  EXPECT_TRUE(append_flow(out, used, flow));
  out.resize(used);
  return out;
}

TEST(Batch, ReadsWhatWasWritten) {
  ToldFlow v6 = v4_flow();
  v6.client = endpoint("2001:db8::7", 1);
  v6.vip = endpoint("2001:db8::25", 465);
  ToldFlow placed = v6;
  placed.backend = endpoint("fd00::10", 65535);
  placed.stage = FlowStage::kPlaced;
  ToldFlow ended{.client = v6.client, .vip = v6.vip, .stage = FlowStage::kEnded};
  for (const ToldFlow& flow : {v4_flow(), v6, placed, ended}) {
    const std::vector<uint8_t> bytes = written(flow);
    std::span<const uint8_t> rest = bytes;
    EXPECT_EQ(take_flow(rest), flow);
    EXPECT_TRUE(rest.empty());
  }
}

TEST(Batch, TakesTwentyBytesOfAnIpv4Flow) {
  EXPECT_EQ(written(v4_flow()).size(), 20u);
  EXPECT_EQ(written({.client = v4_flow().client, .vip = v4_flow().vip, .stage = FlowStage::kEnded}).size(), 13u);
}

TEST(Batch, WritesNothingWhereThereIsNoRoom) {
  std::vector<uint8_t> out(39);
  size_t used = 0;
  EXPECT_TRUE(append_flow(out, used, v4_flow()));
  EXPECT_FALSE(append_flow(out, used, v4_flow()));
  EXPECT_EQ(used, 20u);
}

TEST(Batch, RefusesWhatIsCutOffOrUnknown) {
  const std::vector<uint8_t> bytes = written(v4_flow());
  for (size_t n = 0; n < bytes.size(); n++) {
    std::span<const uint8_t> rest(bytes.data(), n);
    EXPECT_FALSE(take_flow(rest)) << n;
  }
  for (const uint8_t kind : {uint8_t{0x80}, uint8_t{0x03}, uint8_t{0x1c}}) {  // a bit, a stage, a mode
    std::vector<uint8_t> wrong = bytes;
    wrong[0] = kind;
    std::span<const uint8_t> rest = wrong;
    EXPECT_FALSE(take_flow(rest)) << int{kind};
  }
}

}  // namespace
}  // namespace sluice::testing

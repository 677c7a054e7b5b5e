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
          .local = {},
          .forwarding = channel::Forwarding::kGue,
          .stage = FlowStage::kOpen,
          .proxy_bytes = 28,
          .splice = {}};
}

ToldFlow ended_flow(const ToldFlow& flow) {
  return {.client = flow.client, .vip = flow.vip, .backend = {}, .local = {}, .stage = FlowStage::kEnded, .splice = {}};
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
  const ToldFlow ended = ended_flow(v6);
  ToldFlow fullnat = v4_flow();
  fullnat.forwarding = channel::Forwarding::kFullnat;
  fullnat.local = endpoint("10.0.1.2", 2000);
  ToldFlow mixed = fullnat;
  mixed.local = endpoint("fd00::2", 2000);
  ToldFlow spliced = mixed;
  spliced.splice =
      ToldSplice{.sequence = 0xfffffffe, .timestamp = 77, .client_scale = 15, .server_scale = 9, .timestamps = true};
  ToldFlow hearsay = v4_flow();
  hearsay.stage = FlowStage::kHearsay;
  hearsay.splice = ToldSplice{.sequence = 1, .timestamp = 0, .client_scale = 7, .server_scale = 0, .timestamps = false};
  for (const ToldFlow& flow : {v4_flow(), v6, placed, ended, fullnat, mixed, spliced, hearsay}) {
    const std::vector<uint8_t> bytes = written(flow);
    std::span<const uint8_t> rest = bytes;
    EXPECT_EQ(take_flow(rest), flow);
    EXPECT_TRUE(rest.empty());
  }
}

TEST(Batch, TakesTwentyBytesOfAnIpv4Flow) {
  EXPECT_EQ(written(v4_flow()).size(), 20u);
  EXPECT_EQ(written(ended_flow(v4_flow())).size(), 13u);
  ToldFlow fullnat = v4_flow();
  fullnat.forwarding = channel::Forwarding::kFullnat;
  fullnat.local = endpoint("10.0.1.2", 2000);
  EXPECT_EQ(written(fullnat).size(), 26u);
  fullnat.splice = ToldSplice{};
  EXPECT_EQ(written(fullnat).size(), 36u);
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
  for (const uint8_t kind : {uint8_t{0x82}, uint8_t{0x1c}}) {  // an end with numbers, a mode
    std::vector<uint8_t> wrong = bytes;
    wrong[0] = kind;
    std::span<const uint8_t> rest = wrong;
    EXPECT_FALSE(take_flow(rest)) << int{kind};
  }
  ToldFlow spliced = v4_flow();
  spliced.splice = ToldSplice{};
  for (const size_t from_the_end : {size_t{1}, size_t{11}}) {  // whether there are timestamps, and the PROXY offset
    std::vector<uint8_t> wrong = written(spliced);
    wrong[wrong.size() - from_the_end] = 0x80;
    std::span<const uint8_t> rest = wrong;
    EXPECT_FALSE(take_flow(rest)) << from_the_end;
  }
}

}  // namespace
}  // namespace sluice::testing

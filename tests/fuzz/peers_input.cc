// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/peers/batch.h"
#include "dataplane/peers/passed_answer.h"
#include "dataplane/peers/peer_link.h"
#include "dataplane/peers/told_table.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {
namespace {

using Verdict = PeerLink::Verdict;

constexpr uint64_t kOurs = 1, kTheirs = 2, kFlows = 16;
const std::vector<uint8_t> kSecret(32, 7);

std::vector<uint8_t> seal(SessionKey& key, uint64_t number, FuzzInput text) {
  std::vector<uint8_t> out(kMostDatagramBytes);
  out.resize(key.seal(number, text.first(std::min(text.size(), kMostTextBytes)), out.data()));
  return out;
}

/// The first of what `bytes` hold, taken off them; nothing if there is none. What is read is what would be written.
template <typename Take, typename Append>
auto take_one(FuzzInput& bytes, Take take, Append append) -> decltype(take(bytes)) {
  const FuzzInput before = bytes;
  const auto read = bytes.empty() ? std::nullopt : take(bytes);
  if (!read) return read;
  EXPECT_LT(bytes.size(), before.size());
  std::array<uint8_t, std::max(kMostFlowBytes, kMostAnswerBytes)> again;
  size_t used = 0;
  EXPECT_TRUE(append(again, used, *read));
  FuzzInput copy(again.data(), used);
  EXPECT_EQ(take(copy), read);
  return read;
}

/// Flows as a peer would have told them, into a table.
void learn(FuzzInput bytes) {
  const std::unique_ptr<std::byte, decltype(&free)> memory(
      static_cast<std::byte*>(aligned_alloc(64, ToldTable::bytes_for({kFlows}))), &free);
  std::memset(memory.get(), 0, ToldTable::bytes_for({kFlows}));
  ToldTable table(memory.get(), {kFlows}, 1);
  while (const auto flow = take_one(bytes, take_flow, append_flow)) {
    if (flow->stage == FlowStage::kEnded) {
      table.erase(flow->client, flow->vip);
      const auto left = table.from_client(flow->client, flow->vip);
      ASSERT_TRUE(!left || left->is_asked()) << "that is of the client's next";
      continue;
    }
    ToldFlow known = *flow;
    if (known.stage == FlowStage::kHearsay) known.stage = FlowStage::kOpen;
    const ToldTable::Put put = table.put(known, 0, 1);
    const auto found = table.from_client(known.client, known.vip);
    ASSERT_EQ(found, put == ToldTable::Put::kNoRoom ? std::nullopt : std::optional(known));
    const auto by_local = table.from_local(known.local, known.backend);
    if (by_local) {
      ASSERT_EQ(table.from_client(by_local->client, by_local->vip), by_local);
    }
    size_t whole = 0;
    table.visit(0, table.capacity(), [&](const ToldFlow&, uint32_t) { whole++; });
    ASSERT_EQ(table.size(), whole);
  }
}

/// Answers as a peer would have passed them on.
void hear_answers(FuzzInput bytes) {
  while (take_one(bytes, take_answer, append_answer)) {
  }
}

}  // namespace

void play_peers(FuzzInput bytes) {
  std::array<uint8_t, kMostTextBytes> text;
  PeerLink link(kSecret, kOurs);
  // Without the key.
  ASSERT_EQ(link.open(bytes, text.data()).verdict, Verdict::kForged);
  ASSERT_FALSE(link.is_open() || link.has_session());
  // With it, but recorded before we were there.
  SessionKey key(kSecret, kTheirs, true);
  const Verdict stale = link.open(seal(key, 1, bytes), text.data()).verdict;
  ASSERT_TRUE(stale != Verdict::kHello && stale != Verdict::kFlows && stale != Verdict::kAnswers);
  ASSERT_FALSE(link.is_open());
  // From the peer itself: it echoes what we offer.
  std::vector<uint8_t> told(bytes.begin(), bytes.end());
  if (told.size() < kTextHeaderBytes) told.resize(kTextHeaderBytes);
  std::array<uint8_t, kMostTextBytes> ours;
  link.write_hello(0, "we", ours.data());
  std::memcpy(told.data(), ours.data() + kTextHeaderBytes, 8);
  const std::vector<uint8_t> datagram = seal(key, 2, told);
  const PeerLink::Opened opened = link.open(datagram, text.data());
  ASSERT_TRUE(opened.begins);
  ASSERT_EQ(link.open(datagram, text.data()).verdict, Verdict::kReplayed);
  if (opened.verdict == Verdict::kFlows) learn(opened.body);
  if (opened.verdict == Verdict::kAnswers) hear_answers(opened.body);
  learn(bytes);
  hear_answers(bytes);
}

}  // namespace sluice::testing

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>

#include "controlplane/announce/node_drain.h"
#include "controlplane/base/journal_file.h"
#include "controlplane/changes/block_file.h"
#include "controlplane/changes/blocks.h"
#include "controlplane/changes/by_hand.h"
#include "controlplane/changes/offender_file.h"
#include "controlplane/changes/standing.h"
#include "controlplane/discovery/kept_pools.h"
#include "controlplane/fleet/etcd_identity.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/small_node.h"

namespace sluice::testing {

namespace {

using namespace control;
using namespace std::chrono_literals;

/// What `write` makes of something that was read is read as the same. Whether `text` was read.
template <typename Read, typename Write>
bool expect_kept(const std::string& text, Read read, Write write) {
  const auto known = read(text);
  if (!known) {
    EXPECT_FALSE(known.error().empty());
    return false;
  }
  const std::string written = write(*known);
  const auto again = read(written);
  EXPECT_TRUE(again) << again.error();
  if (!again) return false;
  EXPECT_EQ(write(*again), written);
  return true;
}

/// How the model stood. Whatever it was, the configuration's own members and services are there afterwards.
void play_standing(const std::string& text) {
  SmallNode node;
  const auto read = [&](const std::string& each) { return standing_from(each, node.journal); };
  if (!expect_kept(text, read, standing_text)) return;
  node.model.take_over(*read(text));
  node.model.refresh();
  size_t own = 0;
  for (const Member& member : node.model.members()) own += member.removal ? 0 : 1;
  EXPECT_EQ(own, 2U);
  EXPECT_EQ(node.model.services().size(), 1U);
  (void)node.model.desired();
}

void play_by_hand(const std::string& text) {
  const auto read = [](const std::string& each) { return by_hand_from(each); };
  expect_kept(text, read, [](const ByHandEntries& entries) { return to_text(entries); });
}

void play_pools(const std::string& text) {
  expect_kept(text, pools_from, [](const DiscoveredPools& pools) { return control::text_of(to_json(pools)); });
}

void play_offenders(const std::string& text) {
  if (!expect_kept(text, offender_file_from, offender_file_text)) return;
  SmallNode node;
  Offenders offenders(node.journal);
  offenders.restore(*offender_file_from(text));
  config::Sources rules;
  rules.auth_failures.emplace();
  offenders.follow(rules);
  offenders.tick();
  for (const auto& [source, offender] : offenders.entries()) EXPECT_GT(offender.until, node.now);
}

void play_block_list(const std::string& text) {
  const auto read = block_list_from(text, "list");
  if (read) return;
  EXPECT_TRUE(read.error().starts_with("list:")) << read.error();
  for (const char c : read.error()) EXPECT_TRUE(c >= ' ' && c <= '~') << read.error();
}

void play_blocks(const std::string& text) {
  SmallNode node;
  node.state.write("blocks.json", text);
  Blocks blocks(node.journal, node.state.path());
  blocks.restore();
  blocks.tick();
  if (!blocks.block({ip("192.0.2.0"), 120}, 60s)) return;
  Blocks next(node.journal, node.state.path());
  next.restore();
  EXPECT_EQ(next.entries(), blocks.entries());
}

/// Events, to which one is added. Ids rise, whatever they were in the file.
void play_journal(const std::string& text) {
  SmallNode node;
  node.state.write("events.jsonl", text);
  JournalFile file(node.state.file("events.jsonl"));
  auto earlier = file.open();
  ASSERT_TRUE(earlier) << earlier.error();
  Journal journal = Journal::silent([&] { return node.now; });
  journal.restore(std::move(*earlier),
                  [&](const JournalEntry& entry) { EXPECT_EQ(file.append(entry, journal.entries()), ""); });
  journal.record(Severity::kInfo, "control", "fuzz", "goes on");
  uint64_t last = 0;
  for (const JournalEntry& entry : journal.entries()) {
    EXPECT_GT(entry.id, last);
    last = entry.id;
    EXPECT_FALSE(to_rfc3339(entry.time).empty());
  }
  const auto kept = JournalFile(node.state.file("events.jsonl")).open();
  ASSERT_TRUE(kept) << kept.error();
  ASSERT_FALSE(kept->empty());
  EXPECT_EQ(kept->back().text, "goes on");
  EXPECT_EQ(kept->size(), journal.entries().size());
}

void play_node(const std::string& text) {
  SmallNode node;
  node.state.write("node.json", text);
  NodeDrain drain(node.journal, node.state.path());
  drain.restore();
  const auto wish = drain.wish();
  drain.tick(NodeDrain::Flows{1, 1});
  drain.move_times(24h);
  EXPECT_EQ(drain.wish().has_value(), wish.has_value());
  EXPECT_TRUE(drain.drain(60s));
  NodeDrain next(node.journal, node.state.path());
  next.restore();
  ASSERT_TRUE(next.wish());
  EXPECT_EQ(next.wish()->since, drain.wish()->since);
  EXPECT_EQ(next.wish()->deadline, drain.wish()->deadline);
}

void play_etcd_identity(const std::string& text) {
  SmallNode node;
  const std::string path = node.state.file("etcd.json");
  node.state.write("etcd.json", text);
  EtcdIdentity identity(node.journal, path);
  identity.restore();
  EXPECT_NE(identity.known().has_value(), node.has_set_aside());
  identity.write_down();
  EtcdIdentity next(node.journal, path);
  next.restore();
  ASSERT_EQ(next.known().has_value(), identity.known().has_value());
  if (!next.known()) return;
  EXPECT_EQ(next.known()->cluster, identity.known()->cluster);
  EXPECT_EQ(next.known()->revision, identity.known()->revision);
  EXPECT_GE(next.known()->revision, 0);
}

}  // namespace

void play_state(FuzzInput bytes) {
  constexpr std::array kFiles{play_standing, play_by_hand, play_pools, play_offenders,    play_block_list,
                              play_blocks,   play_journal, play_node,  play_etcd_identity};
  if (!bytes.empty()) kFiles[bytes.front() % kFiles.size()](text_of(bytes.subspan(1)));
}

}  // namespace sluice::testing

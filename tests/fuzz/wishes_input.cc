// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "controlplane/changes/by_hand.h"
#include "controlplane/changes/fleet_block.h"
#include "controlplane/fleet/block_board.h"
#include "controlplane/fleet/wish_board.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {

namespace {

using namespace control;

void expect_line(const std::string& text) {
  for (const char c : text) EXPECT_FALSE((c >= 0 && c < ' ') || c == 0x7f) << text;
}

void expect_words(const std::string& text) {
  EXPECT_FALSE(text.empty());
  expect_line(text);
}

/// What is written of something that was read is read as the same.
template <typename T, typename Read>
void expect_kept(const T& value, Read read) {
  const std::string text = to_text(value);
  const auto again = read(text);
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(to_text(*again), text);
}

/// The first line is the key's name, the rest its value.
std::vector<etcd::Record> record_of(const std::string& prefix, const std::string& text) {
  const size_t end = text.find('\n');
  const std::string value = end == std::string::npos ? "" : text.substr(end + 1);
  return {{.key = prefix + text.substr(0, end), .value = value, .revision = 7}};
}

void play_wish(const std::string& text) {
  const WishListing said = wishes_in(record_of("/wishes/", text), "/wishes/");
  ASSERT_EQ(said.wishes.size(), 1U);
  for (const std::string& fault : said.faults) expect_words(fault);
  const auto& [name, wish] = *said.wishes.begin();
  EXPECT_EQ(wish.revision, 7);
  for (const std::string& shown : {name, wish.node, wish.who}) expect_line(shown);
  if (!said.faults.empty()) {
    EXPECT_TRUE(wish.entry.is_empty()) << "what makes no sense wishes for nothing";
    return;
  }
  expect_kept(wish, wish_from);
  expect_kept(said.wishes, wishes_from);
}

void play_block(const std::string& text) {
  const auto records = record_of("/blocks/", text);
  const BlockListing said = blocks_in(records, "/blocks/");
  EXPECT_EQ(said.heard.entries.size() + said.faults.size(), 1U);
  for (const std::string& fault : said.faults) expect_words(fault);
  for (const auto& [prefix, block] : said.heard.entries) {
    EXPECT_EQ("/blocks/" + prefix.to_string(), records.front().key);
    EXPECT_EQ(said.heard.revisions.at(prefix), 7);
    for (const std::string& shown : {block.node, block.who}) expect_line(shown);
    expect_kept(block, fleet_block_from);
    const FencedChange change = fenced({prefix, 7, block});
    EXPECT_EQ(change.value, to_text(block));
    EXPECT_EQ(change.lasts.has_value(), block.block.until.has_value());
  }
  expect_kept(said.heard.entries, fleet_blocks_from);
}

/// Another has been faster: whose word it is has to be told.
void play_conflict(const std::string& text) {
  const auto now = record_of("/blocks/", text);
  const FencedChange change{now.front().key.substr(std::string("/blocks/").size()), 3, "{}"};
  const auto conflict = conflict_in({change}, "/blocks/", now);
  EXPECT_EQ(conflict.has_value(), now.front().value != "{}");
  expect_words(author_of(text));
}

template <typename Read>
void play_kept(const std::string& text, Read read) {
  const auto entries = read(text);
  if (entries) return expect_kept(*entries, read);
  EXPECT_FALSE(entries.error().empty());
}

}  // namespace

void play_wishes(FuzzInput bytes) {
  if (bytes.empty()) return;
  const std::string text = text_of(bytes.subspan(1));
  switch (bytes.front() % 5) {
    case 0:
      return play_wish(text);
    case 1:
      return play_block(text);
    case 2:
      return play_conflict(text);
    case 3:
      return play_kept(text, [](const std::string& all) { return wishes_from(all); });
    default:
      return play_kept(text, [](const std::string& all) { return fleet_blocks_from(all); });
  }
}

}  // namespace sluice::testing

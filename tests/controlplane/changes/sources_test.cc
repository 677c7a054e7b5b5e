// SPDX-License-Identifier: Apache-2.0
//
// Who may come, from a file, by hand and by exemption.
#include "controlplane/changes/sources.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

config::IpPrefix prefix(const std::string& text) {
  const auto parsed = config::IpPrefix::parse(text);
  EXPECT_TRUE(parsed) << text << " " << parsed.error();
  return parsed.value_or(config::IpPrefix{});
}

TEST(BlockFile, TakesPrefixesAddressesCommentsAndBlanks) {
  const auto read = block_list_from(
      "# a list\n\n192.0.2.0/24\t# a network\r\n  198.51.100.7\n2001:db8::/32#x\n::1\n203.0.113.0/25", "list");
  ASSERT_TRUE(read) << read.error();
  std::vector<std::string> texts;
  for (const auto& each : *read) texts.push_back(each.to_string());
  EXPECT_EQ(texts, (std::vector<std::string>{"192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "::1/128",
                                             "203.0.113.0/25"}));
  EXPECT_TRUE(block_list_from("", "list")->empty());
}

TEST(BlockFile, IsRefusedWholeWithTheLineThatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"192.0.2.0/24\n\nexample.net\n", "list:3: \"example.net\" is no prefix; allowed: a prefix such as"},
      {"192.0.2.1/24\n", "list:1: \"192.0.2.1/24\" has bits set behind its length; 192.0.2.0/24 does not; allowed"},
      {"2001:db8::1/64", "list:1: \"2001:db8::1/64\" has bits set behind its length; 2001:db8::/64 does not; allowed"},
      {"192.0.2.0/33", "list:1: \"192.0.2.0/33\" has 33 where a length should stand; allowed"},
      {"192.0.2.0/", "list:1: \"192.0.2.0/\" has  where a length should stand; allowed"},
      {"192.0.2.0/24 203.0.113.0/24", "list:1: \"192.0.2.0/24 203.0.113.0/24\" has 24 203.0.113.0/24 where"},
      {std::string("192.0.2.0\0/24", 13), "list:1: \"192.0.2.0?/24\" is no prefix"},
      {"\x80\xff\n", "list:1: \"??\" is no prefix"},
      {std::string(100'000, 'x'), "list:1: \"xxxxxxxxxxxxxxxx"},
  };
  for (const auto& [text, fault] : cases) {
    const auto read = block_list_from(text, "list");
    ASSERT_FALSE(read) << text;
    EXPECT_TRUE(read.error().starts_with(fault)) << read.error();
    EXPECT_LT(read.error().size(), 300u);
  }
  std::string million;
  for (size_t i = 0; i <= kMaxFilePrefixes; i++) million += "::1\n";
  EXPECT_EQ(block_list_from(million, "list").error(), "list:1000001: has more than 1000000 prefixes");
}

TEST(BlockFile, IsARegularFile) {
  const StateDirectory directory;
  EXPECT_TRUE(read_regular_file(directory.path() + "/none").error().ends_with("No such file or directory"));
  EXPECT_TRUE(read_regular_file(directory.path()).error().ends_with("is no regular file"));
  const std::string pipe = directory.path() + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(read_regular_file(pipe).error().ends_with("is no regular file"));  // and nobody waits for a writer
}

class SourcesTest : public testing::Test {
 protected:
  SourcesTest() { make(); }

  void make() {
    sources_.reset();
    sources_ = std::make_unique<Sources>(io_, journal_, directory_.path(), [this] { changes_++; });
  }
  void write(const std::string& text) {
    std::ofstream(file_ + ".new") << text;
    std::filesystem::rename(file_ + ".new", file_);
  }
  config::Sources config(const std::vector<std::string>& allow = {}) const {
    config::Sources out;
    out.block_file = file_;
    for (const auto& text : allow) out.allow.push_back(prefix(text));
    return out;
  }
  /// Until there is a list more than `before`.
  void wait_for_change(unsigned before) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (changes_ == before) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      io_.run_for(1ms);
      io_.restart();
    }
  }
  template <typename Action>
  void after(Action action) {
    const unsigned before = changes_;
    action();
    wait_for_change(before);
  }
  bool is_blocked(const std::string& address) { return sources_->list()->contains(prefix(address).address); }
  std::string last_event() const { return journal_.entries().back().text; }

  SystemTime now_ = SystemTime(1'700'000'000s);
  boost::asio::io_context io_;
  StateDirectory directory_;
  std::string file_ = directory_.path() + "/block.txt";
  Journal journal_{[this] { return now_; }};
  unsigned changes_ = 0;
  std::unique_ptr<Sources> sources_;
};

TEST_F(SourcesTest, WithoutASettingNobodyIsBlocked) {
  EXPECT_EQ(sources_->list(), nullptr);
  sources_->start({});
  ASSERT_NE(sources_->list(), nullptr);  // at once, as nothing has to be read
  EXPECT_EQ(changes_, 0u);               // whoever starts it knows
  EXPECT_FALSE(is_blocked("192.0.2.1"));
  EXPECT_EQ(sources_->file_fault(), "");
}

TEST_F(SourcesTest, BlocksWhatTheFileSaysAndExemptsWhatIsAllowed) {
  write("192.0.2.0/24\n2001:db8::/32\n192.0.2.0/25\n");
  after([&] { sources_->start(config({"192.0.2.128/25", "2001:db8:1::/48"})); });
  EXPECT_TRUE(is_blocked("192.0.2.1"));
  EXPECT_FALSE(is_blocked("192.0.2.200"));
  EXPECT_TRUE(is_blocked("2001:db8::1"));
  EXPECT_FALSE(is_blocked("2001:db8:1::1"));
  EXPECT_EQ(sources_->file_prefixes(), 3u);
}

TEST_F(SourcesTest, BlocksWhoIsBlockedOnAllNodesBesideThoseOfThisOne) {
  sources_->start({});
  sources_->block(prefix("192.0.2.0/25"), std::nullopt);
  const FleetBlock said{{now_, now_ + 60s}, "edge2", "ops", 7};
  sources_->hear_fleet({{{prefix("192.0.2.0/24"), said}}, {{prefix("192.0.2.0/24"), 7}}});
  EXPECT_TRUE(is_blocked("192.0.2.200"));
  const auto by = sources_->what_blocks(prefix("192.0.2.1"), 10);
  ASSERT_EQ(by.size(), 2u);
  EXPECT_TRUE(by[0].by_hand);
  EXPECT_EQ(by[1].on_all_nodes, said);
  sources_->unblock(prefix("192.0.2.0/25"));
  EXPECT_TRUE(is_blocked("192.0.2.1")) << "that was said here, and no more";
  EXPECT_FALSE(sources_->unblock(prefix("192.0.2.0/24")));
  make();
  sources_->start({});
  EXPECT_TRUE(is_blocked("192.0.2.1")) << "kept, as etcd may be away";
  now_ += 60s;
  sources_->tick();
  EXPECT_FALSE(is_blocked("192.0.2.1"));
}

TEST_F(SourcesTest, ReadsTheFileAgainWhenItIsReplacedOrWrittenTo) {
  write("192.0.2.0/24\n");
  after([&] { sources_->start(config()); });
  sources_->tick();
  EXPECT_EQ(changes_, 1u);
  write("198.51.100.0/24\n");
  after([&] { sources_->tick(); });
  EXPECT_FALSE(is_blocked("192.0.2.1"));
  EXPECT_TRUE(is_blocked("198.51.100.1"));
  std::ofstream(file_, std::ios::app) << "203.0.113.0/24\n";
  after([&] { sources_->tick(); });
  EXPECT_TRUE(is_blocked("203.0.113.1"));
}

TEST_F(SourcesTest, AFileThatIsBadOrGoneLeavesTheLastGoodOne) {
  write("192.0.2.0/24\n");
  after([&] { sources_->start(config()); });
  write("198.51.100.0/24\nnonsense\n");
  after([&] { sources_->tick(); });
  EXPECT_TRUE(is_blocked("192.0.2.1"));
  EXPECT_FALSE(is_blocked("198.51.100.1"));
  EXPECT_NE(sources_->file_fault().find("block.txt:2: \"nonsense\" is no prefix"), std::string::npos);
  EXPECT_TRUE(last_event().starts_with("refused, the 1 prefixes of before stay blocked: ")) << last_event();
  std::filesystem::remove(file_);
  after([&] { sources_->tick(); });
  EXPECT_TRUE(is_blocked("192.0.2.1"));
  const size_t events = journal_.entries().size();
  sources_->tick();  // told once
  EXPECT_EQ(journal_.entries().size(), events);
  write("198.51.100.0/24\n");
  after([&] { sources_->tick(); });
  EXPECT_TRUE(is_blocked("198.51.100.1"));
  EXPECT_EQ(sources_->file_fault(), "");
}

TEST_F(SourcesTest, AStartThatFindsABadFileTakesTheLastGoodOneOfItsPath) {
  write("192.0.2.0/24\n");
  after([&] { sources_->start(config()); });
  write("nonsense\n");
  make();
  after([&] { sources_->start(config()); });
  EXPECT_TRUE(is_blocked("192.0.2.1"));
  EXPECT_NE(sources_->file_fault(), "");
  config::Sources other = config();
  other.block_file += "-of-another";
  make();
  after([&] { sources_->start(other); });
  EXPECT_FALSE(is_blocked("192.0.2.1"));
}

TEST_F(SourcesTest, FollowsTheConfiguration) {
  write("192.0.2.0/24\n");
  after([&] { sources_->start(config()); });
  after([&] { sources_->follow(config({"192.0.2.7"})); });
  EXPECT_FALSE(is_blocked("192.0.2.7"));
  EXPECT_TRUE(is_blocked("192.0.2.8"));
  after([&] { sources_->follow({}); });
  EXPECT_FALSE(is_blocked("192.0.2.8"));
  EXPECT_EQ(sources_->file_prefixes(), 0u);
}

TEST_F(SourcesTest, BlocksByHandForATimeAndOverAStart) {
  sources_->start({});
  after([&] { EXPECT_EQ(*sources_->block(prefix("192.0.2.0/24"), {}), ""); });
  after([&] { EXPECT_EQ(*sources_->block(prefix("2001:db8::7"), 600s), ""); });
  EXPECT_EQ(last_event(), "blocked by hand until 2023-11-14T22:23:20.000Z");
  make();
  sources_->start({});
  EXPECT_TRUE(is_blocked("192.0.2.1"));
  EXPECT_TRUE(is_blocked("2001:db8::7"));
  now_ += 599s;
  sources_->tick();
  EXPECT_EQ(sources_->by_hand().size(), 2u);
  now_ += 1s;
  after([&] { sources_->tick(); });
  EXPECT_FALSE(is_blocked("2001:db8::7"));
  EXPECT_TRUE(is_blocked("192.0.2.1"));
  EXPECT_EQ(last_event(), "no longer blocked by hand: its time is up");
  after([&] { EXPECT_EQ(*sources_->unblock(prefix("192.0.2.0/24")), ""); });
  EXPECT_FALSE(is_blocked("192.0.2.1"));
  EXPECT_EQ(sources_->unblock(prefix("192.0.2.0/24")).error(), "192.0.2.0/24 is not blocked by hand");
}

TEST_F(SourcesTest, WhatExpiresWhileControlIsAwayIsFreeAtItsStart) {
  sources_->start({});
  after([&] { EXPECT_TRUE(sources_->block(prefix("192.0.2.0/24"), 60s)); });
  now_ += 61s;
  make();
  sources_->start({});
  EXPECT_FALSE(is_blocked("192.0.2.1"));
}

TEST_F(SourcesTest, AStateFileThatMakesNoSenseIsSetAside) {
  std::ofstream(directory_.path() + "/blocks.json") << R"({"version":1,"blocks":{"mail.example":{"since_ms":1}}})";
  sources_->start({});
  EXPECT_TRUE(sources_->by_hand().empty());
  EXPECT_TRUE(std::filesystem::exists(directory_.path() + "/blocks.json.unreadable"));
}

TEST_F(SourcesTest, WhoGaveOffenceIsKeptOutOverAStart) {
  config::Sources config;
  config.auth_failures.emplace(config::AuthFailures{.per_minute = 2, .block_for = 900, .services = {}});
  config.early_talkers = config::EarlyTalkers{.remember = 60, .then = config::ThenOnOffence::k421};
  const auto see = [&](const std::string& client, uint8_t failures) {
    channel::SessionRecord record{};
    record.client.address.bytes = config::IpAddress::parse(client).value().bytes;
    record.notes.refused[channel::SessionNotes::place_of(channel::SmtpStep::kAuth)] = failures;
    record.notes.flags = failures == 0 ? uint32_t{channel::kSessionEarly} : 0;
    sources_->see(record, "submission");
  };
  sources_->start(config);
  see("192.0.2.7", 3);
  see("2001:db8::7", 3);
  see("192.0.2.8", 0);
  after([&] { sources_->tick(); });
  now_ += 5s;
  see("192.0.2.8", 0);  // again: its time begins anew
  after([&] { sources_->tick(); });
  const auto before = sources_->offenders().entries();
  ASSERT_EQ(before.size(), 3u);
  make();
  sources_->start(config);
  EXPECT_EQ(sources_->offenders().entries(), before);
  EXPECT_TRUE(is_blocked("192.0.2.7"));
  EXPECT_TRUE(is_blocked("2001:db8::1"));
  EXPECT_TRUE(sources_->refused()->contains(prefix("192.0.2.8").address));
  now_ += 61s;
  make();
  sources_->start(config);
  EXPECT_EQ(sources_->offenders().entries().size(), 2u) << "the early talker's time was up";
  after([&] { EXPECT_TRUE(sources_->unblock(prefix("192.0.2.7"))); });
  make();
  config.auth_failures->services = {"relay"};
  sources_->start(config);
  EXPECT_TRUE(is_blocked("2001:db8::1"));
  EXPECT_FALSE(is_blocked("192.0.2.7")) << "forgiven is forgiven";
  make();
  sources_->start({});
  EXPECT_TRUE(sources_->offenders().entries().empty()) << "no rule keeps them out any more";
}

TEST_F(SourcesTest, OffendersThatMakeNoSenseAreSetAside) {
  for (const char* text :
       {R"({"version":1,"blocks":{"192.0.2.7/32":{"since_ms":1,"until_ms":2,"offence":"rudeness","hears":true}}})",
        R"({"version":1,"blocks":{"192.0.2.7/32":{"since_ms":1,"offence":"early_talker","hears":true}}})", "[]"}) {
    std::filesystem::remove(directory_.path() + "/offenders.json.unreadable");
    std::ofstream(directory_.path() + "/offenders.json") << text;
    make();
    sources_->start({});
    EXPECT_TRUE(sources_->offenders().entries().empty());
    EXPECT_TRUE(std::filesystem::exists(directory_.path() + "/offenders.json.unreadable")) << text;
  }
}

TEST_F(SourcesTest, SaysWhatBlocksAPrefix) {
  write("192.0.0.0/16\n192.0.2.0/25\n198.51.100.0/24\n");
  after([&] { sources_->start(config({"192.0.3.0/24"})); });
  after([&] { EXPECT_TRUE(sources_->block(prefix("192.0.2.0/24"), 60s)); });
  const auto by = sources_->what_blocks(prefix("192.0.2.7"), 10);
  ASSERT_EQ(by.size(), 3u);
  EXPECT_EQ(by[0].prefix.to_string(), "192.0.2.0/25");
  EXPECT_FALSE(by[0].by_hand);
  EXPECT_EQ(by[1].prefix.to_string(), "192.0.2.0/24");
  ASSERT_TRUE(by[1].by_hand);
  EXPECT_EQ(by[1].by_hand->until, now_ + 60s);
  EXPECT_EQ(by[2].prefix.to_string(), "192.0.0.0/16");
  const auto longest = [&](const std::string& source) {
    const auto found = sources_->longest_block(prefix(source).address);
    return found ? found->prefix.to_string() + " " + std::string(name_of(*found)) : "";
  };
  EXPECT_EQ(longest("192.0.2.7"), "192.0.2.0/25 file");
  EXPECT_EQ(longest("192.0.2.200"), "192.0.2.0/24 hand");
  EXPECT_EQ(longest("192.0.200.1"), "192.0.0.0/16 file");
  EXPECT_EQ(longest("198.51.100.255"), "198.51.100.0/24 file");
  EXPECT_EQ(longest("198.51.101.0"), "");
  EXPECT_EQ(longest("10.0.0.1"), "");
  EXPECT_EQ(longest("2001:db8::1"), "");
  EXPECT_EQ(sources_->what_blocks(prefix("198.51.0.0/16"), 10).size(), 1u);  // a part of it
  EXPECT_TRUE(sources_->what_blocks(prefix("203.0.113.7"), 10).empty());
  EXPECT_EQ(sources_->what_blocks(prefix("192.0.0.0/8"), 2).size(), 2u);
  EXPECT_TRUE(sources_->is_exempt(prefix("192.0.3.7")));
  EXPECT_FALSE(sources_->is_exempt(prefix("192.0.2.0/23")));
}

TEST_F(SourcesTest, TheLongestBlockOfASourceIsFoundAmongMany) {
  std::string text = "0.0.0.0/1\n2001:db8::/32\n";
  for (int i = 0; i < 200; i++)
    text += fmt::format("10.{}.0.0/16\n10.{}.{}.0/24\n10.{}.{}.128/26\n2001:db8:{:x}::/48\n", i, i, i, i, i, i);
  write(text);
  after([&] { sources_->start(config()); });
  uint64_t seed = 1;
  for (int i = 0; i < 2000; i++) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto part = [&](int shift) { return static_cast<unsigned>(seed >> shift & 0xff); };
    const std::string source = i % 4 == 0
                                   ? fmt::format("2001:db8:{:x}::{:x}", part(40), part(48))
                                   : fmt::format("10.{}.{}.{}", part(40), i % 2 == 0 ? part(40) : part(48), part(32));
    const auto found = sources_->longest_block(prefix(source).address);
    ASSERT_TRUE(found) << source;
    EXPECT_EQ(found->prefix, sources_->what_blocks(prefix(source), 1).at(0).prefix) << source;
  }
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/state_file.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>

#include "controlplane/base/journal_file.h"
#include "controlplane/changes/by_hand.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

const SystemTime kNow{std::chrono::seconds(1'800'000'000)};

TEST(StateFile, IsReplacedWhole) {
  const StateDirectory directory;
  const std::string path = directory.file("by-hand.json");
  EXPECT_EQ(read_state(path).value(), std::nullopt);
  ASSERT_TRUE(save_state(path, "first"));
  ASSERT_TRUE(save_state(path, "second"));
  EXPECT_EQ(read_state(path).value(), "second");
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  struct stat info{};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07, 0u) << "not for everyone";
}

TEST(StateFile, StaysAsItWasWhenTheNewOneCannotBeWritten) {
  const StateDirectory directory;
  const std::string path = directory.file("by-hand.json");
  ASSERT_TRUE(save_state(path, "first"));
  std::filesystem::create_directory(path + ".new");
  const auto saved = save_state(path, "second");
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().find(path + ".new"), std::string::npos) << saved.error();
  EXPECT_EQ(read_state(path).value(), "first");
}

TEST(StateDirectoryTest, IsMadeWithWhatLeadsToIt) {
  const StateDirectory directory;
  EXPECT_TRUE(make_state_directory(directory.file("a/b")));
  EXPECT_TRUE(make_state_directory(directory.file("a/b"))) << "it exists";
  directory.write("file", "");
  EXPECT_FALSE(make_state_directory(directory.file("file/c")));
}

TEST(ByHandText, GoesThereAndBack) {
  ByHandEntries entries;
  entries["mta/mta1"] = {
      .admin = Admin::kDraining, .admin_since = kNow, .deadline = kNow + 10min, .weight = 7, .weight_since = kNow};
  entries["mta/mta2:25"] = {.admin = Admin::kDisabled, .admin_since = kNow, .flows_cut = 12};
  entries["mta/mta3"] = {.warm_up = {.paused = kNow, .behind = 90s}, .warm_up_since = kNow + 1s};
  const auto back = by_hand_from(to_text(entries));
  ASSERT_TRUE(back) << back.error();
  EXPECT_EQ(*back, entries);
}

TEST(ByHandText, RefusesWhatItDoesNotUnderstand) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"version": 1})", R"({"version": 2, "backends": {}})",
        R"({"version": 1e300, "backends": {}})",
        R"({"version": 1, "backends": {"a/b": {"admin": "asleep", "admin_since_ms": 1, "flows_cut": 0}}})",
        R"({"version": 1, "backends": {"a/b": {"weight": "many", "weight_since_ms": 1}}})"}) {
    SCOPED_TRACE(text);
    const auto entries = by_hand_from(text);
    ASSERT_FALSE(entries);
    EXPECT_NE(entries.error(), "");
  }
}

class JournalFileTest : public testing::Test {
 protected:
  JournalFileTest() { spdlog::set_level(spdlog::level::off); }
  ~JournalFileTest() override { spdlog::set_level(spdlog::level::info); }

  /// A journal that goes on with what the file holds.
  struct Kept {
    explicit Kept(const std::string& path) : file(path), journal([this] { return now; }) {
      auto earlier = file.open();
      EXPECT_TRUE(earlier);
      if (earlier) {
        journal.restore(std::move(*earlier),
                        [this](const JournalEntry& entry) { EXPECT_EQ(file.append(entry, journal.entries()), ""); });
      }
    }
    void record(const std::string& text) { journal.record(Severity::kWarning, "backend", "mta/mta1:25", text); }
    SystemTime now = kNow;
    JournalFile file;
    Journal journal;
  };

  StateDirectory directory_;
  std::string path_ = directory_.file("events.jsonl");
};

TEST_F(JournalFileTest, OutlivesTheProcess) {
  {
    Kept kept(path_);
    kept.record("down (was up): \xff\x80 strange bytes\n\"quoted\"");
    kept.record("up (was down)");
  }
  Kept kept(path_);
  ASSERT_EQ(kept.journal.entries().size(), 2u);
  const JournalEntry& first = kept.journal.entries()[0];
  EXPECT_EQ(first.time, kNow);
  EXPECT_EQ(first.severity, Severity::kWarning);
  EXPECT_EQ(first.kind, "backend");
  EXPECT_EQ(first.subject, "mta/mta1:25");
  EXPECT_NE(first.text.find("strange bytes\n\"quoted\""), std::string::npos);
  EXPECT_EQ(kept.journal.entries()[1].text, "up (was down)");
}

TEST_F(JournalFileTest, PassesOverATornLineWhereverItIsCut) {
  {
    Kept kept(path_);
    for (const char* text : {"one", "two", "three"}) kept.record(text);
  }
  const std::string whole = directory_.read("events.jsonl");
  const size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t cut = last + 1; cut < whole.size() - 1; cut++) {
    SCOPED_TRACE(cut);
    directory_.write("events.jsonl", whole.substr(0, cut));
    {
      Kept kept(path_);
      ASSERT_EQ(kept.journal.entries().size(), 2u);
      kept.record("four");
    }
    Kept again(path_);
    ASSERT_EQ(again.journal.entries().size(), 3u);
    EXPECT_EQ(again.journal.entries().back().text, "four") << "what comes after the torn line is not lost";
  }
}

TEST_F(JournalFileTest, TellsTrueTimesAfterAClockThatWasAhead) {
  uint64_t last = 0;
  {
    Kept kept(path_);
    kept.now = kNow + std::chrono::years(10);
    kept.record("ahead");
    kept.now = kNow;
    kept.record("set right");
    EXPECT_EQ(kept.journal.entries()[1].time, kNow);
    last = kept.journal.entries()[1].id;
    EXPECT_GT(last, kept.journal.entries()[0].id);
  }
  Kept kept(path_);
  kept.record("after a restart");
  ASSERT_EQ(kept.journal.entries().size(), 3u);
  EXPECT_EQ(kept.journal.entries()[1].time, kNow);
  EXPECT_EQ(kept.journal.entries()[1].id, last);
  EXPECT_EQ(kept.journal.entries()[2].time, kNow);
  EXPECT_GT(kept.journal.entries()[2].id, last);
}

TEST_F(JournalFileTest, NumbersWhatCameBeforeItWasReadAfterWhatItHolds) {
  {
    Kept kept(path_);
    kept.now = kNow + std::chrono::hours(1);
    kept.record("ahead");
  }
  JournalFile file(path_);
  Journal journal([] { return kNow; });
  journal.record(Severity::kInfo, "control", "test", "begins");
  journal.restore(file.open().value(), {});
  EXPECT_GT(journal.entries()[1].id, journal.entries()[0].id);
}

TEST_F(JournalFileTest, UnderstandsLinesWithoutAnId) {
  directory_.write("events.jsonl", R"({"time_us":7,"severity":"info","kind":"control","subject":"s","text":"old"})"
                                   "\n");
  Kept kept(path_);
  ASSERT_EQ(kept.journal.entries().size(), 1u);
  EXPECT_EQ(kept.journal.entries()[0].id, 7u);
}

TEST_F(JournalFileTest, PassesOverWhatHasNoTimeAndNumbersTheRestUpwards) {
  const auto line = [](const char* id, const char* time_us, const char* text) {
    return std::string(R"({"id": )") + id + R"(, "time_us": )" + time_us +
           R"(, "severity": "info", "kind": "a", "subject": "b", "text": ")" + text + "\"}\n";
  };
  directory_.write("events.jsonl", line("1", "9223372036854775807", "beyond the clock") + line("2", "-1", "before it") +
                                       line("18446744073709551615", "5", "of no clock") + line("7", "5", "first") +
                                       line("3", "1e30", "no whole number") + line("3", "6", "second"));
  Kept kept(path_);
  const auto& entries = kept.journal.entries();
  ASSERT_EQ(entries.size(), 3u);
  kept.record("third");
  Kept again(path_);
  ASSERT_EQ(again.journal.entries().size(), 4u);
  for (const auto* journal : {&kept.journal, &again.journal}) {
    uint64_t last = 0;
    for (const JournalEntry& entry : journal->entries()) {
      EXPECT_GT(entry.id, last) << entry.text;
      last = entry.id;
    }
  }
}

TEST_F(JournalFileTest, SetsAFileAsideInWhichNothingMakesSense) {
  directory_.write("events.jsonl", "garbage\nmore\n");
  Kept kept(path_);
  EXPECT_TRUE(kept.journal.entries().empty());
  kept.record("one");
  EXPECT_EQ(directory_.read("events.jsonl.unreadable"), "garbage\nmore\n");
}

TEST_F(JournalFileTest, IsBounded) {
  {
    Kept kept(path_);
    for (size_t i = 0; i < JournalFile::kMaxLines + 5; i++) kept.record(std::to_string(i));
    const std::string text = directory_.read("events.jsonl");
    EXPECT_LE(static_cast<size_t>(std::ranges::count(text, '\n')), Journal::kMaxEntries + 5);
  }
  Kept kept(path_);
  EXPECT_EQ(kept.journal.entries().size(), Journal::kMaxEntries);
  EXPECT_EQ(kept.journal.entries().back().text, std::to_string(JournalFile::kMaxLines + 4));
}

TEST_F(JournalFileTest, SaysOnceThatItCannotKeepAnything) {
  JournalFile file(directory_.file("none/events.jsonl"));
  EXPECT_FALSE(file.open());
  EXPECT_EQ(file.append({}, {}), "");
}

}  // namespace
}  // namespace sluice::control

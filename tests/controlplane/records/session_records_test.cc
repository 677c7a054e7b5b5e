// SPDX-License-Identifier: Apache-2.0
//
// From the workers' rings to a file, against a data plane of which only the channel is real.
#include "controlplane/records/session_records.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/controlplane/support/hello_bytes.h"
#include "tests/controlplane/support/hello_pieces.h"
#include "tests/controlplane/support/model_fixture.h"
#include "tests/controlplane/support/settled_channel.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

const Address kBlocked = Address::v4(Be32::of(0xc6336407));

class Records : public ModelTest, protected SettledChannel {
 protected:
  Records() : SettledChannel({.ending = [this] { records_->drain(); }}) {
    bring_up(model_);
    records_.emplace(io_, model_, client_, journal_, "edge1", SessionRecords::Watcher{}, [](const Address& source) {
      return source == kBlocked ? std::make_shared<const BlockNames>("198.51.100.7/32", "hand") : nullptr;
    });
    settle(model_.desired());
    records_->start();
  }
  ~Records() override {
    records_->stop();
    close();
  }

  /// A session that went well, of client port `n`, on the first backend.
  static channel::SessionRecord session(uint16_t n) {
    channel::SessionRecord out{};
    out.ended_ms = 1000 + n;
    out.client = {Address::v4(Be32::of(0xc6336407)), Be16::of(n)};
    out.backend_generation = 1;
    out.notes.flags = channel::kSessionEstablished;
    return out;
  }
  void end_session(channel::SessionRecord record, uint32_t worker = 0) {
    const auto& [id, put] = *dataplane_.worker(worker).backends.begin();
    record.backend = record.backend == channel::kNoBackend ? record.backend : id;
    record.backend_generation = put.generation;
    ASSERT_TRUE(dataplane_.end_session(worker, record));
  }
  std::vector<json> written() const {
    std::vector<json> out;
    std::ifstream file(file_);
    for (std::string line; std::getline(file, line);) out.push_back(json::parse(line));
    return out;
  }
  uint64_t done() const {
    const auto figures = records_->figures();
    return figures.written + figures.lost + figures.overrun + figures.sampled_out;
  }

  Model model_ = model();
  const std::string file_ = directory_.file("sessions.jsonl");
  std::optional<SessionRecords> records_;
};

TEST_F(Records, OfAllWorkersAreWrittenWithNames) {
  records_->follow({.to = "file:" + file_});
  end_session(session(1));
  end_session(session(2), 1);
  run_until([&] { return done() == 2; });
  const auto lines = written();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["service"], "relay");
  EXPECT_EQ(lines[0]["pool"], "mta");
  EXPECT_TRUE(lines[0]["backend"].get<std::string>().starts_with("mta"));
  EXPECT_EQ(lines[0]["client_port"], 1);
  EXPECT_EQ(lines[1]["worker"], 1);
  EXPECT_EQ(records_->output(), "file");
}

TEST_F(Records, OfABlockedSourceNameWhatBlockedIt) {
  channel::SessionRecord refused = session(1);
  refused.end = channel::SessionEnd::kRefused;
  refused.cause = static_cast<uint16_t>(channel::Counter::kDropPolicy);
  refused.backend = channel::kNoBackend;
  ASSERT_TRUE(dataplane_.end_session(0, refused));
  refused.client.address = Address::v4(Be32::of(0xc6336408));
  ASSERT_TRUE(dataplane_.end_session(0, refused));
  end_session(session(2));
  std::vector<json> seen;
  run_until([&] {
    seen.clear();
    for (const auto& text : records_->see({}, 1, 10).sessions) seen.push_back(json::parse(text));
    return seen.size() == 3;
  });
  EXPECT_EQ(seen[0]["blocked_prefix"], "198.51.100.7/32");
  EXPECT_EQ(seen[0]["blocked_by"], "hand");
  EXPECT_FALSE(seen[1].contains("blocked_prefix")) << "it is blocked no more";
  EXPECT_FALSE(seen[2].contains("blocked_prefix"));
}

TEST_F(Records, SayHowTheirClientBeganTls) {
  records_->follow({.to = "file:" + file_});
  for (const auto& piece : hello_pieces(browsers_hello().message(), 1)) ASSERT_TRUE(dataplane_.say_hello(0, piece));
  channel::SessionRecord record = session(1);
  record.client = hello_client(1);
  record.notes.begun_ms = 1000;
  record.notes.flags |= channel::kSessionWatched | channel::kSessionTlsBegun;
  end_session(record);
  run_until([&] { return done() == 1; });
  EXPECT_EQ(written().at(0)["sni"], "mx.example.net");
  EXPECT_EQ(written().at(0)["ja4"], "t13d1516h2_8daaf6152771_e5627efa2ab1");
  EXPECT_EQ(records_->hello_figures().read, 1u);
}

TEST_F(Records, KeepTheNameOfABackendThatIsGone) {
  records_->follow({.to = "file:" + file_});
  end_session(session(1));
  run_until([&] { return done() == 1; });
  config_.pools[0].backends.clear();
  model_ = model();
  client_.publish(model_.desired(), ChannelClient::Clock::now());
  const auto& [id, put] = *dataplane_.worker(0).backends.begin();
  channel::SessionRecord record = session(2);
  record.backend = id;
  record.backend_generation = put.generation;
  run_until([&] { return client_.is_settled(); });
  ASSERT_TRUE(dataplane_.end_session(0, record));
  run_until([&] { return done() == 2; });
  EXPECT_EQ(written()[1]["backend"], written()[0]["backend"]);
}

TEST_F(Records, OfWhatWentWrongAreWrittenWhateverTheShare) {
  records_->follow({.to = "file:" + file_, .share = 0});
  for (uint16_t n = 1; n <= 100; n++) end_session(session(n));
  channel::SessionRecord wrong = session(101);
  wrong.end = channel::SessionEnd::kReset;
  end_session(wrong);
  run_until([&] { return done() == 101; });
  ASSERT_EQ(written().size(), 1u);
  EXPECT_EQ(written()[0]["client_port"], 101);
  records_->follow({.to = "file:" + file_, .share = 0.5});
  for (uint16_t n = 1; n <= 2000; n++) end_session(session(n));
  run_until([&] { return done() == 2101; });
  EXPECT_GT(written().size(), 800u);
  EXPECT_LT(written().size(), 1200u);
}

TEST_F(Records, MayGoElsewhereFromOneMomentToTheNext) {
  records_->follow({.to = "file:" + file_});
  end_session(session(1));
  run_until([&] { return done() == 1; });
  records_->follow({.to = "file:" + file_ + "2"});
  end_session(session(2));
  run_until([&] { return done() == 2; });
  EXPECT_EQ(written().size(), 1u);
  records_->follow({});
  EXPECT_EQ(records_->output(), "none");
  end_session(session(3));
  run_until([&] { return records_->see({}, std::nullopt, 10).sessions.size() == 3; });
  EXPECT_EQ(done(), 2u);
}

TEST_F(Records, ThatCannotBeWrittenAreToldOnceAndAgainWhenTheyCan) {
  records_->follow({.to = "file:" + directory_.path() + "/later/sessions.jsonl"});
  for (uint16_t n = 1; n <= 3; n++) {
    end_session(session(n));
    run_until([&] { return done() == n; });
  }
  EXPECT_TRUE(records_->figures().failing);
  run_until([&] { return journal_says("records", "records of sessions are lost: "); });
  std::filesystem::create_directory(directory_.path() + "/later");
  end_session(session(4));
  run_until([&] { return journal_says("records", "written again; 3 were lost"); });
  EXPECT_FALSE(records_->figures().failing);
  EXPECT_EQ(records_->figures().lost, 3u);
  EXPECT_EQ(std::ranges::count(journal_.entries(), "records", &JournalEntry::subject), 2);
}

TEST_F(Records, ThatLieInTheRingWhenControlStopsAreWritten) {
  records_->follow({.to = "file:" + file_});
  for (uint16_t n = 1; n <= 50; n++) end_session(session(n));
  records_->stop();
  records_.reset();
  EXPECT_EQ(written().size(), 50u);
  records_.emplace(io_, model_, client_, journal_, "edge1");
}

TEST_F(Records, ThatLieInTheRingWhenTheDataPlaneEndsAreWritten) {
  records_->follow({.to = "file:" + file_});
  for (uint16_t n = 1; n <= 50; n++) end_session(session(n));
  dataplane_.hang_up();
  run_until([&] { return done() == 50; });
  EXPECT_EQ(written().size(), 50u);
}

TEST_F(Records, CanBeSeenAsTheyCome) {
  for (uint16_t n = 1; n <= 5; n++) end_session(session(n));
  channel::SessionRecord wrong = session(6);
  wrong.end = channel::SessionEnd::kReset;
  end_session(wrong);
  run_until([&] { return records_->see({}, std::nullopt, 10).sessions.size() == 6; });
  const auto port_of = [](const std::string& line) { return json::parse(line)["client_port"].get<int>(); };
  auto seen = records_->see({}, std::nullopt, 2);
  ASSERT_EQ(seen.sessions.size(), 2u);
  EXPECT_EQ(port_of(seen.sessions[0]), 5) << "the newest, oldest first";
  seen = records_->see({}, 1, 4);
  ASSERT_EQ(seen.sessions.size(), 4u);
  EXPECT_EQ(port_of(seen.sessions[0]), 1);
  seen = records_->see({}, seen.next, 4);
  ASSERT_EQ(seen.sessions.size(), 2u);
  EXPECT_EQ(port_of(seen.sessions[1]), 6);
  EXPECT_TRUE(records_->see({}, seen.next, 4).sessions.empty());
  EXPECT_EQ(records_->see({.client = {}, .failed_only = true}, 1, 9).sessions.size(), 1u);
  const auto count_of = [&](const char* client) {
    return records_->see({.client = *ClientFilter::parse(client)}, 1, 9).sessions.size();
  };
  EXPECT_EQ(count_of("198.51.100.0/24"), 6u);
  EXPECT_EQ(count_of("198.51.100.4/30"), 6u);
  EXPECT_EQ(count_of("198.51.100.8/30"), 0u);
  EXPECT_EQ(count_of("198.51.100.7:3"), 1u);
  EXPECT_EQ(count_of("2001:db8::/32"), 0u);
}

TEST_F(Records, ThatCameTooFastForWhoLooksOnAreCounted) {
  constexpr uint16_t kMany = 3 * 10'000;
  for (uint16_t n = 1; n <= kMany; n++) {
    end_session(session(n));
    if (n % 10'000 != 0) continue;
    run_until([&] { return records_->see({}, std::nullopt, 1).next == n + 1U; });
  }
  const auto seen = records_->see({}, 1, 10);
  EXPECT_EQ(seen.missed, kMany - SessionRecords::kMostKept);
  EXPECT_EQ(seen.sessions.size(), 10u);
}

}  // namespace
}  // namespace sluice::control

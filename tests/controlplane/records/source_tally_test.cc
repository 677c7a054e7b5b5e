// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/source_tally.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "tests/controlplane/support/api_request.h"
#include "tests/controlplane/support/known_session.h"
#include "tests/controlplane/support/model_fixture.h"
#include "tests/controlplane/support/settled_channel.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using channel::Counter;
using nlohmann::json;

KnownSession session_of(const std::string& client) {
  KnownSession out = ordinary_session();
  out.record.client.address.bytes = ip(client).bytes;
  return out;
}

/// A session of `client` that was refused for `cause`.
KnownSession refused(const std::string& client, Counter cause, uint8_t limit = 0) {
  KnownSession out = session_of(client);
  out.record.end = channel::SessionEnd::kRefused;
  out.record.cause = static_cast<uint16_t>(cause);
  out.record.limit = limit;
  out.record.notes = {};
  return out;
}

KnownSession blocked(const std::string& client, const char* prefix, const char* by) {
  KnownSession out = refused(client, Counter::kDropPolicy);
  out.block = std::make_shared<const BlockNames>(prefix, by);
  return out;
}

Offences early(const std::string& source) {
  return {.source = *config::IpPrefix::parse(source), .early = true};
}

config::Sources rules() {
  config::Sources out;
  out.limits = {{.of = config::LimitOf::kPrefix, .connections = 5}, {.connections = 7}};
  out.early_talkers = config::EarlyTalkers{.remember = 600};
  return out;
}

class SourceTallyTest : public testing::Test {
 protected:
  SourceTallyTest() { tally_.follow(rules()); }

  void see(const KnownSession& session, const Offences& offences = {}) { tally_.see(session, offences, now_); }
  std::vector<std::string> known() const {
    std::vector<std::string> out;
    for (const auto* entries : {&tally_.refused(), &tally_.offences()})
      for (const auto& [key, entry] : *entries)
        out.push_back(
            fmt::format("{} {} {}{}: {}", key.prefix, name_of(key.complaint), key.rule, entry.by, entry.count));
    return out;
  }
  static WorkerCounters counters(uint64_t held_back, uint64_t lost) {
    WorkerCounters out{};
    out[static_cast<size_t>(Counter::kSessionRecordsHeldBack)] = held_back;
    out[static_cast<size_t>(Counter::kSessionRecordsLost)] = lost;
    return out;
  }

  using Known = std::vector<std::string>;
  SystemTime now_{1'000'000s};
  SourceTally tally_;
};

TEST_F(SourceTallyTest, CountsWhatIsBlockedByWhatBlocksIt) {
  for (const char* client : {"198.51.100.1", "198.51.100.2", "198.51.100.2"})
    see(blocked(client, "198.51.100.0/24", "file"));
  see(blocked("2001:db8::7", "2001:db8::/64", "early_talker"));
  see(refused("203.0.113.7", Counter::kDropPolicy));  // it is blocked no more, and nobody knows by what it was
  see(refused("203.0.113.7", Counter::kDropNoBackend));
  EXPECT_EQ(known(), (Known{"198.51.100.0/24 blocked 0file: 3", "2001:db8::/64 blocked 0early_talker: 1"}));
}

TEST_F(SourceTallyTest, CountsWhoIsAtALimitAsThatLimitDoes) {
  see(refused("198.51.100.1", Counter::kDropLimited, 1));
  KnownSession cut = session_of("198.51.100.2");
  cut.record.end = channel::SessionEnd::kCut;
  cut.record.cause = static_cast<uint16_t>(Counter::kFlowsCutLimit);
  cut.record.limit = 1;
  see(cut);
  see(refused("2001:db8::7", Counter::kDropLimited, 1));
  see(refused("198.51.100.1", Counter::kDropLimited, 2));
  see(refused("198.51.100.1", Counter::kDropLimited, 3));  // a rule that control has not
  EXPECT_EQ(known(), (Known{"198.51.100.0/24 limit 1: 2", "2001:db8::/64 limit 1: 1", "198.51.100.1/32 limit 2: 1"}));
  config::Sources other = rules();
  other.early_talkers->remember = 60;
  tally_.follow(other);
  EXPECT_EQ(known().size(), 3u);
  other.limits.pop_back();
  tally_.follow(other);
  EXPECT_EQ(known(), Known{}) << "the numbers of rules mean something else";
}

TEST_F(SourceTallyTest, CountsOffencesBySource) {
  Offences all = early("192.0.2.9");
  all.auth_failures = 3;
  see(session_of("192.0.2.9"), all);
  see(session_of("192.0.2.9"), early("192.0.2.9"));
  see(session_of("192.0.2.8"), {.source = *config::IpPrefix::parse("192.0.2.8"), .short_tls = true});
  see(session_of("192.0.2.7"));
  EXPECT_EQ(known(), (Known{"192.0.2.9/32 early_talker 0: 2", "192.0.2.9/32 auth_failures 0: 3",
                            "192.0.2.8/32 short_tls_sessions 0: 1"}));
}

TEST_F(SourceTallyTest, ForgetsWhatHasNotComeForAnHourAndEarlyTalkersAsTheirRuleSays) {
  see(session_of("192.0.2.9"), early("192.0.2.9"));
  see(blocked("198.51.100.1", "198.51.100.0/24", "file"));
  now_ += 599s;
  tally_.tick({}, now_);
  EXPECT_EQ(known().size(), 2u);
  now_ += 1s;
  tally_.tick({}, now_);
  EXPECT_EQ(known(), Known{"198.51.100.0/24 blocked 0file: 1"});
  see(session_of("192.0.2.9"), early("192.0.2.9"));
  config::Sources without = rules();
  without.early_talkers.reset();
  tally_.follow(without);
  EXPECT_EQ(known().size(), 1u) << "they are not counted any more";
  now_ += 50min;
  tally_.tick({}, now_);
  EXPECT_EQ(known(), Known{});
}

TEST_F(SourceTallyTest, HasRoomForSoManyAndKeepsThoseThatGoOn) {
  see(session_of("192.0.2.9"), early("192.0.2.9"));
  for (uint32_t n = 0; n < SourceTally::kMost + 1000; n++) {
    see(blocked("198.51.100.1", "10.255.255.0/24", "hand"));
    see(blocked("198.51.100.1", fmt::format("10.{}.{}.0/24", n >> 8, n & 0xff).c_str(), "file"));
    now_ += 1ms;
  }
  EXPECT_EQ(tally_.refused().size(), SourceTally::kMost);
  EXPECT_EQ(tally_.refused().at({Complaint::kBlocked, 0, "10.255.255.0/24"}).count, SourceTally::kMost + 1000);
  EXPECT_FALSE(tally_.refused().contains({Complaint::kBlocked, 0, "10.0.0.0/24"})) << "the one that came longest ago";
  EXPECT_EQ(tally_.offences().size(), 1u) << "whom nobody can push out with forged sources";
}

TEST_F(SourceTallyTest, SaysHowMuchOfWhatWasRefusedItHasSeen) {
  tally_.tick(counters(500, 5), now_);
  EXPECT_EQ(tally_.sample(now_).unseen, 0u) << "before it began";
  see(refused("198.51.100.1", Counter::kDropNoBackend));
  see(session_of("192.0.2.9"));  // workers tell of all that were established
  tally_.tick(counters(600, 6), now_);
  EXPECT_EQ(tally_.sample(now_).seen, 1u);
  EXPECT_EQ(tally_.sample(now_).unseen, 101u);
  tally_.tick(counters(7, 0), now_);  // a data plane that was started again
  EXPECT_EQ(tally_.sample(now_).unseen, 108u);
  tally_.tick({}, now_);
  tally_.tick(counters(1000, 0), now_);
  EXPECT_EQ(tally_.sample(now_).unseen, 108u) << "what came while it was away is not known";
  EXPECT_EQ(tally_.sample(now_ + 2min).unseen, 0u);
}

TEST_F(SourceTallyTest, GoesWithAClockThatIsSet) {
  see(session_of("192.0.2.9"), early("192.0.2.9"));
  now_ -= 24h;
  tally_.move_times(-24h);
  const auto& entry = tally_.offences().begin()->second;
  EXPECT_EQ(entry.last, now_);
  EXPECT_EQ(entry.last_minute.at(now_), 1u);
  EXPECT_EQ(tally_.sample(now_).seen, 0u);
  tally_.tick({}, now_ + 600s);
  EXPECT_EQ(known(), Known{}) << "ten minutes, not a day";
}

TEST(LastMinute, IsOfTheMinuteThatRunsAndAShareOfTheOneBefore) {
  LastMinute last;
  SystemTime now{1'000'000s};
  EXPECT_EQ(last.at(now), 0u);
  last.add(now, 60);
  EXPECT_EQ(last.at(now + 59s), 60u);
  EXPECT_EQ(last.at(now + 90s), 30u);
  EXPECT_EQ(last.at(now + 120s), 0u);
  last.add(now + 75s, 4);
  EXPECT_EQ(last.at(now + 75s), 49u) << "45 of the 60 are not a minute ago yet";
  EXPECT_EQ(last.at(now + 120s), 4u);
  last.add(now + 300s, 1);
  EXPECT_EQ(last.at(now + 300s), 1u);
  EXPECT_EQ(last.at(now + 299s), 1u) << "a clock that went back a little";
}

/// The answer to /api/v1/sources, over what the workers count.
class SourcesApi : public ModelTest, protected SettledChannel {
 protected:
  SourcesApi() {
    config_.sources = rules();
    tally_.follow(config_.sources);
    context_.tally = &tally_;
    add_source_routes(router_, context_);
  }
  ~SourcesApi() override { close(); }

  json ask(const std::string& query = "") { return json::parse(ask_router(router_, "/api/v1/sources" + query).body); }

  Model model_ = model();
  DataplaneState state_;
  SourceTally tally_;
  ApiContext context_{config_, model_, client_, journal_, state_, now_};
  Router router_;
};

TEST_F(SourcesApi, ShowsTheMostActiveFirst) {
  tally_.see(session_of("192.0.2.9"), early("192.0.2.9"), now_ - 5min);
  tally_.see(session_of("192.0.2.9"), early("192.0.2.9"), now_ - 5min);
  tally_.see(blocked("198.51.100.1", "198.51.100.0/24", "file"), {}, now_);
  const json all = ask();
  EXPECT_EQ(all["known"], 2);
  EXPECT_EQ(all["since"], to_rfc3339(now_));
  EXPECT_TRUE(all["dropped"].is_null()) << "the data plane is not connected";
  EXPECT_EQ(all["sample"], json::parse(R"({"seen": 1, "unseen": 0})"));
  EXPECT_EQ(all["sources"][0], (json{{"prefix", "198.51.100.0/24"},
                                     {"why", "blocked"},
                                     {"by", "file"},
                                     {"rule", nullptr},
                                     {"last_minute", 1},
                                     {"count", 1},
                                     {"first", to_rfc3339(now_)},
                                     {"last", to_rfc3339(now_)}}));
  EXPECT_EQ(all["sources"][1]["prefix"], "192.0.2.9/32");
  EXPECT_EQ(all["sources"][1]["count"], 2);
  EXPECT_EQ(all["sources"][1]["last_minute"], 0);
  EXPECT_EQ(ask("?top=1")["sources"].size(), 1u);
  EXPECT_EQ(ask("?top=1")["known"], 2);
  for (const char* bad : {"?top=0", "?top=1001", "?top=x", "?tpo=1"})
    EXPECT_EQ(static_cast<unsigned>(ask_router(router_, "/api/v1/sources" + std::string(bad)).status), 400u) << bad;
}

TEST_F(SourcesApi, CountsAtALimitWhatWorkersCountWithoutGaps) {
  Desired desired = model_.desired();
  desired.limits.rules = {{{24, 64, channel::LimitAction::kReset, 0, 5, 0, 1}, {}}};
  settle(desired);
  auto& counters = dataplane_.stats_of(0).counters;
  counters[static_cast<size_t>(Counter::kDropPolicy)] = 70;
  counters[static_cast<size_t>(Counter::kDropLimited)] = 8;
  const auto count = [&](uint32_t set, const std::string& prefix, uint64_t refused_so_far) {
    const uint64_t layout = channel::limit_layout(dataplane_.epoch(), dataplane_.worker(0).limits.layout);
    channel::LimitTable& table = dataplane_.limit_table();
    table.words[set][0] = uint64_t{channel::LimitTable::layout_mark(layout)} << channel::LimitTable::kOpenBits | 1;
    table.states[set][0] = {.refused = refused_so_far, .prefix = {ip(prefix).bytes}, .rule = 0};
  };
  count(7, "198.51.100.0", 900);
  count(8, "203.0.113.0", 4);
  count(9, "192.0.2.0", 0);
  tally_.see(refused("198.51.100.1", Counter::kDropLimited, 1), {}, now_);
  const json all = ask();
  EXPECT_EQ(all["dropped"], json::parse(R"({"blocked": 70, "limit": 8})"));
  ASSERT_EQ(all["sources"].size(), 2u) << "who was not refused is not among them";
  EXPECT_EQ(all["sources"][0]["prefix"], "198.51.100.0/24");
  EXPECT_EQ(all["sources"][0]["rule"], 1);
  EXPECT_EQ(all["sources"][0]["count"], 900);
  EXPECT_EQ(all["sources"][0]["last_minute"], 1);
  EXPECT_EQ(all["sources"][1]["prefix"], "203.0.113.0/24");
  EXPECT_EQ(all["sources"][1]["count"], 4);
  EXPECT_TRUE(all["sources"][1]["first"].is_null()) << "of an earlier control";
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// The API's routes over a model without a data plane.
#include "controlplane/api/api.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "config/load.h"
#include "controlplane/api/openapi.h"
#include "controlplane/figures/figures_json.h"
#include "controlplane/figures/sampler.h"
#include "controlplane/page/page.h"
#include "tests/controlplane/support/api_request.h"
#include "tests/controlplane/support/small_configuration.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

namespace http = boost::beast::http;
using channel::SmtpCounter;
using nlohmann::json;
using namespace std::chrono_literals;

class ApiTest : public testing::Test {
 protected:
  ApiTest() {
    add_api(router_, context_);
    add_page_routes(router_);  // as the process does: the description covers both
  }

  ApiResponse ask(const std::string& target, http::verb method = http::verb::get) {
    return ask_router(router_, target, method);
  }
  json get(const std::string& target) {
    const ApiResponse response = ask(target);
    EXPECT_EQ(response.status, http::status::ok) << target << ": " << response.body;
    return json::parse(response.body);
  }
  std::string error(const std::string& target, http::status status) {
    const ApiResponse response = ask(target);
    EXPECT_EQ(response.status, status) << target << ": " << response.body;
    return json::parse(response.body).at("error");
  }

  boost::asio::io_context io_;
  const config::Config config_ = small_configuration({{"relay25", 25}, {"relay587", 587}});
  SystemTime now_{1'800'000'000s};
  Journal journal_{[this] { return now_; }};
  Model model_{config_, journal_};
  ChannelClient channel_{io_, "/nonexistent", {}, {}};
  DataplaneState dataplane_;
  History history_;
  Router router_;
  ApiContext context_{config_, model_, channel_, journal_, dataplane_, now_, &history_};
};

TEST_F(ApiTest, ShowsServicesPoolsAndBackendsEachByNameToo) {
  EXPECT_EQ(get("/api/v1/services")["services"].size(), 2u);
  EXPECT_EQ(get("/api/v1/services/relay587")["services"][0]["port"], 587);
  EXPECT_EQ(get("/api/v1/pools/mta")["pools"].size(), 2u) << "one for each port";
  EXPECT_EQ(get("/api/v1/backends")["backends"].size(), 4u);
  const json one = get("/api/v1/backends/mta/mta2")["backends"];
  ASSERT_EQ(one.size(), 2u);
  EXPECT_EQ(one[0]["name"], "mta2");
  EXPECT_TRUE(one[0]["figures"].is_null()) << "not connected";
  EXPECT_TRUE(one[0]["observation"].is_null());
}

TEST_F(ApiTest, SaysThatNothingIsKnownOfServicesBeforeTheFirstVerdicts) {
  const auto states = [&] {
    return std::set<std::string>{get("/api/v1/services/relay587")["services"][0]["state"],
                                 get("/api/v1/pools/mta")["pools"][0]["state"]};
  };
  EXPECT_EQ(states(), std::set<std::string>{"starting"});
  model_.refresh();
  EXPECT_EQ(states(), std::set<std::string>{"out of service"});
}

TEST_F(ApiTest, SaysWhichNameIsUnknown) {
  EXPECT_EQ(error("/api/v1/services/nobody", http::status::not_found), "there is no service \"nobody\"");
  EXPECT_EQ(error("/api/v1/pools/nobody", http::status::not_found), "there is no pool \"nobody\"");
  EXPECT_EQ(error("/api/v1/backends/mta/nobody", http::status::not_found), "there is no backend \"mta/nobody\"");
  EXPECT_EQ(error("/api/v1/backends/nobody/mta1", http::status::not_found), "there is no backend \"nobody/mta1\"");
  EXPECT_EQ(error("/api/v1/services/" + std::string(10'000, 'x'), http::status::not_found).find("there is no service"),
            0u);
  EXPECT_EQ(error("/api/v1/services/%ff%00", http::status::not_found).find("there is no service"), 0u);
  EXPECT_EQ(error("/api/v1/history?service=nobody", http::status::not_found),
            "there is no service, pool or backend of that name");
}

TEST_F(ApiTest, RefusesQueriesThatItDoesNotKnow) {
  for (const std::string target :
       {"/api/v1/events?limit=-1", "/api/v1/events?limit=4097", "/api/v1/events?limit=99999999999999999999",
        "/api/v1/events?limit=ten", "/api/v1/events?lmit=1", "/api/v1/events?after=%zz", "/api/v1/history?step=2",
        "/api/v1/history?step=1&step=1", "/api/v1/history?seconds=1"}) {
    SCOPED_TRACE(target);
    EXPECT_FALSE(error(target, http::status::bad_request).empty());
  }
}

TEST_F(ApiTest, GivesEventsNewestFirstByKindAndFromWhereOneLeftOff) {
  journal_.record(Severity::kInfo, "backend", "mta/mta1:25", "first");
  journal_.record(Severity::kWarning, "pool", "mta:25", "second");  // in the same instant
  const json two = get("/api/v1/events?limit=2")["events"];
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0]["text"], "second");
  EXPECT_GT(two[0]["id"], two[1]["id"]);
  EXPECT_EQ(get("/api/v1/events?kind=backend")["events"][0]["text"], "first");
  EXPECT_EQ(get("/api/v1/events?kind=nothing")["events"].size(), 0u);
  const std::string last = two[0]["id"].dump();
  EXPECT_EQ(get("/api/v1/events?after=" + last)["events"].size(), 0u);
  now_ -= 1h;  // the clock is set back
  journal_.record(Severity::kInfo, "backend", "mta/mta1:25", "third");
  const json news = get("/api/v1/events?after=" + last)["events"];
  ASSERT_EQ(news.size(), 1u);
  EXPECT_EQ(news[0]["text"], "third");
}

TEST_F(ApiTest, ShowsRatesAndTheirHistory) {
  Totals totals;
  History::Time now{};
  for (int second = 0; second <= 10; second++, now += 1s, totals.flows_created += 20) {
    history_.begin(now);
    history_.read(subject_of(model_.services()[0]), totals);
    history_.read(kAllServices, std::nullopt);
    history_.end();
  }
  EXPECT_EQ(get("/api/v1/services/relay25")["services"][0]["rates"]["new_flows_per_s"], 20);
  EXPECT_TRUE(get("/api/v1/services/relay587")["services"][0]["rates"].is_null()) << "never read";
  const json all = get("/api/v1/history?step=1");
  ASSERT_EQ(all["history"].size(), 3u);
  EXPECT_EQ(all["history"][0]["kind"], "total");
  EXPECT_EQ(all["history"][0]["series"]["new_flows_per_s"], json(std::vector<json>(10)));
  EXPECT_EQ(all["history"][1]["series"]["new_flows_per_s"], json(std::vector<int>(10, 20)));
  EXPECT_EQ(all["history"][2]["points"], 0);
  EXPECT_EQ(get("/api/v1/history?service=relay25")["history"][0]["series"]["new_flows_per_s"], json({20}));
  EXPECT_EQ(get("/api/v1/history?pool=mta")["history"].size(), 2u);
  EXPECT_EQ(get("/api/v1/history?backend=mta/mta1&step=1")["history"].size(), 2u);
}

TEST_F(ApiTest, TellsProbesWhetherItLivesAndIsReady) {
  EXPECT_EQ(ask("/healthz").body, "alive\n");
  const ApiResponse not_ready = ask("/readyz");
  EXPECT_EQ(not_ready.status, http::status::service_unavailable);
  EXPECT_NE(not_ready.body.find("not connected"), std::string::npos);
}

TEST_F(ApiTest, IsDescribedWholeAndNothingElseIs) {
  const json description = json::parse(kOpenApi);
  std::set<std::string> described, served;
  for (const auto& [path, item] : description.at("paths").items()) {
    for (const auto& [method, operation] : item.items()) {
      std::string verb = method, pattern;
      std::ranges::transform(verb, verb.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      bool inside = false;
      for (const char c : path) {
        if (c == '}') inside = false;
        if (!inside) pattern += c;
        if (c == '{') inside = true;
      }
      described.insert(verb + " " + pattern);
      EXPECT_FALSE(operation.at("summary").get<std::string>().empty()) << path;
    }
  }
  for (const std::string& route : router_.routes()) served.insert(route);
  EXPECT_EQ(described, served);
}

TEST(FiguresJson, HasAPlaceForEveryCounter) {
  channel::SmtpCounters smtp{};
  for (size_t i = 0; i < channel::kSmtpCounterCount; i++) smtp.counters[i] = i + 1;
  smtp.greeting.add(5);
  const json out = observation_json(smtp);
  const auto value = [](SmtpCounter counter) { return static_cast<uint64_t>(counter) + 1; };
  EXPECT_EQ(out["greetings"]["421"], value(SmtpCounter::kGreeting421));
  EXPECT_EQ(out["early_talkers"], value(SmtpCounter::kEarlyTalkers));
  EXPECT_EQ(out["refusals"]["4xx"]["rcpt"], value(channel::refusal(channel::SmtpStep::kRcpt, false)));
  EXPECT_EQ(out["refusals"]["5xx"]["unknown"], value(channel::refusal(channel::SmtpStep::kUnknown, true)));
  EXPECT_EQ(out["enhanced_codes"]["4.7.1"], value(SmtpCounter::kEnhanced471));
  EXPECT_EQ(out["ended"]["cut"], value(SmtpCounter::kEndedCut));
  std::set<uint64_t> seen;
  const auto collect = [&seen](const auto& self, const json& node) -> void {
    if (node.is_number_unsigned()) seen.insert(node.get<uint64_t>());
    if (node.is_object())
      for (const auto& child : node) self(self, child);
  };
  for (const auto& [name, family] : out.items())
    if (!name.ends_with("_time")) collect(collect, family);
  EXPECT_EQ(seen.size(), channel::kSmtpCounterCount);
  EXPECT_EQ(out["greeting_time"]["count"], 1);
  EXPECT_EQ(out["greeting_time"]["buckets"][3], json({{"below_ms", 8}, {"count", 1}}));
  EXPECT_TRUE(out["greeting_time"]["buckets"].back()["below_ms"].is_null());
  EXPECT_TRUE(out["connect_time"]["p50_ms"].is_null());
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// The routes that change things, and those that foretell: what they take, what they refuse and with which words.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "tests/controlplane/support/api_request.h"
#include "tests/controlplane/support/model_fixture.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

using nlohmann::json;
namespace http = boost::beast::http;

class ApiLive : public ModelTest {
 protected:
  ApiLive() {
    config_.pools[0].backends[2].warm_up =
        config::WarmUp{.start = std::chrono::floor<std::chrono::days>(now_), .days = 10, .from = 0.1, .table = {}};
    model_ = model();
    bring_up(model_);
    overrides_.restore();
    context_.overrides = &overrides_;
    context_.changed = [this] { changes_++; };
    context_.reload = [this]() -> Reloaded {
      return std::unexpected(std::vector<std::string>{"a.cfg:1: x", "a.cfg:2: y"});
    };
    context_.compare = [this](const LoadedConfig& wanted) -> Reloaded {
      if (!wanted) return std::unexpected(std::vector{wanted.error().front().to_string()});
      return plan_reload(config_, wanted->config, model_,
                         {[](const Member&) { return 2; }, [](const ServiceState&) { return 0; }}, now_);
    };
    add_reload_routes(router_, context_);
    add_by_hand_routes(router_, context_);
    add_warm_up_routes(router_, context_);
    add_explain_routes(router_, context_);
  }

  std::pair<unsigned, json> ask(http::verb method, const std::string& target, const std::string& body = "",
                                bool may_write = true) {
    const ApiResponse response = ask_router(router_, target, method, body, may_write);
    return {static_cast<unsigned>(response.status), json::parse(response.body)};
  }
  std::pair<unsigned, json> change(const std::string& body) { return ask(http::verb::post, "/api/v1/by-hand", body); }

  StateDirectory directory_;
  Model model_ = model();
  boost::asio::io_context io_;
  ChannelClient channel_{io_, "/nowhere", {}, {}};
  DataplaneState dataplane_;
  Overrides overrides_{config_, model_, journal_, [](const Member&) { return 4; }, directory_.path()};
  ApiContext context_{config_, model_, channel_, journal_, dataplane_, now_};
  Router router_;
  int changes_ = 0;
};

TEST_F(ApiLive, ChangesByHandAndListsThem) {
  const auto [status, answer] = change(R"({"action": "drain", "backend": "mta1", "deadline_s": 60})");
  EXPECT_EQ(status, 200u);
  EXPECT_EQ(answer, json::parse(R"({"backends": ["mta/mta1"], "warning": ""})"));
  EXPECT_EQ(changes_, 1);
  const json entry = ask(http::verb::get, "/api/v1/by-hand").second["by_hand"][0];
  EXPECT_EQ(entry["backend"], "mta/mta1");
  EXPECT_EQ(entry["admin"], "draining");
  EXPECT_EQ(entry["deadline"], "2027-01-15T08:01:00.000Z");
  EXPECT_EQ(entry["flows_now"], 4);
  EXPECT_TRUE(entry["flows_told"].is_null()) << "the data plane does not say";
  EXPECT_EQ(change(R"({"action": "weight", "pool": "mta", "weight": 3})").second["backends"].size(), 3u);
  EXPECT_EQ(ask(http::verb::get, "/api/v1/by-hand").second["by_hand"].size(), 3u);
  EXPECT_EQ(change(R"({"action": "clear", "all": true})").first, 200u);
  EXPECT_EQ(ask(http::verb::get, "/api/v1/by-hand").second["by_hand"].size(), 0u);
  EXPECT_EQ(ask(http::verb::post, "/api/v1/by-hand", R"({"action": "clear", "all": true})", false).first, 403u);
}

TEST_F(ApiLive, ForetellsAChangeAndChangesNothing) {
  const auto [status, answer] = change(R"({"action": "disable", "pool": "mta", "dry_run": true})");
  EXPECT_EQ(status, 200u);
  EXPECT_EQ(answer["backends"], json::parse(R"(["mta/mta1", "mta/mta2", "mta/mta3"])"));
  EXPECT_EQ(answer["flows_now"], 12);
  EXPECT_EQ(change(R"({"action": "disable", "pool": "mtaa", "dry_run": true})").first, 404u);
  EXPECT_EQ(change(R"({"action": "pause", "backend": "mta1", "dry_run": true})").first, 409u);
  EXPECT_EQ(change(R"({"action": "disable", "pool": "mta", "dry_run": 1})").first, 400u);
  EXPECT_TRUE(overrides_.entries().empty());
  EXPECT_EQ(changes_, 0);
}

TEST_F(ApiLive, ClearsWhatIsLeftOfABackendThatIsGone) {
  EXPECT_EQ(change(R"({"action": "drain", "backend": "mta/mta1"})").first, 200u);
  config_.pools[0].backends.erase(config_.pools[0].backends.begin());
  EXPECT_EQ(change(R"({"action": "drain", "backend": "mta1"})").first, 404u);
  EXPECT_EQ(change(R"({"action": "clear", "backend": "mta/mta1"})").first, 200u);
  EXPECT_TRUE(overrides_.entries().empty());
}

TEST_F(ApiLive, RefusesBadChangesWithAReasonAndChangesNothing) {
  struct Case {
    const char* body;
    unsigned status;
    const char* words;
  };
  const Case cases[] = {
      {"", 400, "no JSON object"},
      {"[]", 400, "no JSON object"},
      {R"({"action": "drain")", 400, "no JSON object"},
      {"{}", 400, "\"action\": allowed:"},
      {R"({"action": 5, "backend": "mta1"})", 400, "\"action\": allowed:"},
      {R"({"action": "explode", "backend": "mta1"})", 400, "\"action\": allowed:"},
      {R"({"action": "drain"})", 400, "one of \"backend\", \"pool\" and \"all\""},
      {R"({"action": "drain", "backend": "mta1", "pool": "mta"})", 400, "one of"},
      {R"({"action": "drain", "all": true})", 400, "\"all\": allowed: true, to clear"},
      {R"({"action": "clear", "all": false})", 400, "\"all\": allowed"},
      {R"({"action": "drain", "backend": ["mta1"]})", 400, "has to be a string"},
      {R"({"action": "drain", "backend": "mta9"})", 404, "there is no backend \"mta9\""},
      {R"({"action": "drain", "backend": ""})", 404, "there is no backend"},
      {R"({"action": "drain", "pool": "mtaa"})", 404, "did you mean \"mta\"?"},
      {R"({"action": "drain", "backend": "mta1", "deadline_s": -1})", 400, "from 0 to 2592000"},
      {R"({"action": "drain", "backend": "mta1", "deadline_s": 1.5})", 400, "from 0 to 2592000"},
      {R"({"action": "drain", "backend": "mta1", "deadline_s": "60"})", 400, "from 0 to 2592000"},
      {R"({"action": "drain", "backend": "mta1", "deadline_s": 18446744073709551615})", 400, "from 0 to 2592000"},
      {R"({"action": "drain", "backend": "mta1", "deadline_s": 1e300})", 400, "from 0 to 2592000"},
      {R"({"action": "disable", "backend": "mta1", "deadline_s": 5})", 400, "is of a drain"},
      {R"({"action": "weight", "backend": "mta1"})", 400, "\"weight\" is missing"},
      {R"({"action": "weight", "backend": "mta1", "weight": 65536})", 400, "from 0 to 65535"},
      {R"({"action": "drain", "backend": "mta1", "weight": 5})", 400, "of the action \"weight\""},
      {R"({"action": "drain", "backend": "mta1", "dead_line": 5})", 400, "unknown member \"dead_line\""},
      {R"({"action": "roll_back", "backend": "mta3", "days": 0})", 400, "from 1 to 366"},
      {R"({"action": "pause", "backend": "mta1"})", 409, "has no warm_up"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.body);
    const auto [status, answer] = change(each.body);
    EXPECT_EQ(status, each.status);
    EXPECT_NE(answer["error"].get<std::string>().find(each.words), std::string::npos) << answer;
  }
  EXPECT_TRUE(overrides_.entries().empty());
  EXPECT_EQ(changes_, 0);
}

TEST_F(ApiLive, TellsEveryFaultOfAFile) {
  const auto [status, answer] = ask(http::verb::post, "/api/v1/reload");
  EXPECT_EQ(status, 422u);
  EXPECT_EQ(answer["faults"], json::parse(R"(["a.cfg:1: x", "a.cfg:2: y"])"));
  EXPECT_EQ(answer["error"], "the configuration is faulty; nothing has changed\na.cfg:1: x\na.cfg:2: y");
}

TEST_F(ApiLive, ComparesWithAFileOrWithAText) {
  const std::string text = R"(
dataplane: { ports = ( { name = "w"; device = "net_null0"; } ); };
pools = ( { name = "mta"; backends = ( { name = "mta1"; address = "10.0.1.1"; } ); } );
services = ( { name = "relay"; vip = "192.0.2.25"; pool = "mta"; table_size = 101; } );)";
  directory_.write("next.cfg", text);
  for (const std::string& body : {text, json{{"path", directory_.file("next.cfg")}}.dump()}) {
    const auto [status, answer] = ask(http::verb::post, "/api/v1/diff", body);
    ASSERT_EQ(status, 200u) << answer;
    EXPECT_EQ(answer["flows_draining"], 4) << "two backends of two flows";
    EXPECT_EQ(answer["flows_cut"], 0);
    EXPECT_EQ(answer["drains"].size(), 2u);
    EXPECT_EQ(answer["shares"].size(), 3u);
    EXPECT_EQ(answer["dataplane_restart"], json::parse(R"(["dataplane.ports"])"));
  }
  const json named{{"text", "pools = ();\nnonsense = 1;"}, {"path", "/home/me/next.cfg"}};
  const auto [refused, faults] = ask(http::verb::post, "/api/v1/diff", named.dump());
  EXPECT_EQ(refused, 422u);
  EXPECT_TRUE(faults["faults"][0].get<std::string>().starts_with("/home/me/next.cfg:")) << faults;
  const ConfigurationState own{directory_.file("next.cfg"), now_, {}, ""};
  context_.configuration = &own;
  EXPECT_EQ(ask(http::verb::post, "/api/v1/diff", "{}").second["drains"].size(), 2u) << "control's own file";
  for (const char* body : {R"({"text": 5})", R"({"path": 5})", R"({"path": "next.cfg"})", R"({"path": "/dev/zero"})",
                           R"({"path": "/nowhere"})", R"({"path": "/etc/passwd", "more": 1})"}) {
    EXPECT_EQ(ask(http::verb::post, "/api/v1/diff", body).first, 400u) << body;
  }
  for (const char* body : {"", "garbage", "[]", "\xff\xfe"}) {
    EXPECT_EQ(ask(http::verb::post, "/api/v1/diff", body).first, 422u) << body;
  }
}

TEST_F(ApiLive, ShowsTheDaysOfAWarmUp) {
  const auto [status, plan] = ask(http::verb::get, "/api/v1/warm-up/mta%2Fmta3");
  ASSERT_EQ(status, 200u) << plan;
  EXPECT_EQ(plan["today"], 1);
  EXPECT_EQ(plan["days"].size(), 11u);
  EXPECT_EQ(plan["days"][0]["date"], "2027-01-15");
  EXPECT_NEAR(plan["days"][0]["share"], 0.1 / 2.1, 1e-9);
  EXPECT_NEAR(plan["days"][10]["share"], 1 / 3.0, 1e-9);
  EXPECT_EQ(ask(http::verb::get, "/api/v1/warm-up/mta1").first, 404u);
  EXPECT_EQ(ask(http::verb::get, "/api/v1/warm-up/nobody").first, 404u);
}

TEST_F(ApiLive, ShowsTheDaysOfAWarmUpAsWasSaidForAllNodesOrElseHere) {
  constexpr std::chrono::seconds kBehind = std::chrono::days(2);
  overrides_.set_wishes(
      {{"mta/mta3", Wish{.entry = {.warm_up = {.behind = kBehind}}, .node = "edge2", .who = "ops", .revision = 5}}});
  const auto for_all = ask(http::verb::get, "/api/v1/warm-up/mta%2Fmta3").second;
  EXPECT_EQ(for_all["behind_s"], kBehind.count());
  EXPECT_EQ(for_all["days"][0]["date"], "2027-01-17");
  ASSERT_EQ(change(R"({"action": "pause", "backend": "mta/mta3"})").first, 200u);
  const auto here = ask(http::verb::get, "/api/v1/warm-up/mta%2Fmta3").second;
  EXPECT_EQ(here["paused"], true);
  EXPECT_EQ(here["behind_s"], 0);
}

TEST_F(ApiLive, ExplainsOrSaysWhatIsWrongWithTheQuestion) {
  EXPECT_EQ(ask(http::verb::get, "/api/v1/explain?client=192.0.2.7:4000&service=relay").first, 200u);
  EXPECT_EQ(ask(http::verb::get, "/api/v1/explain?client=192.0.2.7:4000&service=rely").second["error"],
            R"(there is no service "rely" (did you mean "relay"?); there are "relay")");
  EXPECT_EQ(ask(http::verb::get, "/api/v1/explain?client=192.0.2.7&service=relay").first, 400u);
  EXPECT_EQ(ask(http::verb::get, "/api/v1/explain?client=[2001:db8::7]:25&service=relay").first, 400u);
  EXPECT_EQ(ask(http::verb::get, "/api/v1/explain").first, 400u);
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// What the API tells and takes of the announcement. Without a mode: no route is made.
#include <nlohmann/json.hpp>

#include "controlplane/announce/announcer.h"
#include "controlplane/api/api.h"
#include "tests/controlplane/support/api_request.h"
#include "tests/controlplane/support/model_fixture.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

namespace http = boost::beast::http;
using nlohmann::json;
using namespace std::chrono_literals;

class ApiAnnounce : public ModelTest {
 protected:
  ApiAnnounce() {
    bring_up(model_);
    context_.announcer = &announcer_;
    config_.announce.hold_down = 0ms;
    announcer_.start(config_);
    add_announce_routes(router_, context_);
    add_service_routes(router_, context_);
    announcer_.update();
  }
  ~ApiAnnounce() override {
    announcer_.stop();
    io_.poll();
  }

  ApiResponse ask(const std::string& target, http::verb method = http::verb::get, const std::string& body = "",
                  bool may_write = true) {
    return ask_router(router_, target, method, body, may_write);
  }
  ApiResponse change(const std::string& body) { return ask("/api/v1/node", http::verb::post, body); }
  json announced() { return json::parse(ask("/api/v1/announce").body); }

  StateDirectory directory_;
  Model model_ = model();
  boost::asio::io_context io_;
  ChannelClient channel_{io_, "/nowhere", {}, {}};
  DataplaneState dataplane_;
  std::optional<std::string> fault_ = "";
  NodeDrain::Flows flows_{100, 7};
  Announcer announcer_{io_,
                       model_,
                       journal_,
                       directory_.path(),
                       {.fault = [this] { return fault_; }, .flows = [this] { return flows_; }}};
  ApiContext context_{config_, model_, channel_, journal_, dataplane_, now_};
  Router router_;
};

TEST_F(ApiAnnounce, TellsWhatEachVipIsAndWhy) {
  const json all = announced();
  EXPECT_EQ(all["mode"], "none");
  EXPECT_EQ(all["fault"], "");
  EXPECT_EQ(
      all["node"],
      json::parse(R"({"phase": "serving", "since": null, "deadline": null, "leaving": false, "flows_now": null})"));
  ASSERT_EQ(all["vips"].size(), 1u);
  const json& vip = all["vips"][0];
  EXPECT_EQ(vip["vip"], "192.0.2.25");
  EXPECT_EQ(vip["state"], "announced");
  EXPECT_EQ(vip["metric"], 100);
  EXPECT_EQ(vip["services"][0]["name"], "relay");
  EXPECT_EQ(vip["services"][0]["in_service"], true);
}

TEST_F(ApiAnnounce, TellsOthersHealthChecksOfOneVip) {
  EXPECT_EQ(ask("/readyz?vip=192.0.2.25").status, http::status::ok);
  EXPECT_EQ(ask("/readyz?vip=192.0.2.25").body, "announced: in service\n");
  EXPECT_EQ(ask("/readyz?vip=::ffff:192.0.2.25").status, http::status::ok);
  EXPECT_EQ(ask("/readyz?vip=192.0.2.26").status, http::status::not_found);
  EXPECT_EQ(ask("/readyz?vip=mail.example.net").status, http::status::bad_request);
  EXPECT_EQ(ask("/readyz?vip=").status, http::status::bad_request);
  EXPECT_EQ(ask("/readyz?vips=192.0.2.25").status, http::status::bad_request);
  EXPECT_EQ(ask("/readyz").status, http::status::service_unavailable) << "as before: no data plane";
  fault_ = "the data plane is not connected: gone";
  announcer_.update();
  const ApiResponse withdrawn = ask("/readyz?vip=192.0.2.25");
  EXPECT_EQ(withdrawn.status, http::status::service_unavailable);
  EXPECT_EQ(withdrawn.body, "withdrawn: the data plane is not connected: gone\n");
}

TEST_F(ApiAnnounce, DrainsTheNodeAndTakesThatBack) {
  const ApiResponse drained = change(R"({"action": "drain", "deadline_s": 60})");
  ASSERT_EQ(drained.status, http::status::ok) << drained.body;
  EXPECT_EQ(json::parse(drained.body)["node"]["deadline"], "2027-01-15T08:01:00.000Z");
  EXPECT_EQ(announced()["vips"][0]["state"], "draining");
  EXPECT_EQ(ask("/readyz?vip=192.0.2.25").status, http::status::service_unavailable);
  announcer_.tick();
  EXPECT_EQ(announced()["node"]["flows_now"], 7);
  EXPECT_EQ(announced()["node"]["leaving"], true);
  now_ += 60s;
  announcer_.tick();
  EXPECT_EQ(announced()["node"]["phase"], "out");
  EXPECT_EQ(announced()["vips"][0]["state"], "withdrawn");
  EXPECT_EQ(change(R"({"action": "undrain"})").status, http::status::ok);
  EXPECT_EQ(announced()["vips"][0]["state"], "announced");
  EXPECT_EQ(change(R"({"action": "undrain"})").status, http::status::conflict);
}

TEST_F(ApiAnnounce, RefusesBadChangesWithAReasonAndChangesNothing) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "no JSON object"},
      {"[]", "no JSON object"},
      {"{}", "\"action\": allowed:"},
      {R"({"action": "explode"})", "\"action\": allowed:"},
      {R"({"action": "drain", "for_s": 1})", "unknown member \"for_s\""},
      {R"({"action": "drain", "deadline_s": -1})", "\"deadline_s\": allowed:"},
      {R"({"action": "drain", "deadline_s": 2592001})", "\"deadline_s\": allowed:"},
      {R"({"action": "drain", "deadline_s": 1.5})", "\"deadline_s\": allowed:"},
      {R"({"action": "drain", "deadline_s": 18446744073709551615})", "\"deadline_s\": allowed:"},
      {R"({"action": "undrain", "deadline_s": 1})", "\"deadline_s\": allowed:"},
  };
  for (const auto& [body, words] : cases) {
    const ApiResponse refused = change(body);
    EXPECT_EQ(refused.status, http::status::bad_request) << body;
    EXPECT_NE(refused.body.find(json(words).dump().substr(1, 10)), std::string::npos) << refused.body;
  }
  EXPECT_EQ(ask("/api/v1/node", http::verb::post, R"({"action": "drain"})", false).status, http::status::forbidden);
  EXPECT_EQ(announced()["node"]["phase"], "serving");
}

TEST_F(ApiAnnounce, DecidesNothingWhileTheNodeIsNotKnown) {
  fault_.reset();
  for (size_t i = 0; i < model_.members().size(); i++) model_.set_health(i, Health::kDown, "gone");
  model_.refresh();
  announcer_.update();
  EXPECT_EQ(announced()["vips"][0]["state"], "announced");
  fault_ = "";
  announcer_.update();
  EXPECT_EQ(announced()["vips"][0]["state"], "withdrawn");
}

}  // namespace
}  // namespace sluice::control

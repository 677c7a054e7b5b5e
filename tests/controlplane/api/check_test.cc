// SPDX-License-Identifier: Apache-2.0
//
// The forced check: from the request over a real probe to what the operator reads.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/ctl/check_view.h"
#include "healthcheck/prober.h"
#include "tests/healthcheck/scripted_server.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

namespace http = boost::beast::http;
using health::testing::run_until;
using nlohmann::json;

class CheckTest : public testing::Test {
 protected:
  CheckTest() {
    config_.checks = {{.name = "greet", .type = config::CheckType::kBanner, .interval = std::chrono::hours(1)}};
    config_.pools = {{.name = "mta", .check = "greet"}, {.name = "blind"}};
    config::Backend backend;
    backend.name = "mta1";
    backend.address = ip("127.0.0.1");
    backend.port = server_.port();
    for (config::Pool& pool : config_.pools) pool.backends.push_back(backend);
    for (const config::Pool& pool : config_.pools) {
      config::Service service;
      service.vip = ip("192.0.2.25");
      service.port = static_cast<uint16_t>(25 + config_.services.size());
      service.pool = pool.name;
      config_.services.push_back(service);
    }
    model_.emplace(config_, journal_);
    context_.emplace(ApiContext{config_, *model_, channel_, journal_, dataplane_, {}, nullptr, &prober_});
    EXPECT_TRUE(
        prober_.set_targets({{model_->members()[0].label(), backend.address, *backend.port, config_.checks[0], ""}}));
    add_check_routes(router_, *context_);
  }

  ApiResponse ask(const std::string& backend, const std::string& query = "") {
    ApiRequest request;
    request.method = http::verb::post;
    request.path = "/api/v1/backends/" + backend + "/check";
    request.query = query;
    request.may_write = may_write_;
    std::optional<ApiResponse> out;
    router_.answer(request, Reply([&out](ApiResponse response) { out = std::move(response); }));
    EXPECT_TRUE(run_until(io_, [&] { return out.has_value(); }));
    return out.value_or(ApiResponse{});
  }
  std::string error(const std::string& backend, http::status status, const std::string& query = "") {
    const ApiResponse response = ask(backend, query);
    EXPECT_EQ(response.status, status) << response.body;
    return json::parse(response.body).value("error", "");
  }

  boost::asio::io_context io_;
  health::testing::ScriptedServer server_{io_, health::testing::smtp_server("220 mx ESMTP \x1b[31mred\r\n")};
  config::Config config_;
  Journal journal_;
  std::optional<Model> model_;
  ChannelClient channel_{io_, "/nonexistent", {}, {}};
  DataplaneState dataplane_;
  health::Prober prober_{io_.get_executor()};
  Router router_;
  std::optional<ApiContext> context_;
  bool may_write_ = true;
};

TEST_F(CheckTest, AnswersWithTheVerdictTheTimesAndTheDialogue) {
  const ApiResponse response = ask("mta/mta1", "port=" + std::to_string(server_.port()));
  ASSERT_EQ(response.status, http::status::ok) << response.body;
  const json answer = json::parse(response.body);
  EXPECT_EQ(answer["backend"], "mta/mta1");
  ASSERT_EQ(answer["checks"].size(), 1u);
  const json& check = answer["checks"][0];
  EXPECT_TRUE(check["passed"].get<bool>());
  EXPECT_EQ(check["fact"], "healthy");
  ASSERT_EQ(check["times"].size(), 2u);
  EXPECT_EQ(check["times"][1]["step"], "greeting");
  EXPECT_EQ(server_.open_at_once_max(), 1u);

  const std::string text = ctl::view_of_check(answer, false);
  EXPECT_TRUE(text.starts_with("mta/mta1, check greet, 127.0.0.1 port ")) << text;
  EXPECT_NE(text.find(" < 220 mx ESMTP \\x1b[31mred\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" > QUIT\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" < 221 "), std::string::npos) << text;
  EXPECT_NE(text.find("\nverdict: healthy at greeting\ntimes: connect "), std::string::npos) << text;
}

TEST_F(CheckTest, ShowsWhyACheckDidNotPass) {
  server_.play(health::testing::smtp_server("554 5.3.2 closed\r\n"));
  const json answer = json::parse(ask("mta/mta1").body);
  EXPECT_FALSE(answer["checks"][0]["passed"].get<bool>());
  EXPECT_EQ(answer["checks"][0]["code"], 554);
  const std::string text = ctl::view_of_check(answer, false);
  EXPECT_NE(text.find("verdict: refused at greeting: 554 5.3.2 closed\n"), std::string::npos) << text;
}

TEST_F(CheckTest, RefusesWhatItCannotCheck) {
  EXPECT_EQ(error("mta/nobody", http::status::not_found), "there is no backend mta/nobody");
  EXPECT_EQ(error("nowhere/mta1", http::status::not_found), "there is no backend nowhere/mta1");
  EXPECT_EQ(error("mta/mta1", http::status::not_found, "port=1"), "there is no backend mta/mta1 on port 1");
  EXPECT_EQ(error("blind/mta1", http::status::conflict), "blind/mta1 has no check");
  error("mta/mta1", http::status::bad_request, "port=0");
  error("mta/mta1", http::status::bad_request, "port=70000");
  error("mta/mta1", http::status::bad_request, "force=1");
}

TEST_F(CheckTest, BelongsToThoseWhoMayChangeThings) {
  may_write_ = false;
  const ApiResponse response = ask("mta/mta1");
  EXPECT_TRUE(response.status == http::status::forbidden || response.status == http::status::unauthorized)
      << response.body;
}

}  // namespace
}  // namespace sluice::control

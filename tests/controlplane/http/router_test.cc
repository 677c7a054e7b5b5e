// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/router.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "controlplane/http/query.h"
#include "tests/controlplane/support/api_request.h"

namespace sluice::control {
namespace {

namespace http = boost::beast::http;

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    router_.add(http::verb::get, "/api/v1/status", [](const ApiRequest&) { return ApiResponse::json({{"ok", true}}); });
    router_.add(http::verb::get, "/api/v1/backends/{}",
                [](const ApiRequest& request) { return ApiResponse::json({{"name", request.parameters.at(0)}}); });
    router_.add(http::verb::post, "/api/v1/backends/{}",
                [](const ApiRequest&) { return ApiResponse::json({{"changed", true}}); });
    router_.add(http::verb::get, "/fails",
                [](const ApiRequest&) -> ApiResponse { throw std::runtime_error("broken inside"); });
    router_.add_open("/healthz", [](const ApiRequest&) { return ApiResponse::json("alive"); });
    router_.add_confidential("/api/v1/flows",
                             [](const ApiRequest&, const Reply& reply) { reply(ApiResponse::json("flows")); });
    router_.add_later(http::verb::get, "/later", [this](const ApiRequest&, Reply reply) { kept_.push_back(reply); });
  }
  ApiResponse answer(http::verb method, const std::string& path, bool may_write = false) {
    return ask_router(router_, path, method, "", may_write);
  }
  Router router_;
  std::vector<Reply> kept_;
};

TEST_F(RouterTest, FindsPathsAndParameters) {
  EXPECT_EQ(nlohmann::json::parse(answer(http::verb::get, "/api/v1/status").body)["ok"], true);
  EXPECT_EQ(nlohmann::json::parse(answer(http::verb::get, "/api/v1/backends/mta%2Fmta1").body)["name"], "mta/mta1");
}

TEST_F(RouterTest, SaysWhatIsWrong) {
  EXPECT_EQ(answer(http::verb::get, "/").status, http::status::not_found);
  EXPECT_EQ(answer(http::verb::get, "").status, http::status::not_found);
  EXPECT_EQ(answer(http::verb::get, "/api/v1/backends").status, http::status::not_found);
  EXPECT_EQ(answer(http::verb::get, "/api/v1/backends/%zz").status, http::status::not_found);
  EXPECT_EQ(answer(http::verb::delete_, "/api/v1/status", true).status, http::status::method_not_allowed);
  EXPECT_EQ(answer(http::verb::get, "/fails").status, http::status::internal_server_error);
}

TEST_F(RouterTest, LetsOnlyConnectionsThatMayWriteChangeThings) {
  EXPECT_EQ(answer(http::verb::post, "/api/v1/backends/x", false).status, http::status::forbidden);
  EXPECT_EQ(answer(http::verb::post, "/api/v1/backends/x", true).status, http::status::ok);
}

TEST_F(RouterTest, TellsBeforeAnythingIsChanged) {
  int told = 0;
  router_.before_changes([&] { told++; });
  answer(http::verb::get, "/api/v1/status", true);
  answer(http::verb::head, "/api/v1/status", true);
  answer(http::verb::post, "/api/v1/backends/x", false);
  EXPECT_EQ(told, 0) << "nothing is changed";
  answer(http::verb::post, "/api/v1/backends/x", true);
  EXPECT_EQ(told, 1);
}

TEST_F(RouterTest, ShowsWhatClientsDoOnlyToConnectionsThatMayWrite) {
  const ApiResponse refused = answer(http::verb::get, "/api/v1/flows", false);
  EXPECT_EQ(refused.status, http::status::forbidden);
  EXPECT_EQ(nlohmann::json::parse(refused.body)["error"],
            "what shows what clients do needs the Unix socket, or the bearer token of control.token_file");
  EXPECT_EQ(answer(http::verb::head, "/api/v1/flows", false).status, http::status::forbidden);
  EXPECT_EQ(answer(http::verb::get, "/api/v1/flows", true).body, "\"flows\"\n");
}

TEST_F(RouterTest, AnswersHeadAsGet) {
  EXPECT_EQ(answer(http::verb::head, "/api/v1/backends/x").body, answer(http::verb::get, "/api/v1/backends/x").body);
  EXPECT_EQ(answer(http::verb::head, "/nothing").status, http::status::not_found);
  ApiRequest from_afar{.method = http::verb::head, .path = "/api/v1/status", .may_read = false};
  http::status heard = http::status::ok;
  const Reply reply([&](const ApiResponse& response) { heard = response.status; });
  router_.answer(from_afar, reply);
  EXPECT_EQ(heard, http::status::unauthorized);
}

TEST_F(RouterTest, SaysWhichMethodsThereAre) {
  const ApiResponse refused = answer(http::verb::delete_, "/api/v1/backends/x", true);
  EXPECT_EQ(refused.status, http::status::method_not_allowed);
  EXPECT_EQ(refused.allow, "GET, HEAD, POST, OPTIONS");
  const ApiResponse asked = answer(http::verb::options, "/api/v1/backends/x");
  EXPECT_EQ(asked.status, http::status::no_content);
  EXPECT_EQ(asked.allow, "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(asked.body, "");
  EXPECT_EQ(answer(http::verb::options, "/nothing").status, http::status::not_found);
}

TEST_F(RouterTest, AnswersInUtf8WhateverTheNetworkSaid) {
  const auto response = ApiResponse::json({{"greeting", "220 \xff\xfe"}});
  EXPECT_FALSE(nlohmann::json::parse(response.body, nullptr, false).is_discarded());
}

TEST_F(RouterTest, WaitsForAnAnswerThatComesLater) {
  std::vector<std::string> heard;
  router_.answer({.path = "/later"}, Reply([&](const ApiResponse& response) { heard.push_back(response.body); }));
  EXPECT_TRUE(heard.empty());
  kept_.front()(ApiResponse::json("done"));
  kept_.front()(ApiResponse::json("twice"));
  EXPECT_EQ(heard, std::vector<std::string>{"\"done\"\n"});
}

TEST_F(RouterTest, AnswersForAHandlerThatGivesUp) {
  http::status heard = http::status::ok;
  router_.answer({.path = "/later"}, Reply([&](const ApiResponse& response) { heard = response.status; }));
  kept_.clear();
  EXPECT_EQ(heard, http::status::service_unavailable);
}

TEST(Query, TakesWhatItKnows) {
  const auto query = Query::parse("limit=20&kind=a%20b&empty=", {"limit", "kind", "empty"});
  ASSERT_TRUE(query) << query.error();
  EXPECT_EQ(query->number("limit", 5, {0, 20}), 20);
  EXPECT_EQ(query->number("absent", 5, {0, 20}), 5);
  EXPECT_EQ(query->text("kind"), "a b");
  EXPECT_EQ(query->text("empty"), "");
  EXPECT_EQ(query->text("absent"), std::nullopt);
  EXPECT_TRUE(Query::parse("", {}));
}

TEST(Query, RefusesTheRest) {
  EXPECT_EQ(Query::parse("limt=20", {"limit"}).error(), "unknown name in the query; allowed: limit");
  EXPECT_EQ(Query::parse("limit=1&limit=2", {"limit"}).error(), "limit: given twice");
  EXPECT_EQ(Query::parse("limit=%2", {"limit"}).error(), "limit: badly encoded");
  EXPECT_FALSE(Query::parse("&&", {"limit"}));
  for (const std::string value : {"", "-1", "21", "1x", "99999999999999999999", "0x1", " 1", "1.0"}) {
    SCOPED_TRACE(value);
    EXPECT_EQ(Query::parse("limit=" + value, {"limit"})->number("limit", 5, {0, 20}).error(),
              "limit: allowed: a whole number from 0 to 20");
  }
}

TEST(PercentDecoded, RefusesWhatIsCutShort) {
  EXPECT_EQ(percent_decoded("a%20b"), "a b");
  EXPECT_EQ(percent_decoded("%2"), std::nullopt);
  EXPECT_EQ(percent_decoded("%"), std::nullopt);
  EXPECT_EQ(percent_decoded("%g1"), std::nullopt);
  EXPECT_EQ(percent_decoded(""), "");
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/router.h"

#include <gtest/gtest.h>

#include <stdexcept>

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
  }
  ApiResponse answer(http::verb method, const std::string& path, bool may_write = false) {
    ApiRequest request;
    request.method = method;
    request.path = path;
    request.may_write = may_write;
    return router_.answer(request);
  }
  Router router_;
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

TEST_F(RouterTest, AnswersInUtf8WhateverTheNetworkSaid) {
  const auto response = ApiResponse::json({{"greeting", "220 \xff\xfe"}});
  EXPECT_FALSE(nlohmann::json::parse(response.body, nullptr, false).is_discarded());
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

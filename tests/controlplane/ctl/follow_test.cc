// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl sessions --follow` against an API that answers as the test says.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/http/server.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;

class Follow : public testing::Test {
 protected:
  Follow() {
    char name[] = "/tmp/sluice-follow-XXXXXX";
    directory_ = mkdtemp(name);
    router_.add(boost::beast::http::verb::get, "/api/v1/sessions",
                [this](const control::ApiRequest& request) { return answer(request); });
    server_.listen(path());
    thread_ = std::jthread([this] { io_.run(); });
  }
  ~Follow() override {
    io_.stop();
    thread_.join();
    std::filesystem::remove_all(directory_);
  }

  /// What is asked first, and then each of `answers`; the last ends it, as Ctrl-C does.
  std::string followed(std::deque<json> answers, bool as_json) {
    answers_ = std::move(answers);
    std::ostringstream out;
    Invocation invocation(out, [this] { return path(); }, {{"follow", {}}});
    invocation.json = as_json;
    const Outcome outcome = sessions_command().run(invocation);
    EXPECT_TRUE(outcome);
    return out.str();
  }
  static json answer_of(uint64_t next, uint64_t missed, std::vector<json> sessions) {
    return {{"next", next}, {"missed", missed}, {"sessions", std::move(sessions)}};
  }
  static json session(const std::string& client) {
    return {{"time", "2026-11-30T10:00:00.000Z"}, {"client", client}, {"client_port", 1}, {"failed", false}};
  }

  std::vector<std::string> asked_;  // the queries

 private:
  std::string path() const { return directory_ + "/control.sock"; }
  control::ApiResponse answer(const control::ApiRequest& request) {
    asked_.emplace_back(request.query);
    if (asked_.size() == 1) return control::ApiResponse::json(answer_of(7, 0, {session("192.0.2.1")}));
    const json next = answers_.front();
    answers_.pop_front();
    if (answers_.empty()) std::raise(SIGTERM);
    return control::ApiResponse::json(next);
  }

  std::string directory_;
  boost::asio::io_context io_;
  control::Router router_;
  control::HttpServer server_{io_, router_};
  std::deque<json> answers_;
  std::jthread thread_;
};

TEST_F(Follow, ShowsWhatEndsFromNowOnAndGoesOnWhereItWas) {
  const std::string out =
      followed({answer_of(8, 0, {session("192.0.2.2")}), answer_of(9, 0, {session("192.0.2.3")})}, false);
  EXPECT_EQ(out.find("192.0.2.1:"), std::string::npos) << out;
  EXPECT_LT(out.find("192.0.2.2:1"), out.find("192.0.2.3:1")) << out;
  ASSERT_EQ(asked_.size(), 3u);
  EXPECT_TRUE(asked_[1].ends_with("&after=7")) << asked_[1];
  EXPECT_TRUE(asked_[2].ends_with("&after=8")) << asked_[2];
}

TEST_F(Follow, SaysHowManyCameTooFast) {
  const std::string out =
      followed({answer_of(30'000, 27'992, {session("192.0.2.2")}), answer_of(30'000, 0, {})}, false);
  EXPECT_TRUE(out.ends_with("27992 came too fast to be shown\n")) << out;
}

TEST_F(Follow, SaysSoInJsonToo) {
  const std::string out = followed({answer_of(30'000, 27'992, {session("192.0.2.2")}), answer_of(30'000, 0, {})}, true);
  std::istringstream lines(out);
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_EQ(json::parse(first), session("192.0.2.2"));
  EXPECT_EQ(json::parse(second), (json{{"missed", 27'992}}));
}

}  // namespace
}  // namespace sluice::ctl

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/long_answer.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "controlplane/api/json_rows.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

class TurnsTest : public ::testing::Test {
 protected:
  /// An answer of 200 rows that takes much longer than a turn.
  LongAnswer slow() {
    begun_++;
    LongAnswer out;
    const auto rows = std::make_shared<size_t>(0);
    out.steps.add(200, [rows, this](size_t) {
      ++*rows;
      ++made_;
      std::this_thread::sleep_for(200us);
    });
    out.finish = [rows] { return ApiResponse{.body = std::to_string(*rows)}; };
    return out;
  }
  Reply take() {
    return Reply([this](ApiResponse response) { answer_ = std::move(response); });
  }

  boost::asio::io_context io_;
  uint64_t composition_ = 1;
  Turns turns_{io_.get_executor(), [this] { return composition_; }};
  std::optional<ApiResponse> answer_;
  size_t begun_ = 0, made_ = 0;
};

TEST_F(TurnsTest, LetTheLoopGoOnInBetween) {
  size_t others = 0;
  std::function<void()> other = [&] {
    others++;
    if (!answer_) boost::asio::post(io_, other);
  };
  turns_.answer([this] { return slow(); }, take());
  EXPECT_FALSE(answer_);
  other();
  io_.run();
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->body, "200");
  EXPECT_GE(others, 5U);
}

TEST_F(TurnsTest, BeginAnewWhenWhatTheyLookAtIsGone) {
  turns_.answer([this] { return slow(); }, take());
  composition_++;
  const size_t before = made_;
  io_.run();
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->body, "200") << "none of the rows is of the former";
  EXPECT_EQ(begun_, 2U);
  EXPECT_EQ(made_, before + 200);
}

TEST_F(TurnsTest, EndThoughThatHappensAllTheTime) {
  std::function<void()> change = [&] {
    composition_++;
    if (!answer_) boost::asio::post(io_, change);
  };
  turns_.answer([this] { return slow(); }, take());
  change();
  io_.run();
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->body, "200");
}

TEST_F(TurnsTest, AnswerOfWhatThrowsWithAFault) {
  turns_.answer(
      [] {
        LongAnswer out;
        out.steps.add(1, [](size_t) { throw std::runtime_error("no figures"); });
        return out;
      },
      take());
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->status, boost::beast::http::status::internal_server_error);
  EXPECT_TRUE(answer_->body.contains("no figures"));
}

TEST(JsonRows, AreAnObjectWithItsArrays) {
  JsonRows rows(json{{"time", "now"}});
  rows.array("none", 0, [](size_t) { return json(); });
  rows.array("some", 2, [](size_t i) { return json{{"i", i}, {"text", "\xff"}}; });
  EXPECT_EQ(
      json::parse(std::move(rows).take().whole().body),
      json::parse(R"({"time": "now", "none": [], "some": [{"i": 0, "text": "\ufffd"}, {"i": 1, "text": "\ufffd"}]})"));
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// The server among clients that are slow, silent, many, or gone.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/controlplane/support/http_fixture.h"

namespace sluice::control {
namespace {

TEST_F(HttpServerTest, LosesPatienceWithSilentClientsWhenItIsCrowded) {
  serve({.request_timeout = 5000ms, .connections = 4});
  std::vector<Descriptor> silent;
  for (int i = 0; i < 4; i++) silent.push_back(connect());
  const auto begin = std::chrono::steady_clock::now();
  hear(silent.back());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);  // a fifth of the time, with room for a busy machine
}

TEST_F(HttpServerTest, CutsSlowClients) {
  serve({.request_timeout = 50ms});
  const Descriptor fd = connect();
  say(fd, "GET /hello HT");
  EXPECT_EQ(hear(fd), "");
}

TEST_F(HttpServerTest, SurvivesClientsThatLeaveEarly) {
  serve();
  for (int i = 0; i < 50; i++) {
    const Descriptor fd = connect();
    say(fd, "GET /hello HTTP/1.1\r\n\r\n");
  }
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (server_->connections() != 0 && std::chrono::steady_clock::now() < deadline) turn();
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(HttpServerTest, LetsConnectionsBeyondTheLimitWaitTheirTurn) {
  serve({.connections = 3});
  std::vector<Descriptor> held;
  for (int i = 0; i < 3; i++) held.push_back(connect());
  while (server_->connections() < 3) turn();
  const Descriptor fourth = connect();
  say(fourth, "GET /hello HTTP/1.0\r\n\r\n");
  for (int i = 0; i < 20; i++) turn();
  EXPECT_EQ(server_->connections(), 3u);
  held.pop_back();
  EXPECT_NE(hear(fourth).find("200 OK"), std::string::npos);
}

TEST_F(HttpServerTest, CutsClientsThatSendAByteAtATime) {
  serve({.request_timeout = 100ms});
  std::vector<Descriptor> slow;
  for (int i = 0; i < 20; i++) slow.push_back(connect());
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  size_t sent = 0;
  do {
    for (const Descriptor& fd : slow) (void)send(fd.get(), "G", 1, MSG_NOSIGNAL);
    sent++;
    turn();
  } while ((sent < 10 || server_->connections() != 0) && std::chrono::steady_clock::now() < deadline);
  EXPECT_EQ(server_->connections(), 0u);
}

/// A router with an answer that no socket's buffers hold.
class LargeAnswerTest : public HttpServerTest {
 protected:
  static constexpr size_t kBytes = 2U << 20;

  LargeAnswerTest() {
    router_.add(http::verb::get, "/large", [](const ApiRequest&) {
      ApiResponse out;
      out.body.assign(kBytes, 'x');
      return out;
    });
  }

  Descriptor ask() {
    Descriptor out = connect();
    say(out, "GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return out;
  }
};

TEST_F(LargeAnswerTest, IsNotKeptForAClientThatDoesNotTakeIt) {
  serve({.response_timeout = 100ms, .response_rate = 1U << 30});
  const Descriptor fd = ask();
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  do {
    turn();
  } while (server_->connections() != 0 && std::chrono::steady_clock::now() < deadline);
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(LargeAnswerTest, MayTakeAsLongAsItsSizeAllowsFor) {
  serve({.response_timeout = 100ms, .response_rate = kBytes / 60});
  const Descriptor fd = ask();
  const auto until = std::chrono::steady_clock::now() + 300ms;
  while (std::chrono::steady_clock::now() < until) turn();
  EXPECT_GT(hear(fd).size(), kBytes);
}

}  // namespace
}  // namespace sluice::control

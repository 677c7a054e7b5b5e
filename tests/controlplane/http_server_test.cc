// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controlplane/descriptor.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
namespace http = boost::beast::http;

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    char name[] = "/tmp/sluice-http-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/control.sock";
    router_.add(http::verb::get, "/hello", [](const ApiRequest&) { return ApiResponse::json("hello"); });
    router_.add(http::verb::post, "/hello",
                [](const ApiRequest& request) { return ApiResponse::json(request.body.size()); });
    router_.add_later(http::verb::get, "/later", [this](const ApiRequest&, Reply reply) { kept_.push_back(reply); });
  }
  ~HttpServerTest() override {
    server_->stop();
    io_.run_for(10ms);
    std::filesystem::remove_all(directory_);
  }
  void serve(HttpLimits limits = {}) {
    server_ = std::make_unique<HttpServer>(io_, router_, limits);
    server_->listen(path_);
  }
  Descriptor connect() {
    Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  void say(const Descriptor& fd, const std::string& text) {
    size_t sent = 0;
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (sent < text.size() && std::chrono::steady_clock::now() < deadline) {
      const ssize_t n = send(fd.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<size_t>(n);
      if (n < 0 && errno != EAGAIN) return;  // cut off: the answer tells
      turn();
    }
  }
  /// What the server says until it closes, or until `enough`.
  std::string hear(const Descriptor& fd, const std::string& enough = "\x01never") {
    std::string out;
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (std::chrono::steady_clock::now() < deadline && out.find(enough) == std::string::npos) {
      turn();
      char buffer[4096];
      const ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0);
      if (n == 0) return out;
      if (n > 0) out.append(buffer, static_cast<size_t>(n));
      if (n < 0 && errno != EAGAIN) return out;
    }
    EXPECT_NE(out.find(enough), std::string::npos) << "the server did not close";
    return out;
  }
  void turn() {
    io_.run_for(1ms);
    io_.restart();
  }

  boost::asio::io_context io_;
  std::string directory_, path_;
  Router router_;
  std::vector<Reply> kept_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  serve();
  const Descriptor fd = connect();
  for (int i = 0; i < 3; i++) {
    say(fd, "GET /hello?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(hear(fd, "\"hello\"").find("200 OK"), std::string::npos);
  }
  say(fd, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
  EXPECT_NE(hear(fd).find("\r\n\r\n3\n"), std::string::npos);
}

TEST_F(HttpServerTest, WaitsForAnswersThatComeLater) {
  serve();
  const Descriptor late = connect();
  say(late, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  while (kept_.empty()) turn();
  const Descriptor other = connect();
  say(other, "GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_NE(hear(other).find("200 OK"), std::string::npos) << "one that waits must not hold up the rest";
  kept_.front()(ApiResponse::json("at last"));
  EXPECT_NE(hear(late, "at last").find("200 OK"), std::string::npos);
  say(late, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  while (kept_.size() < 2) turn();
  kept_.clear();
  EXPECT_NE(hear(late, "given up").find("503"), std::string::npos);
}

TEST_F(HttpServerTest, GivesItsSocketToOwnerAndGroup) {
  serve();
  struct stat info{};
  ASSERT_EQ(lstat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
}

TEST_F(HttpServerTest, ReplacesTheSocketOfAProcessThatIsGone) {
  {
    const Descriptor stale(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(bind(stale.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  serve();
  const Descriptor fd = connect();
  say(fd, "GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_NE(hear(fd).find("200 OK"), std::string::npos);
}

TEST_F(HttpServerTest, LeavesTheSocketOfAProcessThatRuns) {
  serve();
  HttpServer second(io_, router_);
  EXPECT_THROW(second.listen(path_), std::system_error);
  const Descriptor fd = connect();
  say(fd, "GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_NE(hear(fd).find("200 OK"), std::string::npos);
}

TEST_F(HttpServerTest, RefusesWhatIsNotHttpOrTooLarge) {
  serve({.header_bytes = 1024, .body_bytes = 1024});
  const std::vector<std::pair<std::string, std::string>> cases{
      {"EHLO mail.example\r\n\r\n", "400"},
      {std::string("\x16\x03\x01\x02\x00\x01", 6) + "\r\n\r\n", "400"},
      {"GET /" + std::string(2000, 'a') + " HTTP/1.1\r\n\r\n", "header is too large"},
      {"POST /hello HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", "body is too large"},
      {"POST /hello HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"},
      {"GET /hello HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
  };
  for (const auto& [request, expected] : cases) {
    SCOPED_TRACE(request.substr(0, 60));
    const Descriptor fd = connect();
    say(fd, request);
    EXPECT_NE(hear(fd).find(expected), std::string::npos);
  }
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
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  while (server_->connections() != 0 && std::chrono::steady_clock::now() < deadline) turn();
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(HttpServerTest, TakesNoMoreConnectionsThanAllowed) {
  serve({.connections = 3});
  std::vector<Descriptor> held;
  for (int i = 0; i < 3; i++) held.push_back(connect());
  while (server_->connections() < 3) turn();
  const Descriptor fourth = connect();
  EXPECT_EQ(hear(fourth), "");
  held.clear();
  while (server_->connections() != 0) turn();
  const Descriptor fifth = connect();
  say(fifth, "GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_NE(hear(fifth).find("200 OK"), std::string::npos);
}

TEST_F(HttpServerTest, LetsTcpClientsOnlyRead) {
  serve();
  server_->listen_tcp("127.0.0.1:0");
  Descriptor fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server_->tcp_port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const std::string get = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(send(fd.get(), get.data(), get.size(), 0), static_cast<ssize_t>(get.size()));
  timeval short_wait{0, 1000};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &short_wait, sizeof short_wait);
  EXPECT_NE(hear(fd, "\"hello\"").find("200 OK"), std::string::npos);
  const std::string post = "POST /hello HTTP/1.0\r\nContent-Length: 0\r\n\r\n";
  ASSERT_EQ(send(fd.get(), post.data(), post.size(), 0), static_cast<ssize_t>(post.size()));
  EXPECT_NE(hear(fd).find("403"), std::string::npos);
}

TEST_F(HttpServerTest, SaysWhatIsWrongWithAnAddress) {
  serve();
  EXPECT_THROW(server_->listen_tcp("localhost"), std::invalid_argument);
  EXPECT_THROW(server_->listen_tcp("127.0.0.1:99999"), std::invalid_argument);
  EXPECT_THROW(server_->listen("/nonexistent/directory/control.sock"), std::system_error);
}

}  // namespace
}  // namespace sluice::control

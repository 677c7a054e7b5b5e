// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/server.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controlplane/base/descriptor.h"

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
  void serve(HttpLimits limits = {}, AccessRules rules = {}) {
    server_ = std::make_unique<HttpServer>(io_, router_, limits, std::move(rules));
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
  Descriptor connect_tcp() {
    Descriptor fd(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->tcp_port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(fcntl(fd.get(), F_SETFL, O_NONBLOCK), 0);
    return fd;
  }
  void say(const Descriptor& fd, const std::string& text) {
    size_t sent = 0;
    const auto deadline = std::chrono::steady_clock::now() + 60s;
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
    const auto deadline = std::chrono::steady_clock::now() + 60s;
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

TEST_F(HttpServerTest, LeavesTheBodyOutOfTheAnswerToHead) {
  serve();
  const Descriptor client = connect();
  say(client,
      "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nHEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string heard = hear(client);
  const size_t second = heard.find("HTTP/1.1 404 Not Found");
  const size_t third = heard.find("HTTP/1.1 200 OK", second);
  ASSERT_NE(third, std::string::npos) << heard;
  const std::string first = heard.substr(0, second);
  EXPECT_TRUE(first.starts_with("HTTP/1.1 200 OK")) << first;
  EXPECT_NE(first.find("Content-Length: 8\r\n"), std::string::npos) << first;
  EXPECT_TRUE(first.ends_with("\r\n\r\n")) << first;
  EXPECT_TRUE(heard.substr(second, third - second).ends_with("\r\n\r\n")) << heard;
  EXPECT_TRUE(heard.ends_with("\r\n\r\n\"hello\"\n")) << heard;
}

TEST_F(HttpServerTest, SaysWhichMethodsThereAre) {
  serve();
  const Descriptor client = connect();
  say(client, "OPTIONS /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string heard = hear(client);
  EXPECT_TRUE(heard.starts_with("HTTP/1.1 204 No Content")) << heard;
  EXPECT_NE(heard.find("Allow: GET, HEAD, POST, OPTIONS\r\n"), std::string::npos) << heard;
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

TEST_F(HttpServerTest, GivesItsSocketToAnotherGroup) {
  server_ = std::make_unique<HttpServer>(io_, router_);
  server_->listen(path_, "daemon");
  struct stat info{};
  ASSERT_EQ(lstat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_gid, getgrnam("daemon")->gr_gid);
  HttpServer other(io_, router_);
  EXPECT_THROW(other.listen(directory_ + "/other.sock", "no-such-group"), std::system_error);
  other.stop();
}

TEST_F(HttpServerTest, TellsOfChangesAndOfTokensThatAreNotAccepted) {
  SystemTime now{1'000'000s};
  Journal journal([&] { return now; });
  Audit audit(journal);
  serve({}, AccessRules({}, {.change = Token("0123456789abcdef"), .read = Token("fedcba9876543210")}));
  server_->tell(audit);
  server_->listen_tcp("127.0.0.1:0");
  const auto ask = [&](const Descriptor& fd, const std::string& line, const std::string& token) {
    say(fd, line + " HTTP/1.0\r\n" + (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") +
                "Content-Length: 0\r\n\r\n");
    return hear(fd);
  };
  ask(connect(), "GET /hello", "");
  ask(connect_tcp(), "GET /hello", "fedcba9876543210");
  ask(connect_tcp(), "POST /hello", "fedcba9876543210");  // may not
  EXPECT_TRUE(journal.entries().empty());
  ask(connect(), "POST /hello?pool=mta", "");
  ask(connect_tcp(), "POST /hello", "0123456789abcdef");
  ask(connect_tcp(), "POST /nothing", "0123456789abcdef");
  for (int i = 0; i < 5; i++) ask(connect_tcp(), "GET /hello", "0000000000000000");
  now += 61s;
  ask(connect_tcp(), "GET /hello", "0000000000000000");
  std::vector<std::string> told;
  for (const JournalEntry& entry : journal.entries()) told.push_back(entry.subject + ": " + entry.text);
  const std::string denied = "127.0.0.1: presents a token that is not accepted";
  EXPECT_EQ(told, (std::vector<std::string>{"root (uid 0): POST /hello?pool=mta: 200", "127.0.0.1: POST /hello: 200",
                                            "127.0.0.1: POST /nothing: 404", denied,
                                            denied + "; 4 others were presented since the last of these events"}));
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

TEST_F(HttpServerTest, ReadsNoBodyOfThoseWhoMayChangeNothing) {
  serve();
  server_->listen_tcp("127.0.0.1:0");
  const Descriptor fd = connect_tcp();
  say(fd, "POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n");
  const std::string answer = hear(fd);  // without a byte of the body
  EXPECT_NE(answer.find("403"), std::string::npos) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos) << answer;
}

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

TEST_F(HttpServerTest, KeepsRoomOnTheUnixSocketWhateverHappensOnTcp) {
  serve({.connections = 3});
  server_->listen_tcp("127.0.0.1:0");
  std::vector<Descriptor> held;
  for (int i = 0; i < 5; i++) held.push_back(connect_tcp());
  while (server_->connections() < 3) turn();
  const Descriptor local = connect();
  say(local, "GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_NE(hear(local).find("200 OK"), std::string::npos);
}

TEST_F(HttpServerTest, LetsTcpClientsReadAndWithTheTokenWrite) {
  serve({}, AccessRules({}, {.change = Token("0123456789abcdef"), .read = std::nullopt}));
  server_->listen_tcp("127.0.0.1:0");
  const std::vector<std::pair<std::string, std::string>> cases{
      {"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", "200 OK"},
      {"POST /hello HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "403"},
      {"POST /hello HTTP/1.0\r\nAuthorization: Bearer 0123456789abcdef\r\nContent-Length: 0\r\n\r\n", "200 OK"},
      {"POST /hello HTTP/1.0\r\nAuthorization: Bearer 0123456789abcdeX\r\nContent-Length: 0\r\n\r\n",
       "WWW-Authenticate: Bearer"},
      {"GET /hello HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "421"},
      {"GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n", "allowed: one Host"},
      {"GET /hello HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
       "allowed: one Host"},
      {"DELETE /hello HTTP/1.0\r\n\r\n", "Allow: GET, HEAD, POST, OPTIONS"},
  };
  for (const auto& [request, expected] : cases) {
    SCOPED_TRACE(request);
    const Descriptor fd = connect_tcp();
    say(fd, request);
    const std::string answer = hear(fd);
    EXPECT_NE(answer.find(expected), std::string::npos) << answer;
    EXPECT_EQ(answer.find("Access-Control"), std::string::npos);
  }
}

TEST_F(HttpServerTest, AnswersAClientThatHasClosedItsHalf) {
  serve();
  const Descriptor fd = connect();
  say(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  shutdown(fd.get(), SHUT_WR);
  EXPECT_NE(hear(fd).find("200 OK"), std::string::npos);
  const Descriptor halfway = connect();
  say(halfway, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  shutdown(halfway.get(), SHUT_WR);
  EXPECT_NE(hear(halfway).find("400"), std::string::npos);
}

TEST_F(HttpServerTest, TakesABodyInChunksHoweverItIsCut) {
  serve();
  const std::string head = "POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
  const std::pair<std::string, std::string> bodies[] = {{"3\r\nabc\r\n0\r\n\r\n", "3"}, {"0\r\n\r\n", "0"}};
  for (const auto& [body, bytes] : bodies) {
    for (size_t cut = 0; cut < body.size(); cut++) {
      SCOPED_TRACE(body.substr(0, cut));
      const Descriptor fd = connect();
      say(fd, head + body.substr(0, cut));
      for (const char byte : body.substr(cut)) say(fd, std::string(1, byte));
      EXPECT_NE(hear(fd).find("\r\n\r\n" + bytes + "\n"), std::string::npos);
    }
  }
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

TEST_F(HttpServerTest, SaysWhatIsWrongWithAnAddress) {
  serve();
  EXPECT_THROW(server_->listen_tcp("localhost"), std::invalid_argument);
  EXPECT_THROW(server_->listen_tcp("127.0.0.1:99999"), std::invalid_argument);
  EXPECT_THROW(server_->listen("/nonexistent/directory/control.sock"), std::system_error);
}

}  // namespace
}  // namespace sluice::control

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

#include "tests/controlplane/support/http_fixture.h"

namespace sluice::control {
namespace {

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

TEST_F(HttpServerTest, SaysWhatIsWrongWithAnAddress) {
  serve();
  EXPECT_THROW(server_->listen_tcp("localhost"), std::invalid_argument);
  EXPECT_THROW(server_->listen_tcp("127.0.0.1:99999"), std::invalid_argument);
  EXPECT_THROW(server_->listen("/nonexistent/directory/control.sock"), std::system_error);
}

}  // namespace
}  // namespace sluice::control

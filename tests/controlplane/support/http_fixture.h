// SPDX-License-Identifier: Apache-2.0
//
// A server with a few answers on a socket of its own, and clients of it.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/base/descriptor.h"
#include "controlplane/http/server.h"

namespace sluice::control {

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

}  // namespace sluice::control

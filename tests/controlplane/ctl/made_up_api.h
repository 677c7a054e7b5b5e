// SPDX-License-Identifier: Apache-2.0
//
// An API of the test's own, on a thread of its own until the end of the scope.
#pragma once

#include <boost/asio/io_context.hpp>
#include <string>
#include <thread>

#include "controlplane/http/server.h"

namespace sluice::ctl {

class MadeUpApi {
 public:
  ~MadeUpApi() { io_.stop(); }

  /// To be given its routes, and then to listen.
  control::Router& router() { return router_; }
  void listen(const std::string& path) {
    server_.listen(path);
    thread_ = std::jthread([this] { io_.run(); });
  }

 private:
  boost::asio::io_context io_;
  control::Router router_;
  control::HttpServer server_{io_, router_};
  std::jthread thread_;
};

}  // namespace sluice::ctl

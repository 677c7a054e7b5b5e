// SPDX-License-Identifier: Apache-2.0
//
// Who routes the mail servers' own traffic: follows the kernel for the workers' table, and tells operators when it goes
// over from the one to the other, and why. Runs on the event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/kernel/route_watch.h"
#include "controlplane/model/model.h"

namespace sluice::control {

class ServerRouting {
 public:
  /// `changed`: the table is another one. Everything outlives this.
  ServerRouting(boost::asio::io_context& io, const Model& model, Journal& journal, std::function<void()> changed);

  void start() { watch_.start(); }
  void stop() { watch_.stop(); }
  /// By this setting, and by the ports as the model has them bound, from now on.
  void follow(config::ServerRouting rule);

  const RoutingFacts& facts() const { return watch_.facts(); }
  /// Null: it is the kernel's.
  std::shared_ptr<const ServerRouteTable> table() const { return facts().routes.table; }

 private:
  void on_changed(const RoutingFacts& facts);

  const Model& model_;
  Journal& journal_;
  std::function<void()> changed_;
  std::string told_;
  std::shared_ptr<const ServerRouteTable> published_;
  RouteWatch watch_;
};

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// Asks the DNS for records of one name, again and again, and whether they are authentic. Where no servers
// are given, every question goes by /etc/resolv.conf as it is then.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/discovery/resolver.h"

namespace sluice::control {

class RecordWatch {
 public:
  /// Told each answer, or why there is none. Says how long it holds, which is brought into bounds.
  using Told = std::function<std::chrono::seconds(const Resolver::Message& answer)>;

  /// How long an answer is held at least and at most, whatever its TTL says; and how soon it is asked again after a
  /// failure.
  static constexpr std::chrono::seconds kShortest{5}, kLongest{3600}, kAfterFailure{10};

  /// Begins in the next turn of the loop. `wire_type` as for Resolver::ask_authenticated(), `servers` as for Resolver.
  RecordWatch(boost::asio::io_context& io, std::vector<config::SocketAddress> servers, std::string name, int wire_type,
              Told told);

 private:
  void ask();
  void hear(const Resolver::Message& answer);
  void wait(std::chrono::seconds pause);

  boost::asio::io_context& io_;
  std::vector<config::SocketAddress> servers_;
  std::string name_;
  int wire_type_;
  Told told_;
  std::optional<Resolver> resolver_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for a timer whose handler comes late
};

}  // namespace sluice::control

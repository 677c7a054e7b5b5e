// SPDX-License-Identifier: Apache-2.0
//
// Asks the DNS for a pool's members, again and again: when the least TTL of an answer is over, and soon after a
// failure.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "config/model.h"
#include "controlplane/discovery/resolver.h"

namespace sluice::control {

class DnsWatch {
 public:
  /// Told every answer, as a document of members (config/load.h), or why there is none.
  using Told = std::function<void(const std::expected<std::string, std::string>& document)>;

  /// How long an answer is held, whatever its TTL says; and how soon it is asked again after a failure.
  static constexpr std::chrono::seconds kShortest{1}, kLongest{3600}, kAfterFailure{5};

  /// Begins at once. `discover.dns` is not empty. Throws std::runtime_error as Resolver does.
  DnsWatch(boost::asio::io_context& io, config::Discover discover, Told told);

 private:
  void ask();
  void on_services(Resolver::Answer answer);
  void on_addresses(const std::string& target, Resolver::Answer answer);
  void finish(const std::expected<std::string, std::string>& document, std::chrono::seconds pause);

  config::Discover discover_;
  Told told_;
  Resolver resolver_;
  boost::asio::steady_timer timer_;
  DnsRecords services_;                                         // of an SRV answer whose addresses are asked for
  std::map<std::string, DnsRecords> addresses_;                 // by target
  size_t missing_ = 0;                                          // answers that are waited for
  std::string fault_;                                           // of the first that went wrong
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for a timer whose handler comes late
};

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// Asks the members of etcd, one after the other until one answers, over one connection at a time, which stays open for
// the next question. For one coroutine. Every connection reads the certificates anew.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "config/endpoint.h"
#include "config/model.h"
#include "controlplane/fleet/etcd_connection.h"
#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

class EtcdClient {
 public:
  template <typename T>
  using Result = std::expected<T, std::string>;

  /// `first`: the member that is asked first.
  EtcdClient(boost::asio::any_io_executor executor, config::Etcd etcd, size_t first = 0);

  /// The text of an answer of status 200. The error names each member that was asked, and what came of it; it is the
  /// same for as long as that is.
  boost::asio::awaitable<Result<std::string>> ask(const etcd::Request& request);
  /// Whether the last error of ask() was a refusal, which the other members would give, too.
  bool was_refused() const { return was_refused_; }
  /// The one that answered last, or is asked next.
  size_t member() const { return member_; }
  /// Goes to that member. What is awaited of another one ends with an error.
  void go_to(size_t member);
  /// Begins a watch, instead of questions.
  boost::asio::awaitable<Result<void>> begin(const etcd::Request& request);
  /// What the watch says next.
  boost::asio::awaitable<Result<std::string>> next();
  /// Ends what is awaited, and refuses what is asked from now on.
  void stop();

 private:
  struct Tried {
    Result<std::string> answer;
    bool is_final = false;  // others would say the same
  };
  /// "https://10.9.0.9:2379: no answer in time"
  std::string told_of(size_t member, const std::string& fault) const;
  boost::asio::awaitable<Result<void>> connect();
  boost::asio::awaitable<Tried> try_member(const etcd::Request& request);
  void drop();

  boost::asio::any_io_executor executor_;
  config::Etcd etcd_;
  std::vector<config::Endpoint> members_;
  size_t member_ = 0;                           // that is asked first
  std::shared_ptr<EtcdConnection> connection_;  // to it; null: none
  bool was_refused_ = false;
  bool stopped_ = false;
};

}  // namespace sluice::control

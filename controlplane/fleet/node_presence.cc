// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/node_presence.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "controlplane/fleet/etcd_client.h"
#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

namespace asio = boost::asio;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

}  // namespace

/// A coroutine keeps it alive until it has ended.
class NodePresence::Loop : public std::enable_shared_from_this<Loop> {
 public:
  Loop(asio::io_context& io, const config::Etcd& etcd, std::string key, Text text)
      : io_(io), key_(std::move(key)), text_(std::move(text)), client_(io.get_executor(), etcd), pause_(io) {}

  void start() {
    asio::co_spawn(io_, [self = shared_from_this()] { return self->run(); }, asio::detached);
  }

  void stop() {
    stopped_ = true;
    client_.stop();
    pause_.cancel();
  }

 private:
  asio::awaitable<void> run() {
    while (!stopped_) {
      co_await keep();
      if (stopped_) break;
      pause_.expires_after(kInterval);
      co_await pause_.async_wait(kAwait);
    }
  }

  /// One round; what fails is tried again in the next, with another lease.
  asio::awaitable<void> keep() {
    if (lease_ != 0) {
      const etcd::Request renew = etcd::keep_alive(lease_);
      const auto renewed = co_await client_.ask(renew);
      if (!renewed || stopped_) co_return;  // it may be there still
      if (!etcd::kept_from(*renewed).value_or(false)) lease_ = 0;
    }
    if (lease_ == 0) {
      const etcd::Request ask = etcd::grant(kTtl.count());
      const auto granted = co_await client_.ask(ask);
      if (!granted || stopped_) co_return;
      lease_ = etcd::granted_from(*granted).value_or(0);
      put_.clear();
      if (lease_ == 0) co_return;
    }
    const std::string text = text_();
    if (text == put_) co_return;
    const etcd::Request put = etcd::put(key_, text, lease_);
    const auto done = co_await client_.ask(put);
    if (done) {
      put_ = text;
    } else {
      lease_ = 0;
    }
  }

  asio::io_context& io_;
  std::string key_;
  Text text_;
  EtcdClient client_;
  asio::steady_timer pause_;
  int64_t lease_ = 0;  // 0: none
  std::string put_;    // last, under that lease
  bool stopped_ = false;
};

NodePresence::NodePresence(asio::io_context& io, const config::Etcd& etcd, std::string key, Text text)
    : loop_(std::make_shared<Loop>(io, etcd, std::move(key), std::move(text))) {
  loop_->start();
}

NodePresence::~NodePresence() {
  loop_->stop();
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/etcd_follower.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "controlplane/fleet/etcd_client.h"

namespace sluice::control {

namespace asio = boost::asio;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

}  // namespace

/// Two coroutines, which keep it alive until they have ended: one lists, the other watches.
class EtcdFollower::Loop : public std::enable_shared_from_this<Loop> {
 public:
  Loop(asio::io_context& io, const config::Etcd& etcd, const EtcdIdentity& identity, std::string prefix, Told told)
      : io_(io),
        identity_(identity),
        prefix_(std::move(prefix)),
        told_(std::move(told)),
        lister_(io.get_executor(), etcd),
        watcher_(io.get_executor(), etcd),
        next_listing_(io),
        next_watch_(io) {}

  void start() {
    asio::co_spawn(io_, [self = shared_from_this()] { return self->list(); }, asio::detached);
  }

  void stop() {
    stopped_ = true;
    lister_.stop();
    watcher_.stop();
    next_listing_.cancel();
    next_watch_.cancel();
  }

  size_t member() const { return lister_.member(); }

 private:
  asio::awaitable<void> list() {
    while (!stopped_) {
      changed_ = false;
      const etcd::Request request = etcd::range_of(prefix_);
      const EtcdIdentity::Asked asked = identity_.asked();
      const auto text = co_await lister_.ask(request);
      if (stopped_) break;
      const Heard listing = text ? etcd::listing_from(*text) : std::unexpected(text.error());
      const bool is_good = listing.has_value();
      if (is_good) watcher_.go_to(lister_.member());  // where a watch hears: one of a dead member is silent for ever
      if (is_good) next_revision_ = listing->at.revision + 1;
      told_(listing, asked);
      if (stopped_) break;
      if (is_good && !std::exchange(watches_, true)) {
        asio::co_spawn(io_, [self = shared_from_this()] { return self->watch(); }, asio::detached);
      }
      const std::chrono::milliseconds usual = is_good ? kInterval : kAfterFault;
      next_listing_.expires_after(is_good && changed_ ? kShortest : usual);
      co_await next_listing_.async_wait(kAwait);
    }
  }

  asio::awaitable<void> watch() {
    while (!stopped_) {
      const etcd::Request request = etcd::watch(prefix_, next_revision_);
      watcher_.go_to(lister_.member());
      const auto begun = co_await watcher_.begin(request);
      if (begun) co_await hear();
      if (stopped_) break;
      next_watch_.expires_after(kAfterFault);
      co_await next_watch_.async_wait(kAwait);
      list_now();  // the next one begins behind that, whatever was compacted
    }
  }

  asio::awaitable<void> hear() {
    etcd::WatchReader reader;
    while (!stopped_) {
      const auto bytes = co_await watcher_.next();
      const auto messages = bytes ? reader.take(*bytes) : std::unexpected(bytes.error());
      if (!messages || stopped_) co_return;
      for (const etcd::WatchMessage& message : *messages) {
        if (!message.end.empty()) co_return;
        if (message.events != 0) list_now();
      }
    }
  }

  void list_now() {
    changed_ = true;
    next_listing_.cancel();
  }

  asio::io_context& io_;
  const EtcdIdentity& identity_;
  std::string prefix_;
  Told told_;
  EtcdClient lister_, watcher_;
  asio::steady_timer next_listing_, next_watch_;
  int64_t next_revision_ = 0;  // behind the last listing
  bool watches_ = false;
  bool changed_ = false;  // since the listing under way was asked for
  bool stopped_ = false;
};

EtcdFollower::EtcdFollower(asio::io_context& io, const config::Etcd& etcd, const EtcdIdentity& identity,
                           std::string prefix, Told told)
    : loop_(std::make_shared<Loop>(io, etcd, identity, std::move(prefix), std::move(told))) {
  loop_->start();
}

EtcdFollower::~EtcdFollower() {
  loop_->stop();
}

size_t EtcdFollower::member() const {
  return loop_->member();
}

}  // namespace sluice::control

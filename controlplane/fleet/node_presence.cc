// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/node_presence.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>
#include <vector>

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
  Loop(asio::io_context& io, const config::Etcd& etcd, const std::string& node, const std::string& instance,
       Hooks hooks)
      : io_(io),
        key_(etcd.prefix + "/nodes/" + node),
        rivals_(etcd.prefix + "/rivals/" + node + "/"),
        own_rival_key_(rivals_ + instance),
        hooks_(std::move(hooks)),
        client_(io.get_executor(), etcd),
        pause_(io),
        claim_(instance) {}

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

  /// One round; what fails is tried again in the next.
  asio::awaitable<void> keep() {
    if (!co_await has_lease()) co_return;
    const etcd::Request ask_key = etcd::get(key_), ask_rivals = etcd::range_of(rivals_);
    const auto key = co_await list(ask_key);
    const auto rivals = co_await list(ask_rivals);
    if (!key || !rivals || stopped_) co_return;
    claim_.look(key->empty() ? std::nullopt : std::optional(key->front()), *rivals, rivals_);
    if (claim_.state() != std::exchange(last_told_, claim_.state())) hooks_.on_name(claim_.state());
    if (!stopped_) co_await put(*rivals);
  }

  asio::awaitable<bool> has_lease() {
    if (lease_ != 0) {
      const etcd::Request renew = etcd::keep_alive(lease_);
      const auto renewed = co_await client_.ask(renew);
      if (!renewed || stopped_) co_return false;  // it may be there still
      if (!etcd::kept_from(*renewed).value_or(false)) lease_ = 0;
    }
    if (lease_ == 0) {
      const etcd::Request ask = etcd::grant(kTtl.count());
      const auto granted = co_await client_.ask(ask);
      if (!granted) tell_refusal(granted.error());
      if (!granted || stopped_) co_return false;
      lease_ = etcd::granted_from(*granted).value_or(0);
    }
    co_return lease_ != 0;
  }

  asio::awaitable<std::optional<std::vector<etcd::Record>>> list(const etcd::Request& request) {
    const auto answer = co_await client_.ask(request);
    if (!answer) co_return std::nullopt;
    auto listing = etcd::listing_from(*answer);
    if (!listing) co_return std::nullopt;
    co_return std::move(listing->records);
  }

  void tell_refusal(const std::string& words) {
    if (!stopped_ && client_.was_refused()) hooks_.on_write(words);
  }

  /// Where somebody was faster, the next look shows it. What is not taken leaves the lease: whether that is there still
  /// is asked in the next round, and a store that is full renews leases, and makes none.
  asio::awaitable<void> put(const std::vector<etcd::Record>& rivals) {
    const auto own = std::ranges::find(rivals, own_rival_key_, &etcd::Record::key);
    const bool is_silent = own != rivals.end();
    std::vector<etcd::Swap> swaps;
    if (const auto revision = claim_.may_put()) {
      swaps.push_back({key_, *revision, hooks_.text(), lease_});
      if (is_silent) swaps.push_back({own_rival_key_, own->revision, std::nullopt});
    } else if (claim_.state().rival && !is_silent) {
      swaps.push_back({own_rival_key_, 0, hooks_.text(), lease_});
    }
    if (swaps.empty()) co_return;
    const etcd::Request swap = etcd::compare_and_swap(swaps);
    const auto swapped = co_await client_.ask(swap);
    if (!swapped) co_return tell_refusal(swapped.error());
    if (!stopped_) hooks_.on_write("");
  }

  asio::io_context& io_;
  std::string key_, rivals_, own_rival_key_;
  Hooks hooks_;
  EtcdClient client_;
  asio::steady_timer pause_;
  int64_t lease_ = 0;  // 0: none
  NameClaim claim_;
  NameState last_told_;
  bool stopped_ = false;
};

NodePresence::NodePresence(asio::io_context& io, const config::Etcd& etcd, const std::string& node,
                           const std::string& instance, Hooks hooks)
    : loop_(std::make_shared<Loop>(io, etcd, node, instance, std::move(hooks))) {
  loop_->start();
}

NodePresence::~NodePresence() {
  loop_->stop();
}

}  // namespace sluice::control

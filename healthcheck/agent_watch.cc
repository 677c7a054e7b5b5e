// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/agent_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "healthcheck/sockets.h"

namespace sluice::health {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr milliseconds kStagger{1};  // between the first questions to two agents

}  // namespace

/// One agent. A coroutine keeps it alive until its last question is answered.
class AgentWatch::Agent : public std::enable_shared_from_this<Agent> {
 public:
  Agent(const asio::any_io_executor& executor, config::SocketAddress address, milliseconds interval,
        std::shared_ptr<OnResult> on_result)
      : address_(address),
        on_result_(std::move(on_result)),
        interval_(interval),
        pause_(executor),
        deadline_(executor),
        socket_(executor) {}

  void set_keys(std::vector<std::string> keys) { keys_ = std::move(keys); }

  /// How often it is asked. If that is more often than before, it is asked after `delay` at the latest.
  void set_interval(milliseconds interval, milliseconds delay) {
    if (std::exchange(interval_, interval) <= interval) return;
    due_ = std::min(due_, Clock::now() + delay);
    boost::system::error_code ignored;
    pause_.cancel(ignored);
  }

  void start(milliseconds delay) {
    asio::co_spawn(
        pause_.get_executor(), [self = shared_from_this(), delay]() { return self->run(delay); }, asio::detached);
  }

  void retire() {
    retired_ = true;
    boost::system::error_code ignored;
    pause_.cancel(ignored);
    socket_.close(ignored);
  }

 private:
  using Clock = std::chrono::steady_clock;

  asio::awaitable<void> run(milliseconds delay) {
    due_ = Clock::now() + delay;
    while (!retired_) {
      if (Clock::now() < due_) {
        pause_.expires_at(due_);
        co_await pause_.async_wait(kAwait);
        continue;  // it may have been cancelled
      }
      due_ = Clock::time_point::max();
      const Result result = co_await ask();
      due_ = Clock::now() + interval_;
      const std::vector<std::string> keys = keys_;  // the callback may replace the targets
      for (const std::string& key : keys)
        if (!retired_) (*on_result_)(key, result);
    }
  }

  asio::awaitable<Result> ask() {
    arm();
    Result result = co_await exchange();
    if (!result && expired_)
      result = std::unexpected(fmt::format("no line within {} ms", std::min(kDeadline, interval_).count()));
    deadline_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
    co_return result;
  }

  asio::awaitable<Result> exchange() {
    const tcp::endpoint remote(to_asio(address_.address), address_.port);
    boost::system::error_code error;
    socket_.open(remote.protocol(), error);
    if (!error) std::tie(error) = co_await socket_.async_connect(remote, kAwait);
    if (error) co_return std::unexpected(in_words(error));
    AgentLineReader reader;
    while (true) {
      const auto [failed, size] = co_await socket_.async_read_some(asio::buffer(buffer_), kAwait);
      if (failed == asio::error::eof) {
        const auto closed = reader.on_closed();
        if (!closed) co_return std::unexpected(closed.error());
        co_return parse_agent_line(reader.line());
      }
      if (failed) co_return std::unexpected(in_words(failed));
      switch (reader.on_bytes({buffer_.data(), size})) {
        case AgentLineReader::Status::kComplete:
          co_return parse_agent_line(reader.line());
        case AgentLineReader::Status::kTooLong:
          co_return std::unexpected(fmt::format("a line of more than {} bytes", kMaxAgentLineBytes));
        case AgentLineReader::Status::kMore:
          break;
      }
    }
  }

  void arm() {
    expired_ = false;
    deadline_.expires_after(std::min(kDeadline, interval_));
    deadline_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
      const auto self = weak.lock();
      if (cancelled || !self) return;
      self->expired_ = true;
      boost::system::error_code ignored;
      self->socket_.cancel(ignored);
    });
  }

  const config::SocketAddress address_;
  std::shared_ptr<OnResult> on_result_;
  std::vector<std::string> keys_;
  milliseconds interval_;
  Clock::time_point due_ = Clock::time_point::max();  // the next question; none while one is under way
  bool retired_ = false;
  bool expired_ = false;
  asio::steady_timer pause_;
  asio::steady_timer deadline_;
  tcp::socket socket_;
  std::array<char, kMaxAgentLineBytes> buffer_{};
};

AgentWatch::AgentWatch(asio::any_io_executor executor, OnResult on_result)
    : executor_(std::move(executor)), on_result_(std::make_shared<OnResult>(std::move(on_result))) {}

AgentWatch::~AgentWatch() {
  for (const auto& [address, agent] : agents_) agent->retire();
}

void AgentWatch::set_targets(const std::vector<AgentTarget>& targets) {
  std::map<config::SocketAddress, std::pair<std::vector<std::string>, milliseconds>> wanted;
  for (const AgentTarget& target : targets) {
    auto& [keys, interval] =
        wanted.try_emplace(target.agent, std::vector<std::string>(), target.interval).first->second;
    keys.push_back(target.key);
  }
  auto before = std::exchange(agents_, {});
  milliseconds delay{0};
  for (auto& [address, what] : wanted) {
    auto kept = before.extract(address);
    const auto agent = kept ? kept.mapped() : std::make_shared<Agent>(executor_, address, what.second, on_result_);
    agent->set_keys(std::move(what.first));
    agents_.emplace(address, agent);
    if (kept) {
      agent->set_interval(what.second, delay);
    } else {
      agent->start(delay);
    }
    delay = std::min(delay + kStagger, what.second);
  }
  for (const auto& [address, agent] : before) agent->retire();
}

}  // namespace sluice::health

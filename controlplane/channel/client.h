// SPDX-License-Identifier: Apache-2.0
//
// Control's end of the channel: keeps a connection to the data plane, tells it the whole desired state when a
// connection begins and the differences from then on, and measures how long a change takes to be in use on every
// worker. Runs on one io_context; none of it is thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "controlplane/base/latency_histogram.h"
#include "controlplane/channel/command_feed.h"
#include "controlplane/channel/mapping.h"
#include "controlplane/channel/publisher.h"

namespace sluice::control {

class ChannelClient {
 public:
  using Clock = std::chrono::steady_clock;

  /// What the owner wants to hear of. All are called from the event loop; each may be empty.
  struct Handlers {
    std::function<void(uint32_t workers)> connected;
    std::function<void(const std::string& reason)> disconnected;  // once per change, not per attempt
    std::function<void()> ending;                                 // the connection's memory is there for the last time
    std::function<void(const std::string& fault)> fault;          // something was refused or cannot be published
    std::function<void(std::chrono::microseconds)> in_use;        // from a change's cause to its use on every worker
  };

  /// How long to wait before connecting again: doubled from `first` to `longest`. Short, as a data plane that has come
  /// back refuses new flows until it is told where they go, and an attempt costs microseconds.
  struct Retry {
    std::chrono::milliseconds first{10};
    std::chrono::milliseconds longest{100};
  };

  ChannelClient(boost::asio::io_context& io, std::string socket_path, Handlers handlers, Retry retry);

  /// Connects, and connects again whenever the connection ends.
  void start();
  /// Ends the connection for good.
  void stop();

  /// The state to be reached. `cause`: when the verdict or event that led to it was known.
  void publish(Desired desired, Clock::time_point cause);

  /// Commands to every worker beside what is published, and to the data plane's main lcore. False while there is no
  /// connection, or if main has left too many lying.
  bool tell_workers(std::vector<channel::Command> commands);
  bool tell_main(const channel::Command& command);

  /// The current connection's memory; null while there is none.
  const ChannelMapping* mapping() const { return mapping_ ? &*mapping_ : nullptr; }
  /// Ids that are in use on the current connection; null before its snapshot.
  const Publisher* publisher() const { return session_ ? &session_->publisher : nullptr; }
  /// The services and backends that some worker knows; empty while there is no connection.
  KnownKeys known() const;
  /// Whether everything that was published is in use on every worker.
  bool is_settled() const;
  /// Duration of the last change, from cause to use.
  std::optional<std::chrono::microseconds> last_latency() const { return last_latency_; }
  /// Durations of all changes since the start.
  const LatencyHistogram& latencies() const { return latencies_; }

 private:
  using Socket = boost::asio::local::stream_protocol::socket;

  /// A connection whose workers have all moved to it.
  struct Session {
    Publisher publisher;
    CommandFeed feed;
  };
  struct Mark {
    uint64_t sequence;
    Clock::time_point cause;
  };

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<std::optional<std::string>> serve_one_connection();
  boost::asio::awaitable<std::optional<std::string>> receive_mapping(Socket& socket);
  boost::asio::awaitable<std::optional<std::string>> wait_for_workers(Socket& socket);
  boost::asio::awaitable<void> pause(std::chrono::microseconds time);
  void begin_session();
  void end_session();
  void pump();
  void collect_acknowledgements();
  void send_differences();
  void report_rejections();
  void arm_timer();
  /// Whether nothing is under way, though what is desired may not have fitted.
  bool has_said_all() const;
  void report_fault(const std::string& fault);

  boost::asio::io_context& io_;
  std::string socket_path_;
  Handlers handlers_;
  Retry retry_;
  boost::asio::steady_timer pause_timer_;
  boost::asio::steady_timer pump_timer_;
  std::unique_ptr<Socket> socket_;
  bool stopped_ = false;
  std::string last_reason_;
  std::string last_fault_;

  std::optional<ChannelMapping> mapping_;
  bool attached_ = false;  // every worker reads this connection's rings
  std::unique_ptr<Session> session_;
  std::optional<Desired> desired_;
  std::optional<Clock::time_point> cause_;  // oldest of what was published and not yet turned into commands
  std::deque<Mark> marks_;                  // sent, and not yet in use everywhere
  std::optional<std::chrono::microseconds> last_latency_;
  LatencyHistogram latencies_;
  std::chrono::microseconds poll_interval_{};
  Clock::time_point progress_;  // when a worker last applied something
};

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// One run of a dialogue over a real socket: the adapter between the protocol logic and Boost.Asio. Bounded in memory
// (one small read buffer, the reply parser's bounds) and in time (the dialogue's deadlines). Used from one thread.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "healthcheck/connect_error.h"
#include "healthcheck/dialogue.h"
#include "healthcheck/tls.h"

namespace sluice::health {

/// All that a probe needs to know. Shared by the probes of one target.
struct ProbeSettings {
  config::IpAddress address;
  uint16_t port = 0;
  std::string certificate_name;  // "" = no SNI, no name check
  Plan plan;
  TlsContext tls;  // set for starttls and smtps
  std::shared_ptr<Matcher> matcher;
  std::shared_ptr<IcmpRefusals> refusals;  // of all probes by one prober; null: none is remembered
  std::function<std::chrono::system_clock::time_point()> wall_clock;  // dates of certificates are held against it
};

class Probe : public std::enable_shared_from_this<Probe> {
 public:
  using OnVerdict = std::function<void(const Verdict&)>;
  using OnConnected = std::function<void()>;

  Probe(const boost::asio::any_io_executor& executor, std::shared_ptr<const ProbeSettings> settings,
        Transcript* transcript);

  /// Runs to the end of the farewell. `on_verdict` is called once, as soon as the verdict stands, and `on_connected`
  /// before it when the handshake has been completed. Does not throw.
  boost::asio::awaitable<void> run(OnVerdict on_verdict, OnConnected on_connected = {});

  /// Gives up if there is no connection yet: then there is nobody to say farewell to.
  void give_up_connecting();

 private:
  boost::asio::awaitable<Action> connect(const OnConnected& on_connected);
  Action not_connected(const boost::system::error_code& error, const std::optional<IcmpError>& icmp);
  boost::asio::awaitable<Action> perform(Action action);
  boost::asio::awaitable<Action> read();
  boost::asio::awaitable<Action> handshake();
  boost::asio::awaitable<boost::system::error_code> write(const std::string& bytes);
  boost::asio::awaitable<void> send_fin();

  void arm();
  bool deadline_passed() const { return expired_; }

  std::shared_ptr<const ProbeSettings> settings_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  std::optional<TlsStream> tls_;
  Dialogue dialogue_;
  Dialogue::Time armed_for_;
  bool expired_ = false;
  bool connecting_ = false;
  std::array<char, 2048> buffer_;
};

}  // namespace sluice::health

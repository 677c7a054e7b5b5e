// SPDX-License-Identifier: Apache-2.0
//
// A server on loopback that plays a script, on the same event loop as the probe under test. A script is a coroutine
// over one accepted connection; what the client said and how it left is kept for the test to look at.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/healthcheck/printing.h"

namespace sluice::health::testing {

enum class Left { kStillThere, kFin, kReset };

/// One accepted connection. Every call ends quietly when the client has left.
class Peer {
 public:
  explicit Peer(boost::asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

  boost::asio::awaitable<void> send(std::string bytes);
  /// A byte at a time, `gap` apart.
  boost::asio::awaitable<void> trickle(std::string bytes, std::chrono::milliseconds gap);
  /// Sends `bytes` again and again until the client leaves.
  boost::asio::awaitable<void> flood(std::string bytes);
  /// The next line without its CRLF, "" when the client has left.
  boost::asio::awaitable<std::string> read_line();
  /// `size` bytes exactly, fewer when the client has left.
  boost::asio::awaitable<std::string> read_bytes(size_t size);
  boost::asio::awaitable<void> start_tls(std::shared_ptr<boost::asio::ssl::context> context);
  /// Reads and throws away until the client leaves.
  boost::asio::awaitable<void> read_to_end();
  boost::asio::awaitable<void> wait(std::chrono::milliseconds time);
  /// Ends the connection with an RST.
  void reset();
  void close();

  std::vector<std::string> lines;  // what the client said
  bool spoke_early = false;        // it had sent something when the first send() began
  Left left = Left::kStillThere;

 private:
  boost::asio::awaitable<size_t> read_some(char* bytes, size_t size);
  void leave(const boost::system::error_code& error);

  boost::asio::ip::tcp::socket socket_;
  std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
  bool sent_ = false;
  std::string unread_;
};

using Script = std::function<boost::asio::awaitable<void>(Peer&)>;

class ScriptedServer {
 public:
  /// Listens on a free port of `address`; the script may be changed between connections.
  ScriptedServer(boost::asio::io_context& io, Script script, const std::string& address = "127.0.0.1");
  ~ScriptedServer();

  uint16_t port() const { return port_; }
  void play(Script script) { script_ = std::move(script); }
  /// Keeps the last connection only, for tests that make many.
  void forget_earlier() { keep_all_ = false; }
  size_t connections() const { return peers_.size(); }
  size_t open_at_once_max() const { return count_->open_max; }
  /// The last connection.
  const Peer& last() const { return *peers_.back(); }
  const std::vector<std::shared_ptr<Peer>>& peers() const { return peers_; }

 private:
  boost::asio::awaitable<void> accept();

  /// Outlives the server in the coroutines of its last connections.
  struct Count {
    size_t open = 0;
    size_t open_max = 0;
  };
  static boost::asio::awaitable<void> serve(std::shared_ptr<Peer> peer, Script script, std::shared_ptr<Count> count);

  boost::asio::io_context& io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  uint16_t port_;
  Script script_;
  std::vector<std::shared_ptr<Peer>> peers_;
  bool keep_all_ = true;
  std::shared_ptr<Count> count_ = std::make_shared<Count>();
};

/// Greets, and answers EHLO, STARTTLS (when `tls` is set) and QUIT as a well-behaved server does.
Script smtp_server(std::string greeting = "220 mx ESMTP\r\n", std::shared_ptr<boost::asio::ssl::context> tls = nullptr);
/// The same under TLS from the first byte.
Script smtps_server(std::shared_ptr<boost::asio::ssl::context> tls);

/// Runs the loop until `done` holds; false if it does not within a minute.
bool run_until(boost::asio::io_context& io, const std::function<bool()>& done);
/// Runs the loop for a while, for what must not happen.
void run_for(boost::asio::io_context& io, std::chrono::milliseconds time);

}  // namespace sluice::health::testing

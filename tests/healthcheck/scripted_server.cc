// SPDX-License-Identifier: Apache-2.0
#include "tests/healthcheck/scripted_server.h"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace sluice::health::testing {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

}  // namespace

asio::awaitable<void> Peer::send(std::string bytes) {
  error_code error;
  if (!std::exchange(sent_, true) && !tls_) spoke_early = socket_.available(error) > 0;
  size_t size = 0;
  if (tls_)
    std::tie(error, size) = co_await asio::async_write(*tls_, asio::buffer(bytes), kAwait);
  else
    std::tie(error, size) = co_await asio::async_write(socket_, asio::buffer(bytes), kAwait);
  if (error) leave(error);
}

asio::awaitable<void> Peer::trickle(std::string bytes, std::chrono::milliseconds gap) {
  for (size_t i = 0; i < bytes.size() && left == Left::kStillThere; i++) {
    co_await send(bytes.substr(i, 1));
    co_await wait(gap);
  }
}

asio::awaitable<void> Peer::flood(std::string bytes) {
  while (left == Left::kStillThere) co_await send(bytes);
}

asio::awaitable<std::string> Peer::read_line() {
  std::array<char, 512> buffer;
  while (unread_.find('\n') == std::string::npos) {
    const size_t size = co_await read_some(buffer.data(), buffer.size());
    if (size == 0) co_return "";
    unread_.append(buffer.data(), size);
  }
  const size_t end = unread_.find('\n');
  std::string line = unread_.substr(0, end);
  unread_.erase(0, end + 1);
  if (line.ends_with('\r')) line.pop_back();
  lines.push_back(line);
  co_return line;
}

asio::awaitable<std::string> Peer::read_bytes(size_t size) {
  std::array<char, 512> buffer;
  while (unread_.size() < size) {
    const size_t got = co_await read_some(buffer.data(), buffer.size());
    if (got == 0) break;
    unread_.append(buffer.data(), got);
  }
  const std::string bytes = unread_.substr(0, size);
  unread_.erase(0, size);
  co_return bytes;
}

asio::awaitable<void> Peer::start_tls(std::shared_ptr<asio::ssl::context> context) {
  tls_.emplace(socket_, *context);
  const auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::server, kAwait);
  if (error) leave(error);
}

asio::awaitable<void> Peer::read_to_end() {
  std::array<char, 4096> buffer;
  while (co_await read_some(buffer.data(), buffer.size()) > 0) {
  }
}

asio::awaitable<void> Peer::wait(std::chrono::milliseconds time) {
  asio::steady_timer timer(socket_.get_executor(), time);
  co_await timer.async_wait(kAwait);
}

void Peer::reset() {
  error_code ignored;
  socket_.set_option(tcp::socket::linger(true, 0), ignored);
  close();
}

void Peer::close() {
  error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<size_t> Peer::read_some(char* bytes, size_t size) {
  if (left != Left::kStillThere || !socket_.is_open()) co_return 0;
  error_code error;
  size_t got = 0;
  if (tls_)
    std::tie(error, got) = co_await tls_->async_read_some(asio::buffer(bytes, size), kAwait);
  else
    std::tie(error, got) = co_await socket_.async_read_some(asio::buffer(bytes, size), kAwait);
  if (error) leave(error);
  co_return error ? 0 : got;
}

void Peer::leave(const error_code& error) {
  const bool fin = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
  left = fin ? Left::kFin : Left::kReset;
}

ScriptedServer::ScriptedServer(asio::io_context& io, Script script, const std::string& address)
    : io_(io), acceptor_(io, tcp::endpoint(asio::ip::make_address(address), 0)), script_(std::move(script)) {
  port_ = acceptor_.local_endpoint().port();
  asio::co_spawn(io_, accept(), asio::detached);
}

ScriptedServer::~ScriptedServer() {
  if (acceptor_.is_open()) acceptor_.close();
  for (const auto& peer : peers_) peer->close();
  io_.restart();
  io_.poll();  // lets the coroutines see it while the server is still there
}

asio::awaitable<void> ScriptedServer::accept() {
  while (acceptor_.is_open()) {
    auto [error, socket] = co_await acceptor_.async_accept(kAwait);
    if (error) co_return;
    if (!keep_all_) peers_.clear();
    peers_.push_back(std::make_shared<Peer>(std::move(socket)));
    asio::co_spawn(io_, serve(peers_.back(), script_, count_), asio::detached);
  }
}

asio::awaitable<void> ScriptedServer::serve(std::shared_ptr<Peer> peer, Script script, std::shared_ptr<Count> count) {
  count->open_max = std::max(count->open_max, ++count->open);
  co_await script(*peer);
  if (peer->left == Left::kStillThere) co_await peer->read_to_end();
  peer->close();
  count->open--;
}

namespace {

asio::awaitable<void> converse(Peer& peer, std::shared_ptr<asio::ssl::context> tls) {
  while (true) {
    const std::string line = co_await peer.read_line();
    if (line.starts_with("EHLO ")) {
      co_await peer.send(tls ? "250-mx\r\n250 STARTTLS\r\n" : "250-mx\r\n250 AUTH PLAIN\r\n");
    } else if (line == "STARTTLS" && tls) {
      co_await peer.send("220 go ahead\r\n");
      co_await peer.start_tls(std::exchange(tls, nullptr));
    } else if (line == "QUIT") {
      co_await peer.send("221 bye\r\n");
      co_return;
    } else if (line.empty()) {
      co_return;
    } else {
      co_await peer.send("500 what?\r\n");
    }
  }
}

}  // namespace

Script smtp_server(std::string greeting, std::shared_ptr<asio::ssl::context> tls) {
  return [greeting = std::move(greeting), tls = std::move(tls)](Peer& peer) -> asio::awaitable<void> {
    co_await peer.send(greeting);
    co_await converse(peer, tls);
  };
}

Script smtps_server(std::shared_ptr<asio::ssl::context> tls) {
  return [tls = std::move(tls)](Peer& peer) -> asio::awaitable<void> {
    co_await peer.start_tls(tls);
    co_await peer.send("220 mx ESMTP\r\n");
    co_await converse(peer, nullptr);
  };
}

bool run_until(asio::io_context& io, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  io.restart();
  while (!done() && std::chrono::steady_clock::now() < deadline) {
    if (io.stopped()) io.restart();
    io.run_one_for(std::chrono::milliseconds(20));
  }
  return done();
}

void run_for(asio::io_context& io, std::chrono::milliseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < deadline) {
    if (io.stopped()) io.restart();
    io.run_one_until(deadline);
  }
}

}  // namespace sluice::health::testing

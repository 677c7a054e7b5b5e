// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/probe.h"

#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "healthcheck/sockets.h"

namespace sluice::health {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

Dialogue::Time now() {
  return std::chrono::steady_clock::now();
}

Endpoint to_endpoint(const tcp::endpoint& endpoint) {
  return {.address = from_asio(endpoint.address()), .port = endpoint.port()};
}

struct ConnectError {
  int number;
  Evidence evidence;
};

/// Errors of socket(2) and connect(2), and why each means what it does. An error that is not here is the backend's, and
/// a judgement: it takes no session down.
constexpr std::array kConnectErrors{
    // The host speaks, and says no: a RST, or an ICMP error of its own.
    ConnectError{ECONNREFUSED, Evidence::kRefused},
    // Nothing came back. EHOSTUNREACH is how the kernel tells that ARP or ND went unanswered, or a router did; where a
    // route of ours says "unreachable" it is the same number, and control, which knows the routes, disbelieves it.
    ConnectError{ETIMEDOUT, Evidence::kUnanswered},
    ConnectError{EHOSTUNREACH, Evidence::kUnanswered},
    ConnectError{EHOSTDOWN, Evidence::kUnanswered},
    // No way there: the route, the address or the twin is gone, or a router on the way has no route.
    ConnectError{ENETUNREACH, Evidence::kNone},
    ConnectError{ENETDOWN, Evidence::kNone},
    ConnectError{ENODEV, Evidence::kNone},
    ConnectError{ENONET, Evidence::kNone},
    ConnectError{EINVAL, Evidence::kNone},  // a blackhole route
    // No address or port of ours to speak from.
    ConnectError{EADDRNOTAVAIL, Evidence::kNone},
    ConnectError{EADDRINUSE, Evidence::kNone},
    ConnectError{EAGAIN, Evidence::kNone},
    // Out of descriptors or memory.
    ConnectError{EMFILE, Evidence::kNone},
    ConnectError{ENFILE, Evidence::kNone},
    ConnectError{ENOBUFS, Evidence::kNone},
    ConnectError{ENOMEM, Evidence::kNone},
    ConnectError{ENOSPC, Evidence::kNone},
    // Not allowed to, by the firewall or by the system's security rules, or a prohibiting route.
    ConnectError{EACCES, Evidence::kNone},
    ConnectError{EPERM, Evidence::kNone},
    // The kernel has no IPv6, or no TCP.
    ConnectError{EAFNOSUPPORT, Evidence::kNone},
    ConnectError{EPFNOSUPPORT, Evidence::kNone},
    ConnectError{EPROTONOSUPPORT, Evidence::kNone},
    // Given up by ourselves.
    ConnectError{ECANCELED, Evidence::kNone},
    ConnectError{EINTR, Evidence::kNone},
};

Evidence evidence_of(const error_code& error) {
  if (error.category() != boost::system::system_category()) return Evidence::kNone;  // of Asio itself
  return evidence_of_connect_error(error.value());
}

}  // namespace

Evidence evidence_of_connect_error(int number) {
  const auto known = std::ranges::find(kConnectErrors, number, &ConnectError::number);
  return known == kConnectErrors.end() ? Evidence::kJudged : known->evidence;
}

Probe::Probe(const asio::any_io_executor& executor, std::shared_ptr<const ProbeSettings> settings,
             Transcript* transcript)
    : settings_(std::move(settings)),
      socket_(executor),
      timer_(executor),
      dialogue_(settings_->plan, *settings_->matcher, now(), transcript) {}

asio::awaitable<void> Probe::run(OnVerdict on_verdict, OnConnected on_connected) {
  const auto self = shared_from_this();
  bool reported = false;
  arm();
  Action action = co_await connect(on_connected);
  while (true) {
    const std::optional<Verdict>& verdict = dialogue_.verdict();
    if (verdict && !std::exchange(reported, true)) on_verdict(*verdict);
    if (action.next == Next::kAbort) break;
    arm();
    action = co_await perform(std::move(action));
  }
  timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
}

void Probe::give_up_connecting() {
  if (!connecting_) return;
  error_code ignored;
  socket_.cancel(ignored);
}

asio::awaitable<Action> Probe::connect(const OnConnected& on_connected) {
  const tcp::endpoint remote(to_asio(settings_->address), settings_->port);
  error_code error;
  socket_.open(remote.protocol(), error);
  if (!error) {
    connecting_ = true;
    std::tie(error) = co_await socket_.async_connect(remote, kAwait);
    connecting_ = false;
  }
  if (error && deadline_passed()) co_return dialogue_.on_deadline(now());
  if (error) co_return dialogue_.on_connect_failed(evidence_of(error), in_words(error), now());
  if (on_connected) on_connected();
  socket_.set_option(tcp::no_delay(true), error);  // a PROXY header and a ClientHello follow each other at once
  const tcp::endpoint local = socket_.local_endpoint(error);
  co_return dialogue_.on_connected(to_endpoint(local), to_endpoint(remote), now());
}

asio::awaitable<Action> Probe::perform(Action action) {
  if (!action.send.empty()) {
    const error_code error = co_await write(action.send);
    if (error && deadline_passed()) co_return dialogue_.on_deadline(now());
    if (error) co_return dialogue_.on_closed(in_words(error), now());
  }
  if (action.next == Next::kTls) co_return co_await handshake();
  if (action.next == Next::kClose) co_await send_fin();
  if (dialogue_.has_pending()) co_return dialogue_.on_bytes({}, now());
  co_return co_await read();
}

asio::awaitable<Action> Probe::read() {
  if (deadline_passed()) co_return dialogue_.on_deadline(now());
  error_code error;
  size_t size = 0;
  const asio::mutable_buffer buffer = asio::buffer(buffer_);
  if (tls_)
    std::tie(error, size) = co_await tls_->async_read_some(buffer, kAwait);
  else
    std::tie(error, size) = co_await socket_.async_read_some(buffer, kAwait);
  if (size > 0) co_return dialogue_.on_bytes({buffer_.data(), size}, now());
  if (error && deadline_passed()) co_return dialogue_.on_deadline(now());
  if (error) co_return dialogue_.on_closed(in_words(error), now());
  co_return Action{};
}

asio::awaitable<Action> Probe::handshake() {
  tls_.emplace(socket_, *settings_->tls);
  prepare(*tls_, settings_->plan.check, settings_->certificate_name);
  const auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::client, kAwait);
  if (!error)
    co_return dialogue_.on_tls(
        established(*tls_, settings_->plan.check, settings_->certificate_name, settings_->wall_clock()), now());
  TlsResult result{.heard = has_heard(*tls_)};
  if (!deadline_passed()) result.error = in_words(error);
  co_return dialogue_.on_tls(result, now());
}

asio::awaitable<error_code> Probe::write(const std::string& bytes) {
  error_code error;
  size_t size = 0;
  if (tls_)
    std::tie(error, size) = co_await asio::async_write(*tls_, asio::buffer(bytes), kAwait);
  else
    std::tie(error, size) = co_await asio::async_write(socket_, asio::buffer(bytes), kAwait);
  co_return error;
}

asio::awaitable<void> Probe::send_fin() {
  if (tls_) {
    co_await tls_->async_shutdown(kAwait);  // close_notify both ways, within the deadline of this step
    tls_.reset();
  }
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void Probe::arm() {
  if (dialogue_.deadline() == armed_for_) return;
  armed_for_ = dialogue_.deadline();
  expired_ = false;
  timer_.expires_at(armed_for_);
  timer_.async_wait([weak = weak_from_this(), deadline = armed_for_](const error_code& error) {
    const auto self = weak.lock();
    if (error || !self || self->armed_for_ != deadline) return;  // the step it was set for is over
    self->expired_ = true;
    error_code ignored;
    self->socket_.cancel(ignored);
  });
}

}  // namespace sluice::health

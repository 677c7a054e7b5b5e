// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/probe.h"

#include <openssl/err.h>

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

Evidence evidence_of(const error_code& error) {
  if (error.category() != boost::system::system_category()) return Evidence::kNone;  // of Asio itself
  return evidence_of_connect_error(error.value());
}

}  // namespace

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
  const bool is_v4 = remote.address().is_v4();
  error_code error;
  socket_.open(remote.protocol(), error);
  if (!error) {
    hold_icmp_errors(socket_.native_handle(), is_v4, true);
    connecting_ = true;
    std::tie(error) = co_await socket_.async_connect(remote, kAwait);
    connecting_ = false;
  }
  const std::optional<IcmpError> icmp = take_icmp_error(socket_.native_handle());
  // One that waits to be read wakes who waits for the connection, maybe before the kernel has given it up.
  if (icmp && !error) socket_.remote_endpoint(error);
  if (error) co_return not_connected(error, icmp);
  hold_icmp_errors(socket_.native_handle(), is_v4, false);
  if (on_connected) on_connected();
  socket_.set_option(tcp::no_delay(true), error);  // a PROXY header and a ClientHello follow each other at once
  const tcp::endpoint local = socket_.local_endpoint(error);
  co_return dialogue_.on_connected(to_endpoint(local), to_endpoint(remote), now());
}

Action Probe::not_connected(const error_code& error, const std::optional<IcmpError>& icmp) {
  IcmpRefusals* const refusals = settings_->refusals.get();
  if (icmp) {
    error_code ignored;
    const config::IpAddress ours = from_asio(socket_.local_endpoint(ignored).address());
    const ConnectFailure failure = failure_of(*icmp, settings_->address, ours);
    if (refusals != nullptr && failure.evidence == Evidence::kJudged)
      refusals->note(settings_->address, failure.why, now());
    return dialogue_.on_connect_failed(failure.evidence, failure.why, now());
  }
  const bool is_silence = deadline_passed() || error == asio::error::timed_out;
  if (is_silence && refusals != nullptr) {
    if (const auto why = refusals->recent(settings_->address, now()))
      return dialogue_.on_connect_failed(Evidence::kJudged, "no answer; a moment ago " + *why, now());
  }
  if (deadline_passed()) return dialogue_.on_deadline(now());
  return dialogue_.on_connect_failed(evidence_of(error), in_words(error), now());
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

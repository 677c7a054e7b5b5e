// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/etcd_connection.h"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <utility>

#include "controlplane/base/tls_client.h"

namespace sluice::control {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Error = boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr unsigned kGood = 200;
constexpr size_t kPieceBytes = 16384;  // of a stream, taken at a time

}  // namespace

EtcdConnection::EtcdConnection(const asio::any_io_executor& executor, config::Endpoint endpoint, TlsContext tls)
    : endpoint_(std::move(endpoint)),
      tls_(std::move(tls)),
      stream_(endpoint_.tls ? Stream(std::in_place_type<Secure>, Plain(executor), *tls_)
                            : Stream(std::in_place_type<Plain>, executor)) {}

EtcdConnection::Plain& EtcdConnection::tcp() {
  if (auto* secure = std::get_if<Secure>(&stream_)) return secure->next_layer();
  return std::get<Plain>(stream_);
}

asio::awaitable<EtcdConnection::Result<void>> EtcdConnection::open() {
  const auto places = co_await places_of(endpoint_);
  if (!places) co_return std::unexpected(places.error());
  tcp().expires_after(kOpening);
  const auto [error, place] = co_await tcp().async_connect(*places, kAwait);
  if (error) co_return std::unexpected(in_words(error));
  Error ignored;
  tcp().socket().set_option(tcp::no_delay(true), ignored);
  tcp().socket().set_option(asio::socket_base::keep_alive(true), ignored);
  if (auto* secure = std::get_if<Secure>(&stream_)) co_return co_await shake_hands(*secure, endpoint_.host);
  co_return Result<void>();
}

asio::awaitable<EtcdConnection::Result<void>> EtcdConnection::send(const etcd::Request& request) {
  constexpr int kHttp11 = 11;
  http::request<http::string_body> message(http::verb::post, request.path, kHttp11, request.body);
  const bool is_v6 = endpoint_.host.find(':') != std::string::npos;
  message.set(http::field::host,
              (is_v6 ? "[" + endpoint_.host + "]" : endpoint_.host) + ":" + std::to_string(endpoint_.port));
  message.set(http::field::content_type, "application/json");
  message.prepare_payload();
  tcp().expires_after(kAnswer);
  const auto [error, bytes] =
      co_await std::visit([&](auto& stream) { return http::async_write(stream, message, kAwait); }, stream_);
  if (error) co_return std::unexpected(in_words(co_await reason_of(error)));
  co_return Result<void>();
}

asio::awaitable<Error> EtcdConnection::reason_of(Error error) {
  auto* secure = std::get_if<Secure>(&stream_);
  if (secure == nullptr) co_return error;
  std::array<char, 1> byte{};
  const auto [told, bytes] = co_await secure->async_read_some(asio::buffer(byte), kAwait);
  co_return told.category() == asio::error::get_ssl_category() ? told : error;
}

asio::awaitable<EtcdConnection::Result<HttpAnswer>> EtcdConnection::ask(const etcd::Request& request) {
  if (auto sent = co_await send(request); !sent) co_return std::unexpected(sent.error());
  http::response_parser<http::string_body> answer;
  answer.body_limit(kMostBytes);
  const auto [error, bytes] =
      co_await std::visit([&](auto& stream) { return http::async_read(stream, buffer_, answer, kAwait); }, stream_);
  if (error) co_return std::unexpected(in_words(error));
  if (!answer.get().keep_alive()) close();
  co_return HttpAnswer{answer.get().result_int(), std::move(answer.get().body())};
}

asio::awaitable<EtcdConnection::Result<void>> EtcdConnection::begin(const etcd::Request& request) {
  if (auto sent = co_await send(request); !sent) co_return std::unexpected(sent.error());
  stream_answer_.emplace();
  stream_answer_->body_limit(boost::none);  // each message of it has a bound
  const auto [error, bytes] = co_await std::visit(
      [&](auto& stream) { return http::async_read_header(stream, buffer_, *stream_answer_, kAwait); }, stream_);
  if (error) co_return std::unexpected(in_words(error));
  if (const unsigned status = stream_answer_->get().result_int(); status != kGood)
    co_return std::unexpected("status " + std::to_string(status));
  tcp().expires_never();
  co_return Result<void>();
}

asio::awaitable<EtcdConnection::Result<std::string>> EtcdConnection::next() {
  std::string piece(kPieceBytes, '\0');
  auto& body = stream_answer_->get().body();
  body.data = piece.data();
  body.size = piece.size();
  body.more = true;
  const auto [error, bytes] = co_await std::visit(
      [&](auto& stream) { return http::async_read_some(stream, buffer_, *stream_answer_, kAwait); }, stream_);
  piece.resize(piece.size() - body.size);
  if (error && error != http::error::need_buffer) co_return std::unexpected(in_words(error));
  if (piece.empty() && stream_answer_->is_done()) co_return std::unexpected("it ended the watch");
  co_return piece;
}

void EtcdConnection::close() {
  tcp().close();
}

}  // namespace sluice::control

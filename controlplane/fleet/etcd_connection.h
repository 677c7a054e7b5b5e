// SPDX-License-Identifier: Apache-2.0
//
// One HTTP connection to a member of etcd, in plain text or with TLS, for one question after the other, or for one that
// is answered without an end. Everything has a deadline, and nothing is longer than its bound. Whoever awaits
// something keeps the connection alive; close() ends what is awaited with an error.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "config/endpoint.h"
#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

class EtcdConnection {
 public:
  static constexpr size_t kMostBytes = 64UL << 20;  // of an answer
  static constexpr std::chrono::seconds kOpening{2}, kAnswer{3};

  template <typename T>
  using Result = std::expected<T, std::string>;
  using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

  /// `tls` is used with an https endpoint alone.
  EtcdConnection(const boost::asio::any_io_executor& executor, config::Endpoint endpoint, TlsContext tls);

  boost::asio::awaitable<Result<void>> open();
  /// A question and its whole answer. After an error the connection is of no use any more.
  boost::asio::awaitable<Result<HttpAnswer>> ask(const etcd::Request& request);
  /// A question whose answer has no end: the error may be what the member refused it with.
  boost::asio::awaitable<Result<void>> begin(const etcd::Request& request);
  /// The bytes of that answer that come next, with no deadline.
  boost::asio::awaitable<Result<std::string>> next();
  void close();

 private:
  using Plain = boost::beast::tcp_stream;
  using Secure = boost::beast::ssl_stream<Plain>;
  using Stream = std::variant<Plain, Secure>;
  using Parser = boost::beast::http::response_parser<boost::beast::http::buffer_body>;

  Plain& tcp();
  /// Why a member closed the connection: with TLS 1.3 it judges our certificate when we believe to be through, and what
  /// it says of that stands before the end of the connection, which writing meets first.
  boost::asio::awaitable<boost::system::error_code> reason_of(boost::system::error_code error);
  boost::asio::awaitable<Result<void>> send(const etcd::Request& request);

  config::Endpoint endpoint_;
  TlsContext tls_;
  Stream stream_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> stream_answer_;
};

}  // namespace sluice::control

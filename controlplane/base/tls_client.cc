// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/tls_client.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>

#include "config/model.h"

namespace sluice::control {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using Error = boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

}  // namespace

std::string in_words(const Error& error) {
  if (error == beast::error::timeout) return "no answer in time";
  if (error == beast::http::error::end_of_stream || error == asio::error::eof) return "it closed the connection";
  return error.category() == asio::error::get_ssl_category() ? "TLS: " + error.message() : error.message();
}

asio::awaitable<std::expected<std::vector<tcp::endpoint>, std::string>> places_of(const config::Endpoint& endpoint) {
  Error no_address;
  const auto address = asio::ip::make_address(endpoint.host, no_address);
  if (!no_address) co_return std::vector{tcp::endpoint(address, endpoint.port)};
  tcp::resolver resolver(co_await asio::this_coro::executor);
  const auto [error, found] = co_await resolver.async_resolve(endpoint.host, std::to_string(endpoint.port), kAwait);
  if (error) co_return std::unexpected("its name leads nowhere: " + error.message());
  std::vector<tcp::endpoint> out;
  for (const auto& each : found) out.push_back(each.endpoint());
  co_return out;
}

asio::awaitable<std::expected<void, std::string>> shake_hands(TlsClientStream& stream, const std::string& host) {
  SSL* native = stream.native_handle();
  X509_VERIFY_PARAM* parameters = SSL_get0_param(native);
  if (config::IpAddress::parse(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str());
  } else {
    SSL_set_tlsext_host_name(native, host.c_str());
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), 0);
  }
#ifdef __clang_analyzer__  // it takes the coroutine's frame for one that nobody ever runs
  co_return std::expected<void, std::string>();
#endif
  const auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::client, kAwait);
  if (!error) co_return std::expected<void, std::string>();
  const long verified = SSL_get_verify_result(native);
  if (verified == X509_V_OK) co_return std::unexpected(in_words(error));
  co_return std::unexpected(std::string("its certificate is not accepted: ") + X509_verify_cert_error_string(verified));
}

}  // namespace sluice::control

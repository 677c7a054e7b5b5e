// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/policy_fetch.h"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <utility>

#include "controlplane/base/tls_client.h"
#include "healthcheck/verdict.h"

namespace sluice::control {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr uint16_t kHttpsPort = 443;
constexpr int kHttp11 = 11;

using Text = std::expected<std::string, std::string>;
using Answer = http::response<http::string_body>;

/// "text/plain", whatever stands behind it.
bool is_plain_text(const Answer& answer) {
  constexpr std::string_view kPlain = "text/plain";
  const auto value = answer[http::field::content_type];
  const std::string_view type(value.data(), value.size());
  if (!boost::beast::iequals(type.substr(0, kPlain.size()), kPlain)) return false;
  return type.size() == kPlain.size() || std::string_view("; \t").find(type[kPlain.size()]) != std::string_view::npos;
}

Text text_of(Answer answer) {
  if (answer.result() != http::status::ok)
    return std::unexpected(fmt::format("it answers with status {}, not 200", answer.result_int()));
  if (!is_plain_text(answer)) {
    const auto type = answer[http::field::content_type];
    return std::unexpected(
        fmt::format("its answer is of type \"{}\", not text/plain", health::sanitised({type.data(), type.size()}, 80)));
  }
  return std::move(answer.body());
}

}  // namespace

PolicyTls policy_tls(const CertificateStore& authorities) {
  auto out = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(out->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set1_cert_store(out->native_handle(), authorities.get());
  out->set_verify_mode(asio::ssl::verify_peer);
  return out;
}

config::Endpoint policy_host(const std::string& domain) {
  return {.tls = true, .host = "mta-sts." + domain, .port = kHttpsPort};
}

// g++ 12 takes Asio's own allocation of coroutines for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

asio::awaitable<Text> fetch_policy(config::Endpoint host, PolicyTls tls) {
  const auto places = co_await places_of(host);
  if (!places) co_return std::unexpected(places.error());
  TlsClientStream stream(boost::beast::tcp_stream(co_await asio::this_coro::executor), *tls);
  stream.next_layer().expires_after(kPolicyDeadline);
  const auto [refused, place] = co_await stream.next_layer().async_connect(*places, kAwait);
  if (refused) co_return std::unexpected(in_words(refused));
  if (const auto shaken = co_await shake_hands(stream, host.host); !shaken) co_return std::unexpected(shaken.error());
  http::request<http::empty_body> question(http::verb::get, "/.well-known/mta-sts.txt", kHttp11);
  question.set(http::field::host, host.host);
  question.set(http::field::user_agent, "sluice");
  const auto [unsaid, written] = co_await http::async_write(stream, question, kAwait);
  if (unsaid) co_return std::unexpected(in_words(unsaid));
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> answer;
  answer.body_limit(kMostPolicyBytes);
  const auto [unheard, read] = co_await http::async_read(stream, buffer, answer, kAwait);
  if (unheard == http::error::body_limit)
    co_return std::unexpected(fmt::format("its answer is longer than {} bytes", kMostPolicyBytes));
  if (unheard) co_return std::unexpected(in_words(unheard));
  co_return text_of(answer.release());
}

}  // namespace sluice::control

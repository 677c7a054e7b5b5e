// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/server.h"

#include <fmt/format.h>
#include <grp.h>
#include <openssl/x509.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cerrno>
#include <charconv>
#include <memory>
#include <system_error>
#include <type_traits>

#include "controlplane/base/printable.h"

namespace sluice::control {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr mode_t kSocketMode = 0660;
constexpr int kCrowdedShare = 5;
constexpr auto kAcceptPause = std::chrono::milliseconds(100);  // when there are no descriptors left

using Verdict = std::expected<AccessRules::Granted, ApiResponse>;

http::response<http::string_body> to_http(ApiResponse answer, const HttpRequest& request) {
  http::response<http::string_body> out(answer.status, request.version());
  out.set(http::field::server, "sluice");
  out.set(http::field::content_type, answer.content_type);
  out.set(http::field::cache_control, "no-store");
  out.set("X-Content-Type-Options", "nosniff");
  if (answer.status == http::status::unauthorized) out.set(http::field::www_authenticate, "Bearer");
  if (!answer.allow.empty()) out.set(http::field::allow, answer.allow);
  for (const auto& [name, value] : answer.headers) out.set(name, value);
  out.keep_alive(request.keep_alive());
  out.body() = std::move(answer.body);
  out.prepare_payload();
  if (request.method() == http::verb::head) out.body().clear();  // its length stays in the header
  return out;
}

/// Whether it is the client's request that is wrong, and not the connection.
bool is_http_fault(const error_code& error) {
  return error && error.category() == http::make_error_code(http::error::end_of_stream).category();
}

std::string words_for(error_code error) {
  if (error == http::error::body_limit) return "the request's body is too large";
  if (error == http::error::header_limit) return "the request's header is too large";
  return "not an HTTP request: " + error.message();
}

Peer peer_of(const asio::local::stream_protocol::socket& socket) {
  ucred of{};
  socklen_t size = sizeof of;
  const auto fd = const_cast<asio::local::stream_protocol::socket&>(socket).native_handle();
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &of, &size) != 0) return {true, true, false, "somebody"};
  const passwd* user = getpwuid(of.uid);
  return {true, true, false, fmt::format("{} (uid {})", user != nullptr ? user->pw_name : "?", of.uid)};
}

bool is_here(const asio::ip::tcp::socket& socket) {
  error_code error;
  const auto peer = socket.remote_endpoint(error).address();
  if (error) return false;
  if (peer.is_v6() && peer.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, peer.to_v6()).is_loopback();
  return peer.is_loopback();
}

Peer peer_of(const asio::ip::tcp::socket& socket) {
  error_code error;
  const auto address = socket.remote_endpoint(error).address();
  return {false, is_here(socket), false, error ? "somebody" : address.to_string()};
}

/// What the certificate is of that a client has shown, in one line.
std::string subject_of(SSL* connection) {
  const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(connection), &X509_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> line(BIO_new(BIO_s_mem()), &BIO_free);
  if (!shown || !line) return "";
  X509_NAME_print_ex(line.get(), X509_get_subject_name(shown.get()), 0, XN_FLAG_RFC2253);
  const char* text = nullptr;
  const long bytes = BIO_get_mem_data(line.get(), &text);
  return printable(std::string(text, static_cast<size_t>(std::max(bytes, 0L))));
}

[[noreturn]] void fail(const error_code& error, const std::string& what) {
  throw std::system_error(error.value(), std::system_category(), what);
}

/// A socket file outlives the process that made it. One that is still served stays, and bind() then says so.
void remove_stale_socket(asio::io_context& io, const std::string& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return;
  asio::local::stream_protocol::socket probe(io);
  error_code error;
  probe.connect(asio::local::stream_protocol::endpoint(path), error);
  if (error == asio::error::connection_refused) ::unlink(path.c_str());
}

void give_to(const std::string& group, const std::string& path, error_code& error) {
  errno = 0;
  const ::group* found = getgrnam(group.c_str());
  if (found == nullptr)
    throw std::system_error(errno == 0 ? ENOENT : errno, std::system_category(),
                            "group " + group + " (control.api_group)");
  if (chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0)
    error.assign(errno, boost::system::system_category());
}

/// What a change asks for, as it stands in the audit; "" of what changes nothing.
std::string change_in(const ApiRequest& request) {
  constexpr std::array kHarmless{http::verb::get, http::verb::head, http::verb::options};
  if (!request.may_write || std::ranges::find(kHarmless, request.method) != kHarmless.end()) return "";
  const auto method = http::to_string(request.method);
  return fmt::format("{} {}{}{}", std::string_view(method.data(), method.size()), request.path,
                     request.query.empty() ? "" : "?", request.query);
}

/// "127.0.0.1:9125", "[::1]:9125".
asio::ip::tcp::endpoint parse_endpoint(const std::string& text) {
  const size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + (colon == std::string::npos ? text.size() : colon + 1), end, port);
  if (error || parsed.ptr != end || parsed.ec != std::errc()) {
    throw std::invalid_argument(fmt::format("control.http: \"{}\" is not ADDRESS:PORT", text));
  }
  return {address, port};
}

}  // namespace

HttpServer::HttpServer(asio::io_context& io, const Router& router, HttpLimits limits, AccessRules rules)
    : io_(io), router_(router), limits_(limits), rules_(std::move(rules)) {}

void HttpServer::listen(const std::string& path, const std::string& group) {
  auto acceptor = std::make_unique<Local::acceptor>(io_);
  error_code error;
  acceptor->open(Local(), error);
  if (error) fail(error, "API socket");
  remove_stale_socket(io_, path);
  const mode_t before = umask(0777 & ~kSocketMode);
  acceptor->bind(Local::endpoint(path), error);
  umask(before);
  if (!error && !group.empty()) give_to(group, path, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) fail(error, "cannot listen on " + path + " (control.api)");
  path_ = path;
  accept_on(local_, std::move(acceptor));
}

void HttpServer::listen_tcp(const std::string& address, std::unique_ptr<Certificate> certificate) {
  const Tcp::endpoint endpoint = parse_endpoint(address);
  auto acceptor = std::make_unique<Tcp::acceptor>(io_);
  error_code error;
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) fail(error, "cannot listen on " + address + " (control.http)");
  certificate_ = std::move(certificate);
  accept_on(tcp_, std::move(acceptor));
}

void HttpServer::stop() {
  error_code ignored;
  if (local_.acceptor) local_.acceptor->close(ignored);
  if (tcp_.acceptor) tcp_.acceptor->close(ignored);
  if (local_.room) local_.room->cancel();
  if (tcp_.room) tcp_.room->cancel();
  if (!path_.empty()) ::unlink(path_.c_str());
  path_.clear();
}

uint16_t HttpServer::tcp_port() const {
  return tcp_.acceptor ? tcp_.acceptor->local_endpoint().port() : 0;
}

template <typename Protocol>
void HttpServer::accept_on(Listener<Protocol>& listener, std::unique_ptr<typename Protocol::acceptor> acceptor) {
  listener.acceptor = std::move(acceptor);
  listener.room = std::make_unique<asio::steady_timer>(io_, asio::steady_timer::time_point::max());
  asio::co_spawn(io_, accept(listener), asio::detached);
}

template <typename Protocol>
asio::awaitable<void> HttpServer::accept(Listener<Protocol>& listener) {
  error_code error;
  while (listener.acceptor->is_open()) {
    if (listener.connections >= limits_.connections) {  // the others queue up in the kernel
      co_await listener.room->async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    typename Protocol::socket socket(io_);
    co_await listener.acceptor->async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
    if (error) {
      asio::steady_timer pause(io_, kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    listener.connections++;
    asio::co_spawn(io_, serve<Protocol>(std::move(socket), listener), [&listener](const std::exception_ptr&) {
      listener.connections--;
      listener.room->cancel();
    });
  }
}

/// How long a request may take to arrive. Once half of the places are taken, those who only hold one lose it soon.
template <typename Protocol>
std::chrono::milliseconds HttpServer::patience(const Listener<Protocol>& listener) const {
  return listener.connections * 2 > limits_.connections ? limits_.request_timeout / kCrowdedShare
                                                        : limits_.request_timeout;
}

/// How long a client may be about an answer. With thousands of backends one takes many megabytes.
std::chrono::milliseconds HttpServer::time_to_take(size_t bytes) const {
  return limits_.response_timeout + std::chrono::milliseconds(1000 * bytes / limits_.response_rate);
}

/// Waits for the answer, which a handler may give at once or later.
asio::awaitable<ApiResponse> HttpServer::ask(ApiRequest request) {
  auto begin = [this, request = std::move(request)](auto resume) mutable {
    auto shared = std::make_shared<decltype(resume)>(std::move(resume));
    router_.answer(std::move(request), Reply([&io = io_, shared](ApiResponse response) {
                     asio::post(io,
                                [shared, response = std::move(response)]() mutable { (*shared)(std::move(response)); });
                   }));
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(ApiResponse)>(std::move(begin), asio::use_awaitable);
}

template <typename Protocol>
asio::awaitable<void> HttpServer::serve(typename Protocol::socket socket, const Listener<Protocol>& listener) {
  if constexpr (std::is_same_v<Protocol, Tcp>) {
    if (certificate_) co_return co_await serve_secured(std::move(socket));
  }
  beast::basic_stream<Protocol> stream(std::move(socket));
  co_await converse(stream, peer_of(stream.socket()), listener);
  error_code ignored;
  stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

asio::awaitable<void> HttpServer::serve_secured(Tcp::socket socket) {
  const std::shared_ptr<asio::ssl::context> context = certificate_->current();
  asio::ssl::stream<beast::basic_stream<Tcp>> stream(beast::basic_stream<Tcp>(std::move(socket)), *context);
  error_code error;
  stream.next_layer().expires_after(patience(tcp_));
  co_await stream.async_handshake(asio::ssl::stream_base::server, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return;
  Peer peer = peer_of(stream.next_layer().socket());
  const std::string subject = subject_of(stream.native_handle());
  peer.is_certified = !subject.empty();
  if (peer.is_certified) peer.name += " (" + subject + ")";
  co_await converse(stream, peer, tcp_);
  stream.next_layer().expires_after(limits_.response_timeout);
  co_await stream.async_shutdown(asio::redirect_error(asio::use_awaitable, error));
}

template <typename Stream, typename Protocol>
asio::awaitable<void> HttpServer::converse(Stream& stream, const Peer& peer, const Listener<Protocol>& listener) {
  auto& lowest = beast::get_lowest_layer(stream);
  beast::flat_buffer buffer(limits_.header_bytes + limits_.body_bytes);
  error_code error;
  for (bool keep = true; keep;) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<uint32_t>(limits_.header_bytes));
    parser.body_limit(limits_.body_bytes);
    lowest.expires_after(patience(listener));
    co_await http::async_read_header(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    // Judged by its header. A body is for changes: of those who may make none it is not even read.
    auto granted = error ? Verdict() : judge(rules_, peer, parser.get());
    if (!error && granted && granted->may_write) {
      co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    }
    if (error == http::error::end_of_stream || (error && !is_http_fault(error))) break;
    ApiResponse answer;
    if (error) {
      answer = ApiResponse::error(http::status::bad_request, words_for(error));
    } else if (!granted) {
      answer = granted.error();
      if (audit_ != nullptr && answer.status == http::status::unauthorized) audit_->denied(peer.name);
    } else {
      ApiRequest request = to_api(parser.get());
      request.may_read = granted->may_read;
      request.may_write = granted->may_write;
      request.who = peer.name;
      const std::string change = change_in(request);
      answer = co_await ask(std::move(request));
      if (audit_ != nullptr && !change.empty())
        audit_->changed(peer.name, change, static_cast<unsigned>(answer.status));
    }
    auto response = to_http(std::move(answer), parser.get());
    if (error || !parser.is_done()) response.keep_alive(false);
    keep = response.keep_alive();
    lowest.expires_after(time_to_take(response.body().size()));
    co_await http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
  }
}

}  // namespace sluice::control

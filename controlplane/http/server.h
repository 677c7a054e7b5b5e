// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 over Unix and TCP sockets, for the API. Bounded in every direction: size of a request, time for it to arrive
// and for an answer to be taken, connections at a time (whoever may change nothing has no body read), for each listener
// apart, so that strangers on TCP never keep the operator off the Unix socket. Handlers run on the event loop and must
// not block.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "controlplane/http/access.h"
#include "controlplane/http/audit.h"
#include "controlplane/http/certificate.h"
#include "controlplane/http/request.h"
#include "controlplane/http/router.h"

namespace sluice::control {

struct HttpLimits {
  size_t header_bytes = 16 * 1024;
  size_t body_bytes = 4 * 1024 * 1024;
  std::chrono::milliseconds request_timeout{10'000};   // until a request is complete, idle time before it included
  std::chrono::milliseconds response_timeout{10'000};  // until an answer is taken, with what its size allows for
  size_t response_rate = 1'000'000;                    // bytes a second, at which a client has to take a large one
  size_t connections = 256;                            // of a listener; those beyond wait until one ends
};

class HttpServer {
 public:
  HttpServer(boost::asio::io_context& io, const Router& router, HttpLimits limits = {}, AccessRules rules = {});

  /// Whom to tell of changes, and of tokens that are not accepted; nobody by default.
  void tell(Audit& audit) { audit_ = &audit; }

  /// Listens on a Unix socket with mode 0660; a socket file that nobody serves any more is replaced. Its
  /// connections may change things. `group`: whose it is, "" = the process' own. Once. Throws std::system_error.
  void listen(const std::string& path, const std::string& group = "");
  /// Listens on "ADDRESS:PORT", "[V6]:PORT"; its connections may do what the rules say. `certificate`: shown under TLS;
  /// nothing: in plain text. Once. Throws std::invalid_argument for text of another form, std::system_error.
  void listen_tcp(const std::string& address, std::unique_ptr<Certificate> certificate = nullptr);
  /// Closes everything and removes the socket file.
  void stop();

  size_t connections() const { return local_.connections + tcp_.connections; }
  /// The port of the TCP listener, 0 if there is none.
  uint16_t tcp_port() const;

 private:
  using Local = boost::asio::local::stream_protocol;
  using Tcp = boost::asio::ip::tcp;

  template <typename Protocol>
  struct Listener {
    std::unique_ptr<typename Protocol::acceptor> acceptor;
    std::unique_ptr<boost::asio::steady_timer> room;  // cancelled when a connection ends
    size_t connections = 0;
  };

  template <typename Protocol>
  void accept_on(Listener<Protocol>& listener, std::unique_ptr<typename Protocol::acceptor> acceptor);
  template <typename Protocol>
  boost::asio::awaitable<void> accept(Listener<Protocol>& listener);
  template <typename Protocol>
  boost::asio::awaitable<void> serve(typename Protocol::socket socket, const Listener<Protocol>& listener);
  boost::asio::awaitable<void> serve_secured(Tcp::socket socket);
  template <typename Stream, typename Protocol>
  boost::asio::awaitable<void> converse(Stream& stream, const Peer& peer, const Listener<Protocol>& listener);
  template <typename Protocol>
  std::chrono::milliseconds patience(const Listener<Protocol>& listener) const;
  std::chrono::milliseconds time_to_take(size_t bytes) const;
  boost::asio::awaitable<ApiResponse> ask(ApiRequest request);

  boost::asio::io_context& io_;
  const Router& router_;
  HttpLimits limits_;
  AccessRules rules_;
  Listener<Local> local_;
  Listener<Tcp> tcp_;
  std::unique_ptr<Certificate> certificate_;  // null: TCP is served in plain text
  Audit* audit_ = nullptr;
  std::string path_;
};

}  // namespace sluice::control

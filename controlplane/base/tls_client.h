// SPDX-License-Identifier: Apache-2.0
//
// What all our connections as a client of HTTPS have in common: where a host is, and that it is the one it is taken
// for.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <expected>
#include <string>
#include <vector>

#include "config/endpoint.h"

namespace sluice::control {

using TlsClientStream = boost::beast::ssl_stream<boost::beast::tcp_stream>;

/// Of a connection that failed, for operators: "no answer in time".
std::string in_words(const boost::system::error_code& error);

/// Where a name or an address leads to. The error says that it leads nowhere.
boost::asio::awaitable<std::expected<std::vector<boost::asio::ip::tcp::endpoint>, std::string>> places_of(
    const config::Endpoint& endpoint);

/// Asks for `host`, a name (SNI) or an address, and goes on only if the certificate is for it and its chain is accepted
/// by the stream's context, which verifies. The error says what is not.
boost::asio::awaitable<std::expected<void, std::string>> shake_hands(TlsClientStream& stream, const std::string& host);

}  // namespace sluice::control

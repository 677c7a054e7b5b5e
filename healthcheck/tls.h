// SPDX-License-Identifier: Apache-2.0
//
// TLS as the probes use it. The handshake goes through whatever the certificate is, so that the probe can say what is
// wrong with it and still leave with QUIT; trust is read off afterwards.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <chrono>
#include <expected>
#include <memory>
#include <string>

#include "config/model.h"
#include "healthcheck/dialogue.h"

namespace sluice::health {

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;
using TlsStream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>;

/// TLS 1.2 and up. Reads the CA file (tens of milliseconds for a system's bundle); shared by the probes of a check.
/// The error names the check and the file.
std::expected<TlsContext, std::string> make_tls_context(const config::Check& check);

/// Asks for `server_name` (SNI) and, if the check verifies, holds the certificate against it. May be empty: neither.
void prepare(TlsStream& stream, const config::Check& check, const std::string& server_name);

/// What a handshake that succeeded has shown.
TlsResult established(TlsStream& stream, const config::Check& check, const std::string& server_name,
                      std::chrono::system_clock::time_point now);

/// True if the peer has sent any byte on `stream`.
bool has_heard(TlsStream& stream);

}  // namespace sluice::health

// SPDX-License-Identifier: Apache-2.0
//
// How we show who we are under TLS, and believe who others are: certificates and keys out of files. TLS 1.2 and up.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <expected>
#include <memory>
#include <string>

#include "config/model.h"

namespace sluice::control {

/// What is wrong with one of the files: the setting that names it, and what.
struct TlsFault {
  std::string setting;  // "cert_file"
  std::string words;    // "/etc/sluice/node.pem: No such file or directory"
};

using TlsRead = std::expected<std::shared_ptr<boost::asio::ssl::context>, TlsFault>;

/// For connections to etcd. Reads the files, so that those who were renewed are taken by the next connection.
TlsRead etcd_tls(const config::Etcd& etcd);

/// For connections of the API's clients, likewise.
TlsRead http_tls(const config::HttpTls& tls);

}  // namespace sluice::control

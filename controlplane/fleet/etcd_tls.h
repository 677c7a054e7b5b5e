// SPDX-License-Identifier: Apache-2.0
//
// How etcd's members are believed to be who they are, and how we show who we are: TLS 1.2 and up.
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

/// Reads the files, so that those who were renewed are taken by the next connection.
std::expected<std::shared_ptr<boost::asio::ssl::context>, TlsFault> etcd_tls(const config::Etcd& etcd);

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// Certificates made on the spot: a CA, and servers that are valid, expired, under another name or signed by themselves.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <memory>
#include <string>

namespace sluice::health::testing {

struct Identity {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;
};

/// P-256, valid from a year ago until `left` from now, for the DNS name `name`. Signed by `issuer`, or by itself.
/// A `key` of its own unless given one.
Identity make_identity(const std::string& name, std::chrono::seconds left, const Identity* issuer = nullptr,
                       std::shared_ptr<EVP_PKEY> key = nullptr);

/// A server's context that shows `identity`.
std::shared_ptr<boost::asio::ssl::context> server_context(const Identity& identity);

/// The certificate in a PEM file that goes with the object.
class PemFile {
 public:
  explicit PemFile(const Identity& identity);
  ~PemFile();
  PemFile(const PemFile&) = delete;
  PemFile& operator=(const PemFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace sluice::health::testing

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/etcd_tls.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <utility>

#include "controlplane/base/watched_file.h"

namespace sluice::control {

namespace ssl = boost::asio::ssl;

namespace {

using Error = boost::system::error_code;

}  // namespace

std::expected<std::shared_ptr<ssl::context>, TlsFault> etcd_tls(const config::Etcd& etcd) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  context->set_verify_mode(ssl::verify_peer);
  context->set_password_callback([](size_t, ssl::context::password_purpose) { return std::string(); });  // asks nobody
  Error error;
  if (etcd.ca_file.empty()) {
    context->set_default_verify_paths(error);
    if (error) return std::unexpected(TlsFault{"ca_file", "the system's certificates: " + error.message()});
  }
  // Read by us: OpenSSL's errors do not say that there is no such file.
  const auto take = [&](const char* setting, const std::string& path, const char* what,
                        auto use) -> std::expected<void, TlsFault> {
    if (path.empty()) return {};
    const auto text = read_regular_file(path);
    if (!text) return std::unexpected(TlsFault{setting, text.error()});
    error.clear();
    use(boost::asio::buffer(*text));
    if (error) return std::unexpected(TlsFault{setting, path + ": holds no " + what + " in PEM form"});
    return {};
  };
  using Bytes = boost::asio::const_buffer;
  if (auto done = take("ca_file", etcd.ca_file, "certificate",
                       [&](const Bytes& text) { context->add_certificate_authority(text, error); });
      !done)
    return std::unexpected(done.error());
  if (auto done = take("cert_file", etcd.cert_file, "certificate",
                       [&](const Bytes& text) { context->use_certificate_chain(text, error); });
      !done)
    return std::unexpected(done.error());
  if (auto done = take("key_file", etcd.key_file, "key that goes with the certificate",
                       [&](const Bytes& text) { context->use_private_key(text, ssl::context::pem, error); });
      !done)
    return std::unexpected(done.error());
  return context;
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/tls_files.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <utility>

#include "controlplane/base/watched_file.h"

namespace sluice::control {

namespace ssl = boost::asio::ssl;

namespace {

using Error = boost::system::error_code;
using Bytes = boost::asio::const_buffer;

/// A context whose files are read one after the other; the first fault counts.
class Reading {
 public:
  explicit Reading(ssl::context::method method) : context_(std::make_shared<ssl::context>(method)) {
    SSL_CTX_set_min_proto_version(context_->native_handle(), TLS1_2_VERSION);
    context_->set_password_callback(
        [](size_t, ssl::context::password_purpose) { return std::string(); });  // asks nobody
  }

  void authorities(const char* setting, const std::string& path) {
    take(setting, path, "certificate",
         [&](const Bytes& text, Error& error) { context_->add_certificate_authority(text, error); });
  }
  void own(const std::string& cert_file, const std::string& key_file) {
    take("cert_file", cert_file, "certificate",
         [&](const Bytes& text, Error& error) { context_->use_certificate_chain(text, error); });
    take("key_file", key_file, "key that goes with the certificate",
         [&](const Bytes& text, Error& error) { context_->use_private_key(text, ssl::context::pem, error); });
  }
  void fail(std::string setting, std::string words) {
    if (!fault_) fault_ = TlsFault{std::move(setting), std::move(words)};
  }
  ssl::context& context() { return *context_; }

  TlsRead result() {
    if (fault_) return std::unexpected(std::move(*fault_));
    return context_;
  }

 private:
  /// Read by us: OpenSSL's errors do not say that there is no such file.
  template <typename Use>
  void take(const char* setting, const std::string& path, const char* what, Use use) {
    if (path.empty() || fault_) return;
    const auto text = read_regular_file(path);
    if (!text) return fail(setting, text.error());
    Error error;
    use(boost::asio::buffer(*text), error);
    if (error) fail(setting, path + ": holds no " + what + " in PEM form");
  }

  std::shared_ptr<ssl::context> context_;
  std::optional<TlsFault> fault_;
};

}  // namespace

TlsRead etcd_tls(const config::Etcd& etcd) {
  Reading reading(ssl::context::tls_client);
  reading.context().set_verify_mode(ssl::verify_peer);
  if (etcd.ca_file.empty()) {
    Error error;
    reading.context().set_default_verify_paths(error);
    if (error) reading.fail("ca_file", "the system's certificates: " + error.message());
  }
  reading.authorities("ca_file", etcd.ca_file);
  reading.own(etcd.cert_file, etcd.key_file);
  return reading.result();
}

TlsRead http_tls(const config::HttpTls& tls) {
  Reading reading(ssl::context::tls_server);
  // Who comes again shows his certificate again: a session that is gone on with would outlive the authority it was
  // vouched for by, and OpenSSL refuses it as it is of no context.
  SSL_CTX* const native = reading.context().native_handle();
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(native, 0);
  reading.own(tls.cert_file, tls.key_file);
  if (!tls.client_ca_file.empty()) {
    reading.context().set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
    reading.authorities("client_ca_file", tls.client_ca_file);
  }
  return reading.result();
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/tls.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "healthcheck/certificate.h"

namespace sluice::health {

namespace ssl = boost::asio::ssl;

std::expected<TlsContext, std::string> make_tls_context(const config::Check& check) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET);  // a probe resumes nothing
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  context->set_verify_mode(ssl::verify_none);  // judged after the handshake, see established()
  if (!check.verify) {
    SSL_CTX_set_cert_verify_callback(native, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);  // builds no chain
    return context;
  }
  boost::system::error_code error;
  if (check.ca_file.empty())
    context->set_default_verify_paths(error);
  else
    context->load_verify_file(check.ca_file, error);
  if (error)
    return std::unexpected("check \"" + check.name + "\": ca_file = \"" + check.ca_file +
                           "\" cannot be used: " + error.message() + "; it has to hold certificates in PEM form");
  return context;
}

void prepare(TlsStream& stream, const config::Check& check, const std::string& server_name) {
  if (server_name.empty()) return;
  SSL* native = stream.native_handle();
  X509_VERIFY_PARAM* parameters = SSL_get0_param(native);
  if (config::IpAddress::parse(server_name)) {  // SNI carries names only, RFC 6066 section 3
    if (check.verify) X509_VERIFY_PARAM_set1_ip_asc(parameters, server_name.c_str());
    return;
  }
  SSL_set_tlsext_host_name(native, server_name.c_str());
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (check.verify) X509_VERIFY_PARAM_set1_host(parameters, server_name.c_str(), 0);
}

TlsResult established(TlsStream& stream, const config::Check& check, const std::string& server_name,
                      std::chrono::system_clock::time_point now) {
  SSL* native = stream.native_handle();
  TlsResult result{.established = true, .protocol = SSL_get_version(native)};
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(native), &X509_free);
  if (certificate) result.certificate = read_certificate(certificate.get(), now);
  if (certificate && (check.tlsa || check.mta_sts))
    result.certificate->chain = presented_chain(SSL_get_peer_cert_chain(native));
  const long verified = SSL_get_verify_result(native);
  if (check.verify && verified != X509_V_OK)
    result.trust_error = std::string("certificate not accepted: ") + X509_verify_cert_error_string(verified) +
                         (server_name.empty() ? "" : " (asked for " + server_name + ")");
  if (check.verify && !certificate) result.trust_error = "the server showed no certificate";
  return result;
}

bool has_heard(TlsStream& stream) {
  return BIO_number_read(SSL_get_rbio(stream.native_handle())) > 0;
}

}  // namespace sluice::health

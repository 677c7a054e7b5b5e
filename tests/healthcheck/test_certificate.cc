// SPDX-License-Identifier: Apache-2.0
#include "tests/healthcheck/test_certificate.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>

namespace sluice::health::testing {

namespace {

std::shared_ptr<EVP_PKEY> make_key() {
  return {EVP_EC_gen("P-256"), &EVP_PKEY_free};
}

void add_extension(X509* certificate, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  if (extension == nullptr) throw std::runtime_error("bad extension: " + value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

Identity make_identity(const std::string& name, std::chrono::seconds left, const Identity* issuer,
                       std::shared_ptr<EVP_PKEY> key) {
  static long serial = 1;
  constexpr long kYear = 365L * 86400;
  Identity identity{.certificate = {X509_new(), &X509_free}, .key = key ? key : make_key()};
  X509* certificate = identity.certificate.get();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -kYear);
  X509_gmtime_adj(X509_getm_notAfter(certificate), static_cast<long>(left.count()));
  X509_set_pubkey(certificate, identity.key.get());
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate, issuer != nullptr ? X509_get_subject_name(issuer->certificate.get()) : subject);
  add_extension(certificate, NID_basic_constraints, issuer != nullptr ? "CA:FALSE" : "critical,CA:TRUE");
  add_extension(certificate, NID_subject_alt_name, "DNS:" + name);
  X509_sign(certificate, issuer != nullptr ? issuer->key.get() : identity.key.get(), EVP_sha256());
  return identity;
}

std::shared_ptr<boost::asio::ssl::context> server_context(const Identity& identity) {
  auto context = std::make_shared<boost::asio::ssl::context>(boost::asio::ssl::context::tls_server);
  if (SSL_CTX_use_certificate(context->native_handle(), identity.certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context->native_handle(), identity.key.get()) != 1)
    throw std::runtime_error("certificate and key do not fit");
  return context;
}

PemFile::PemFile(const Identity& identity) : path_("/tmp/sluice-test-ca-XXXXXX") {
  const int descriptor = mkstemp(path_.data());
  FILE* file = fdopen(descriptor, "w");
  if (file == nullptr) throw std::runtime_error("no temporary file");
  PEM_write_X509(file, identity.certificate.get());
  fclose(file);
}

PemFile::~PemFile() {
  unlink(path_.c_str());
}

}  // namespace sluice::health::testing

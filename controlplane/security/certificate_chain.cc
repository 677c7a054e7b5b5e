// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/certificate_chain.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <utility>

namespace sluice::control {

std::expected<CertificateChain, std::string> read_chain(const health::PresentedChain& presented) {
  CertificateChain out;
  for (const std::string& der : presented) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    X509* const certificate = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
    if (certificate == nullptr) {
      ERR_clear_error();
      return std::unexpected("a certificate that was presented cannot be read");
    }
    out.emplace_back(certificate, &X509_free);
  }
  if (out.empty()) return std::unexpected("no certificate was presented");
  return out;
}

std::expected<CertificateStore, std::string> authorities_of(const std::string& ca_file) {
  CertificateStore store(X509_STORE_new(), &X509_STORE_free);
  const int done =
      ca_file.empty() ? X509_STORE_set_default_paths(store.get()) : X509_STORE_load_file(store.get(), ca_file.c_str());
  ERR_clear_error();
  if (done == 1) return store;
  return std::unexpected(ca_file.empty() ? "the system's certificates cannot be read"
                                         : ca_file + ": holds no certificates in PEM form that can be read");
}

CertificateStore only_authority(X509* authority) {
  CertificateStore store(X509_STORE_new(), &X509_STORE_free);
  X509_STORE_add_cert(store.get(), authority);
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  return store;
}

std::string fault_of(const CertificateChain& chain, X509_STORE* authorities, const std::string& name, SystemTime now) {
  const auto free_stack = [](STACK_OF(X509) * stack) { sk_X509_free(stack); };  // what is in it is the chain's
  const std::unique_ptr<STACK_OF(X509), decltype(free_stack)> others(sk_X509_new_null(), free_stack);
  for (const CertificatePointer& certificate : chain) sk_X509_push(others.get(), certificate.get());
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(X509_STORE_CTX_new(),
                                                                                &X509_STORE_CTX_free);
  if (context == nullptr || X509_STORE_CTX_init(context.get(), authorities, chain.front().get(), others.get()) != 1)
    return "it cannot be verified for want of memory";
  X509_STORE_CTX_set_default(context.get(), "ssl_server");
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(now));
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  X509_VERIFY_PARAM_set1_host(parameters, name.c_str(), name.size());
  if (X509_verify_cert(context.get()) == 1) return "";
  ERR_clear_error();
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

}  // namespace sluice::control

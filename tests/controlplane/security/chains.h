// SPDX-License-Identifier: Apache-2.0
//
// Chains as servers present them, of certificates made on the spot.
#pragma once

#include <string>
#include <vector>

#include "controlplane/security/certificate_chain.h"
#include "tests/healthcheck/test_certificate.h"

namespace sluice::control {

inline std::string der_of(const health::testing::Identity& identity) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(identity.certificate.get(), &der);
  std::string out(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

inline health::PresentedChain presented(const std::vector<const health::testing::Identity*>& identities) {
  health::PresentedChain out;
  for (const auto* identity : identities) out.push_back(der_of(*identity));
  return out;
}

inline CertificateChain chain_of(const std::vector<const health::testing::Identity*>& identities) {
  return *read_chain(presented(identities));
}

}  // namespace sluice::control

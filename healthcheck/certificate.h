// SPDX-License-Identifier: Apache-2.0
//
// Reads an X.509 certificate with OpenSSL, and finds members of a pool that disagree.
#pragma once

#include <openssl/x509.h>

#include <chrono>
#include <string>
#include <vector>

#include "healthcheck/verdict.h"

namespace sluice::health {

Certificate read_certificate(X509* certificate, std::chrono::system_clock::time_point now);

/// What the peer presented in the handshake, at most kMaxChain certificates of it.
std::shared_ptr<const PresentedChain> presented_chain(const STACK_OF(X509) * chain);
inline constexpr int kMaxChain = 10;

/// What one member of a pool shows under a name.
struct Shown {
  std::string key;          // the target's
  std::string server_name;  // the name asked for
  Certificate certificate;
};

/// Targets that show different certificates for one name. A TLSA record matches one of them only (RFC 7672), unless it
/// is about the key and the keys agree.
struct Disagreement {
  std::string server_name;
  bool keys_differ = false;       // false: the certificates differ, over one key
  std::vector<std::string> keys;  // the targets under that name, as "KEY (SHA-256 of the certificate)"
};

/// One entry per name with more than one certificate, in order of name.
std::vector<Disagreement> disagreements(const std::vector<Shown>& shown);

}  // namespace sluice::health

// SPDX-License-Identifier: Apache-2.0
//
// A chain of certificates as a server presented it, and whether it holds. Pure: the roots are given.
#pragma once

#include <openssl/x509.h>

#include <chrono>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/base/times.h"
#include "healthcheck/verdict.h"

namespace sluice::control {

using CertificatePointer = std::unique_ptr<X509, decltype(&X509_free)>;
using CertificateStore = std::shared_ptr<X509_STORE>;

/// The server's own first.
using CertificateChain = std::vector<CertificatePointer>;

/// The error says that there is none, or that one cannot be read.
std::expected<CertificateChain, std::string> read_chain(const health::PresentedChain& presented);

/// Certificates of authorities out of `ca_file`, in PEM; "" = the system's. Reads the file: for start-up and reload.
/// The error says why it cannot be used.
std::expected<CertificateStore, std::string> authorities_of(const std::string& ca_file);

/// One authority alone, whether or not it is a root: a trust anchor of DANE.
CertificateStore only_authority(X509* authority);

/// Why the first of `chain`, which is not empty, is not a certificate for `name` at that time; "" = it is one (RFC 5280
/// section 6, RFC 6125, no partial wildcards).
std::string fault_of(const CertificateChain& chain, X509_STORE* authorities, const std::string& name, SystemTime now);

}  // namespace sluice::control

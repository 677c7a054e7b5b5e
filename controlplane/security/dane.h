// SPDX-License-Identifier: Apache-2.0
//
// Holds a presented chain against TLSA records, as a mail server that delivers to us does (RFC 7671 section 5, RFC 7672
// section 3.1). Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "controlplane/base/times.h"
#include "controlplane/security/certificate_chain.h"
#include "controlplane/security/tlsa.h"

namespace sluice::control {

enum class Dane : uint8_t {
  kUnknown,           // nothing was presented yet, or nothing was asked yet
  kMatches,           // a record is about this chain
  kMismatch,          // none is: who goes by DANE does not deliver
  kNoRecords,         // there are none: nobody goes by DANE
  kUnusable,          // there are, and SMTP can make nothing of any
  kNotAuthenticated,  // there are, and the resolver does not vouch for them: they are not held against anything
  kDnsFails,          // the DNS gives no answer, and never gave one
};
inline constexpr size_t kDaneCount = 7;

/// "unknown", "matches", "mismatch", "no_records", "unusable", "not_authenticated", "dns_fails".
std::string_view name_of(Dane dane);

struct DaneFinding {
  Dane dane = Dane::kUnknown;
  std::string why;  // in words, where that tells more

  friend bool operator==(const DaneFinding&, const DaneFinding&) = default;
};

/// `chain` is not empty. With usage 3 its first certificate alone counts, whatever its name and dates; with usage 2 one
/// of the others is the authority for it, under `name`.
DaneFinding hold_against(std::span<const TlsaRecord> records, const CertificateChain& chain, const std::string& name,
                         SystemTime now);

/// Likewise by an answer of the DNS.
DaneFinding hold_against(const TlsaAnswer& answer, const CertificateChain& chain, const std::string& name,
                         SystemTime now);

}  // namespace sluice::control

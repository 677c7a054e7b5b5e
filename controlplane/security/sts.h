// SPDX-License-Identifier: Apache-2.0
//
// Holds what a backend shows against a policy of MTA-STS, as a mail server that delivers to us does (RFC 8461 section
// 4). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/base/times.h"
#include "controlplane/security/certificate_chain.h"
#include "controlplane/security/sts_policy.h"

namespace sluice::control {

enum class Sts : uint8_t {
  kUnknown,    // nothing was presented yet, or nothing was asked yet
  kAgrees,     // who goes by the policy delivers
  kDisagrees,  // he does not, or reports it where the policy is only being tested
  kNoPolicy,   // there is none, or its mode is "none"
};

/// "unknown", "agrees", "disagrees", "no_policy".
std::string_view name_of(Sts sts);

struct StsFinding {
  Sts sts = Sts::kUnknown;
  std::string why;  // what disagrees, in words

  friend bool operator==(const StsFinding&, const StsFinding&) = default;
};

/// What a backend showed last.
struct StsShown {
  std::optional<bool> offers_starttls;
  const CertificateChain* chain = nullptr;  // null: none yet
};

/// `name` is the host that clients ask for.
StsFinding hold_against(const StsPolicy& policy, const StsShown& shown, X509_STORE* authorities,
                        const std::string& name, SystemTime now);

}  // namespace sluice::control

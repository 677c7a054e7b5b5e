// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/sts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>

namespace sluice::control {

namespace {

constexpr size_t kShownPatterns = 5;

std::string patterns_of(const StsPolicy& policy) {
  const std::span shown(policy.mx.begin(), std::min(policy.mx.size(), kShownPatterns));
  return fmt::format("{}{}", fmt::join(shown, ", "), policy.mx.size() > kShownPatterns ? ", ..." : "");
}

}  // namespace

std::string_view name_of(Sts sts) {
  constexpr std::array<std::string_view, 4> kNames{"unknown", "agrees", "disagrees", "no_policy"};
  return kNames[static_cast<size_t>(sts)];
}

StsFinding hold_against(const StsPolicy& policy, const StsShown& shown, X509_STORE* authorities,
                        const std::string& name, SystemTime now) {
  if (policy.mode == StsMode::kNone) return {Sts::kNoPolicy, "its mode is none"};
  if (std::ranges::none_of(policy.mx, [&](const std::string& pattern) { return is_about(pattern, name); }))
    return {Sts::kDisagrees, fmt::format("the policy does not name {}, but {}", name, patterns_of(policy))};
  if (shown.offers_starttls == false) return {Sts::kDisagrees, "STARTTLS is not offered, or not gone along with"};
  if (shown.chain == nullptr) return {Sts::kUnknown, ""};
  const std::string fault = fault_of(*shown.chain, authorities, name, now);
  if (!fault.empty()) return {Sts::kDisagrees, fmt::format("the certificate is not valid for {}: {}", name, fault)};
  return {Sts::kAgrees, ""};
}

}  // namespace sluice::control

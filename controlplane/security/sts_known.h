// SPDX-License-Identifier: Apache-2.0
//
// What is known of a domain's policy, and when it is to be fetched (RFC 8461 sections 3 and 5.1): with a new id, or
// when a day has passed. What was good last stays. Pure: time and answers come in.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "controlplane/base/times.h"
#include "controlplane/security/sts_policy.h"

namespace sluice::control {

class StsKnown {
 public:
  static constexpr std::chrono::hours kFetchEvery{24};
  static constexpr std::chrono::seconds kFetchAgain{30};  // after a failure, at the soonest

  /// What the DNS says. Whether the policy is to be fetched now.
  bool hear_id(const std::expected<std::string, std::string>& id, SystemTime now);
  /// What came of it: the policy's text, or why there is none.
  void hear_policy(const std::expected<std::string, std::string>& text, SystemTime now);

  const std::optional<StsPolicy>& policy() const { return policy_; }
  /// Of that policy.
  const std::string& id() const { return policy_id_; }
  std::optional<SystemTime> fetched() const { return fetched_; }
  /// Why what is known is not what the domain says now; "" = it is.
  std::string fault() const;
  /// Whether the DNS was heard at all.
  bool is_heard() const { return is_heard_; }
  /// Grows whenever policy() or fault() changes.
  uint64_t version() const { return version_; }

 private:
  std::optional<StsPolicy> policy_;
  std::string policy_id_;
  std::optional<SystemTime> fetched_;
  std::string asked_id_;             // of what is or was fetched last
  std::optional<SystemTime> tried_;  // when that began, unless it went well
  bool is_under_way_ = false;
  bool is_heard_ = false;
  uint64_t version_ = 0;
  std::string id_fault_, fetch_fault_;
};

}  // namespace sluice::control

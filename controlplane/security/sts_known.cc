// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/sts_known.h"

#include <utility>

namespace sluice::control {

bool StsKnown::hear_id(const std::expected<std::string, std::string>& id, SystemTime now) {
  is_heard_ = true;
  const std::string fault = id ? "" : id.error();
  if (fault != std::exchange(id_fault_, fault)) version_++;
  if (!id) return false;
  const bool is_due = !fetched_ || policy_id_ != *id || now - *fetched_ >= kFetchEvery;
  const bool was_just_tried = tried_ && asked_id_ == *id && now - *tried_ < kFetchAgain;
  if (is_under_way_ || !is_due || was_just_tried) return false;
  is_under_way_ = true;
  asked_id_ = *id;
  tried_ = now;
  return true;
}

void StsKnown::hear_policy(const std::expected<std::string, std::string>& text, SystemTime now) {
  is_under_way_ = false;
  auto policy = text ? parse_policy(*text) : std::unexpected(text.error());
  if (!policy) {
    if (policy.error() != std::exchange(fetch_fault_, policy.error())) version_++;
    return;
  }
  if (policy_ != *policy || !fetch_fault_.empty()) version_++;
  fetch_fault_.clear();
  policy_ = std::move(*policy);
  policy_id_ = asked_id_;
  fetched_ = now;
  tried_.reset();
}

std::string StsKnown::fault() const {
  if (!id_fault_.empty()) return id_fault_;
  if (!fetch_fault_.empty()) return "the policy: " + fetch_fault_;
  return "";
}

}  // namespace sluice::control

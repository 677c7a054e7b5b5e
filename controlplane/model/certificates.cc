// SPDX-License-Identifier: Apache-2.0
//
// The part of the model that knows how members speak TLS: their certificates, and whether they offer STARTTLS.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "controlplane/model/model.h"
#include "healthcheck/certificate.h"

namespace sluice::control {

namespace {

std::string in_words(const health::Disagreement& disagreement) {
  return fmt::format("backends show different {} for {}: {}",
                     disagreement.keys_differ ? "keys" : "certificates (over one key)",
                     disagreement.server_name.empty() ? "no particular name" : disagreement.server_name,
                     fmt::join(disagreement.keys, ", "));
}

}  // namespace

void Model::set_certificate(size_t index, const health::Verdict& verdict, const std::string& server_name) {
  if (!verdict.certificate) return;
  Member& member = members_[index];
  const bool same = member.certificate && member.certificate->sha256 == verdict.certificate->sha256;
  member.certificate = verdict.certificate;
  const bool expiring = verdict.fact == health::Fact::kCertificateExpiring;
  if (expiring && !member.certificate_expiring)
    journal_->record(Severity::kWarning, "backend", member.label(), health::describe(verdict));
  member.certificate_expiring = expiring;
  if (same) return;
  for (Placement& placement : placements_)
    if (std::ranges::find(placement.members, index) != placement.members.end())
      compare_certificates(placement, server_name);
}

void Model::set_starttls(size_t index, const health::Verdict& verdict) {
  const auto offers = health::offers_starttls(verdict);
  if (!offers || members_[index].offers_starttls == offers) return;
  members_[index].offers_starttls = offers;
  for (Placement& placement : placements_)
    if (std::ranges::find(placement.members, index) != placement.members.end()) compare_starttls(placement);
}

void Model::compare_starttls(Placement& placement) {
  std::vector<std::string> with, without;
  for (const size_t i : placement.members)
    if (const auto& offers = members_[i].offers_starttls) (*offers ? with : without).push_back(members_[i].name);
  const bool are_alike = with.empty() || without.empty();
  const std::string fault = are_alike ? ""
                                      : fmt::format("STARTTLS is offered by {} and not by {}", fmt::join(with, ", "),
                                                    fmt::join(without, ", "));
  if (fault == placement.starttls_fault) return;
  journal_->record(are_alike ? Severity::kInfo : Severity::kWarning, "pool", placement.label(),
                   are_alike ? "backends are alike in STARTTLS again" : fault);
  placement.starttls_fault = fault;
}

void Model::compare_certificates(Placement& placement, const std::string& server_name) {
  std::vector<health::Shown> shown;
  for (const size_t i : placement.members)
    if (members_[i].certificate) shown.push_back({members_[i].name, server_name, *members_[i].certificate});
  const auto found = health::disagreements(shown);
  const std::string fault = found.empty() ? "" : in_words(found.front());
  if (fault == placement.certificate_fault) return;
  journal_->record(fault.empty() ? Severity::kInfo : Severity::kWarning, "pool", placement.label(),
                   fault.empty() ? "backends show one certificate again" : fault);
  placement.certificate_fault = fault;
}

}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/dane.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace sluice::control {

namespace {

constexpr std::array<std::string_view, kDaneCount> kNames{"unknown",  "matches",           "mismatch", "no_records",
                                                          "unusable", "not_authenticated", "dns_fails"};

/// The part of a certificate that a selector is about, in DER; "" = there is no memory.
std::string selected(X509* certificate, uint8_t selector) {
  unsigned char* der = nullptr;
  const int size =
      selector == kPublicKey ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der) : i2d_X509(certificate, &der);
  if (size <= 0) return "";
  std::string out(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

bool is_about(const TlsaRecord& record, X509* certificate) {
  const std::string whole = selected(certificate, record.selector);
  if (whole.empty()) return false;
  if (record.matching == kFull) return whole == record.data;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const EVP_MD* const kind = record.matching == kSha256 ? EVP_sha256() : EVP_sha512();
  if (EVP_Digest(whole.data(), whole.size(), digest.data(), &size, kind, nullptr) != 1) return false;
  return record.data == std::string_view(reinterpret_cast<const char*>(digest.data()), size);
}

/// Why a usable record does not vouch for the chain; "" = it does.
std::string refusal_of(const TlsaRecord& record, const CertificateChain& chain, const std::string& name,
                       SystemTime now) {
  if (record.usage == kDaneEe) return is_about(record, chain.front().get()) ? "" : "is about another certificate";
  std::string why = "is about no authority that is presented";
  for (size_t i = 1; i < chain.size(); i++) {
    if (!is_about(record, chain[i].get())) continue;
    why = fault_of(chain, only_authority(chain[i].get()).get(), name, now);
    if (why.empty()) return why;
    why.insert(0, "is about an authority that is presented, and yet: ");
  }
  return why;
}

}  // namespace

std::string_view name_of(Dane dane) {
  return kNames[static_cast<size_t>(dane)];
}

DaneFinding hold_against(std::span<const TlsaRecord> records, const CertificateChain& chain, const std::string& name,
                         SystemTime now) {
  if (records.empty()) return {Dane::kNoRecords, ""};
  std::string unusable, refusals;
  size_t usable = 0;
  for (const TlsaRecord& record : records) {
    const std::string fault = unusable_reason(record);
    if (!fault.empty()) {
      unusable = fmt::format("{}: {}", to_string(record), fault);
      continue;
    }
    usable++;
    const std::string refusal = refusal_of(record, chain, name, now);
    if (refusal.empty()) return {Dane::kMatches, to_string(record)};
    if (refusals.empty()) refusals = fmt::format("{} {}", to_string(record), refusal);
  }
  if (usable == 0) return {Dane::kUnusable, unusable};
  return {Dane::kMismatch, usable == 1 ? refusals : fmt::format("{} (and {} more do not match)", refusals, usable - 1)};
}

DaneFinding hold_against(const TlsaAnswer& answer, const CertificateChain& chain, const std::string& name,
                         SystemTime now) {
  if (!answer.records.empty() && !answer.authenticated)
    return {Dane::kNotAuthenticated, "the resolver does not validate, or the zone is not signed"};
  return hold_against(answer.records, chain, name, now);
}

}  // namespace sluice::control

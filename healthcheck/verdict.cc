// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/verdict.h"

#include <array>

namespace sluice::health {

namespace {

constexpr std::array<std::string_view, 12> kFactNames{
    "healthy",    "certificate_expiring", "certificate_distrusted", "soft",   "refused", "dead", "silent", "not_smtp",
    "unexpected", "tls_failed",           "certificate_expired",    "not_run"};
static_assert(kFactNames.size() == static_cast<size_t>(Fact::kNotRun) + 1);

constexpr std::array<std::string_view, 8> kStepNames{"connect", "greeting", "ehlo", "starttls",
                                                     "tls",     "ehlo_tls", "quit", "close"};
static_assert(kStepNames.size() == static_cast<size_t>(Step::kClose) + 1);

constexpr std::string_view kEllipsis = "...";

void append_escaped(std::string& out, unsigned char byte) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  if (byte >= 0x20 && byte < 0x7f) {
    out += static_cast<char>(byte);
  } else if (byte == '\n') {
    out += " / ";
  } else {
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 0xf];
  }
}

}  // namespace

std::string_view name_of(Fact fact) {
  return kFactNames[static_cast<size_t>(fact)];
}

std::string_view name_of(Step step) {
  return kStepNames[static_cast<size_t>(step)];
}

bool passes(Fact fact) {
  return fact == Fact::kHealthy || fact == Fact::kCertificateExpiring || fact == Fact::kCertificateDistrusted;
}

Outcome outcome_of(Fact fact, config::OnSoft on_soft) {
  if (passes(fact)) return Outcome::kPass;
  return fact == Fact::kSoft && on_soft == config::OnSoft::kShed ? Outcome::kSoft : Outcome::kFail;
}

Evidence evidence_of(Fact fact) {
  if (passes(fact) || fact == Fact::kSoft || fact == Fact::kNotRun) return Evidence::kNone;
  return fact == Fact::kCertificateExpired ? Evidence::kCertificate : Evidence::kJudged;
}

std::optional<bool> offers_starttls(const Verdict& verdict) {
  if (verdict.certificate || verdict.step == Step::kTls) return true;
  if (verdict.fact == Fact::kTlsFailed && (verdict.step == Step::kEhlo || verdict.step == Step::kStarttls))
    return false;
  return std::nullopt;
}

std::string describe(const Verdict& verdict) {
  std::string out{name_of(verdict.fact)};
  if (verdict.fact != Fact::kHealthy) out.append(" at ").append(name_of(verdict.step));
  if (!verdict.detail.empty()) out.append(": ").append(verdict.detail);
  if (!verdict.text.empty()) out.append(verdict.detail.empty() ? ": " : "; server said: ").append(verdict.text);
  return out;
}

std::string sanitised(std::string_view bytes, size_t limit) {
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r')) bytes.remove_suffix(1);
  std::string out;
  size_t last_fit = 0;  // where the ellipsis would go
  for (size_t i = 0; i < bytes.size(); i++) {
    if (bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n') continue;
    if (out.size() + kEllipsis.size() <= limit) last_fit = out.size();
    append_escaped(out, static_cast<unsigned char>(bytes[i]));
    if (out.size() > limit) {
      out.resize(last_fit);
      return out += kEllipsis;
    }
  }
  return out;
}

}  // namespace sluice::health

// SPDX-License-Identifier: Apache-2.0
//
// What a probe found out. A verdict is a fact about the backend, with the step at which it was established and
// what the server said; what follows from it (weight, up, down) is decided elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"

namespace sluice::health {

enum class Fact : uint8_t {
  kHealthy,
  kCertificateExpiring,    // healthy, but fewer than certificate_warn_days are left
  kCertificateDistrusted,  // healthy, but the chain or name is not accepted (certificate_action = "warn")
  kSoft,                   // 421 or another 4xx
  kRefused,                // 5xx: 554, 521
  kDead,                   // no TCP: refused, unreachable, no answer, or reset before a word was said
  kSilent,                 // connected, and the greeting (or reply) did not come in time
  kNotSmtp,                // what came is no SMTP reply, or breaks its bounds
  kUnexpected,             // SMTP, but not what the check asks for: expect, reject, require, a strange code
  kTlsFailed,              // no STARTTLS, handshake failed, chain or name not accepted
  kCertificateExpired,     // certificate_fail_days or fewer are left (certificate_action = "down")
  kNotRun,                 // the probe could not be run for a local reason: says nothing about the backend
};

/// What a failed probe proves, the table in DESIGN.md section 7. Only the first two may ever cost an open session.
enum class Evidence : uint8_t {
  kNone,         // it did not fail, or could not be run
  kRefused,      // the host itself refused the handshake by a RST: nobody listens
  kUnanswered,   // nothing came back, neither to SYN nor to ARP or ND: proof if other hosts on the same way answer
  kJudged,       // what followed the handshake is not what the check wants, or a firewall refuses it by ICMP
  kCertificate,  // all is well but the certificate
};

enum class Step : uint8_t { kConnect, kGreeting, kEhlo, kStarttls, kTls, kEhloTls, kQuit, kClose };

/// "healthy", "certificate_expiring", "soft", ...: the words for logs, metrics and the API.
std::string_view name_of(Fact fact);
/// "connect", "greeting", "ehlo", "starttls", "tls", "ehlo_tls", "quit", "close".
std::string_view name_of(Step step);

/// True for a backend that can take mail now: healthy, or with a certificate that is still valid.
bool passes(Fact fact);

/// What a fact counts for: for the backend, against some of its weight, or against it.
enum class Outcome : uint8_t { kPass, kSoft, kFail };

/// The check's policy: 4xx costs weight (`on_soft` = "shed") or counts as a failure ("down"). Not for kNotRun.
Outcome outcome_of(Fact fact, config::OnSoft on_soft);

/// The evidence that a fact carries, where the handshake completed.
Evidence evidence_of(Fact fact);

struct StepTime {
  Step step = Step::kConnect;
  uint32_t us = 0;
};

/// Certificates in DER as a server presented them, its own first.
using PresentedChain = std::vector<std::string>;

/// What the server's certificate says, as far as operators and DANE care.
struct Certificate {
  std::string subject;     // RFC 2253 form, sanitised
  std::string sha256;      // of the certificate (DANE selector 0, matching type 1), lower-case hex
  std::string key_sha256;  // of its public key (DANE selector 1, matching type 1), lower-case hex
  std::chrono::sys_seconds not_after;
  std::chrono::seconds left{};                  // when it was seen; negative when expired
  std::shared_ptr<const PresentedChain> chain;  // of checks that hold it against more than dates; null: of others

  int64_t days_left() const { return std::chrono::floor<std::chrono::days>(left).count(); }
};

struct Verdict {
  Fact fact = Fact::kNotRun;
  Step step = Step::kConnect;   // where it was established
  uint16_t code = 0;            // SMTP reply code, 0 if there was none
  std::string text;             // what the server said then, sanitised, at most kMaxTextBytes; healthy: its greeting
  std::string detail;           // why, in words, where the text alone does not tell; may be empty
  std::vector<StepTime> times;  // of the steps up to and including `step`, in order
  std::optional<Certificate> certificate;
  Evidence evidence = Evidence::kNone;
  bool settled = true;  // with those before it, it is enough to go by since the way was last interrupted
  bool counts = true;   // false: the way was interrupted since the probe began, so it says nothing

  /// Whether the host was heard at all: it completed the handshake, or refused it.
  bool heard() const { return step != Step::kConnect || evidence == Evidence::kRefused || passes(fact); }
};

/// Of a check by STARTTLS: whether the server offers it and goes along; nothing: the probe did not come so far.
std::optional<bool> offers_starttls(const Verdict& verdict);

inline constexpr size_t kMaxTextBytes = 512;

/// One line for a log: `soft at greeting: 421 4.7.0 too many connections`.
std::string describe(const Verdict& verdict);

/// `bytes` fit for a log or a terminal: printable ASCII as it is, line ends as " / ", all else as \xNN;
/// cut to `limit` bytes with "..." at the end.
std::string sanitised(std::string_view bytes, size_t limit = kMaxTextBytes);

}  // namespace sluice::health

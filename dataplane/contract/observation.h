// SPDX-License-Identifier: Apache-2.0
//
// What a worker learns about mail servers by watching their dialogues: one block of plain 64-bit counters per backend
// and one per service, written by that worker alone, read as `Counter`s are. Codes and counts only: no text, no
// address and no password is kept. What could not be judged is counted as unknown, never guessed.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::channel {

/// What the client waits for when a reply comes. A refusal is counted under the step that it refuses.
enum class SmtpStep : uint8_t {
  kConnect = 0,  // the greeting
  kEhlo,
  kStartTls,
  kAuth,
  kMail,
  kRcpt,
  kData,
  kEndOfData,
  kOther,
  kUnknown,
  kCount
};

/// Ranges of counters belong together: one family, told apart by labels (`kSmtpCounterInfo`).
enum class SmtpCounter : uint16_t {
  // The handshake, and the greeting by its final line's code.
  kConnectRefused,
  kConnectTimeout,
  kGreeting2xx,
  kGreeting4xx,
  kGreeting421,
  kGreeting5xx,
  kGreetingOther,
  kGreetingNone,
  kEarlyTalkers,
  // Refusals by step: temporary, then permanent, each in the order of SmtpStep.
  kTemporaryConnect,
  kTemporaryEhlo,
  kTemporaryStartTls,
  kTemporaryAuth,
  kTemporaryMail,
  kTemporaryRcpt,
  kTemporaryData,
  kTemporaryEndOfData,
  kTemporaryOther,
  kTemporaryUnknown,
  kPermanentConnect,
  kPermanentEhlo,
  kPermanentStartTls,
  kPermanentAuth,
  kPermanentMail,
  kPermanentRcpt,
  kPermanentData,
  kPermanentEndOfData,
  kPermanentOther,
  kPermanentUnknown,
  // Refusals by enhanced code (RFC 3463).
  kEnhanced42x,
  kEnhanced430,
  kEnhanced431,
  kEnhanced432,
  kEnhanced442,
  kEnhanced445,
  kEnhanced470,
  kEnhanced471,
  kEnhanced47x,
  kEnhanced4Other,
  kEnhanced511,
  kEnhanced51x,
  kEnhanced52x,
  kEnhanced55x,
  kEnhanced571,
  kEnhanced578,
  kEnhanced57x,
  kEnhanced5Other,
  kEnhancedNone,
  // Refusals by what their text says.
  kReasonOverload,
  kReasonShutdown,
  kReasonRateLimit,
  kReasonGreylist,
  kReasonBlocked,
  kReasonNoRecipient,
  kReasonUnknown,
  // In the session.
  kMidSession421,
  kAuthAccepted,
  kAuthFailed,
  kStartTlsAccepted,
  kStartTlsRefused,
  kTlsBegun,
  kTlsEstablished,
  kTlsFailed,
  kMessagesAccepted,
  kMessagesTemporary,
  kMessagesPermanent,
  kRepliesUnknown,
  kFlowsLostSight,
  // How connections ended: every established flow that was seen from its beginning, in exactly one.
  kEndedQuit,
  kEndedRefused,
  kEndedWithoutQuit,
  kEndedTls,
  kEndedUnknown,
  kEndedResetByClient,
  kEndedResetByServer,
  kEndedIdle,
  kEndedTold,
  kEndedCut,
  kCount
};

inline constexpr size_t kSmtpCounterCount = static_cast<size_t>(SmtpCounter::kCount);

/// The counter of a refusal at `step`.
constexpr SmtpCounter refusal(SmtpStep step, bool permanent) {
  const SmtpCounter first = permanent ? SmtpCounter::kPermanentConnect : SmtpCounter::kTemporaryConnect;
  return static_cast<SmtpCounter>(static_cast<uint16_t>(first) + static_cast<uint16_t>(step));
}
static_assert(refusal(SmtpStep::kUnknown, false) == SmtpCounter::kTemporaryUnknown);
static_assert(refusal(SmtpStep::kUnknown, true) == SmtpCounter::kPermanentUnknown);

/// How a counter is exported: `family` is its name, `labels` tell the members of a family apart (Prometheus syntax).
struct SmtpCounterInfo {
  std::string_view family;
  std::string_view labels;
  std::string_view help;
};

namespace help {
inline constexpr std::string_view kConnect = "handshakes that the backend did not complete";
inline constexpr std::string_view kGreetings = "established connections by the code of the greeting's last line";
inline constexpr std::string_view kEarly = "clients that sent before the greeting was complete";
inline constexpr std::string_view kRefusals = "4xx and 5xx replies by the step they refuse";
inline constexpr std::string_view kEnhanced = "4xx and 5xx replies by enhanced status code";
inline constexpr std::string_view kReasons = "4xx and 5xx replies by what their text says";
inline constexpr std::string_view kMidSession = "421 after the greeting";
inline constexpr std::string_view kAuth = "replies to AUTH in plaintext";
inline constexpr std::string_view kStartTls = "replies to STARTTLS";
inline constexpr std::string_view kTls = "TLS handshakes by how far they came";
inline constexpr std::string_view kMessages = "replies to the end of a message";
inline constexpr std::string_view kUnknown = "replies whose command is not known";
inline constexpr std::string_view kLostSight = "flows that could not be followed to their end";
inline constexpr std::string_view kEnded = "connections by how they ended";
}  // namespace help

inline constexpr std::array<SmtpCounterInfo, kSmtpCounterCount> kSmtpCounterInfo{{
    {"connect_failures", R"(kind="refused")", help::kConnect},
    {"connect_failures", R"(kind="timeout")", help::kConnect},
    {"greetings", R"(code="2xx")", help::kGreetings},
    {"greetings", R"(code="4xx")", help::kGreetings},
    {"greetings", R"(code="421")", help::kGreetings},
    {"greetings", R"(code="5xx")", help::kGreetings},
    {"greetings", R"(code="other")", help::kGreetings},
    {"greetings", R"(code="none")", help::kGreetings},
    {"early_talkers", "", help::kEarly},
    {"refusals", R"(class="4xx",step="connect")", help::kRefusals},
    {"refusals", R"(class="4xx",step="ehlo")", help::kRefusals},
    {"refusals", R"(class="4xx",step="starttls")", help::kRefusals},
    {"refusals", R"(class="4xx",step="auth")", help::kRefusals},
    {"refusals", R"(class="4xx",step="mail")", help::kRefusals},
    {"refusals", R"(class="4xx",step="rcpt")", help::kRefusals},
    {"refusals", R"(class="4xx",step="data")", help::kRefusals},
    {"refusals", R"(class="4xx",step="end_of_data")", help::kRefusals},
    {"refusals", R"(class="4xx",step="other")", help::kRefusals},
    {"refusals", R"(class="4xx",step="unknown")", help::kRefusals},
    {"refusals", R"(class="5xx",step="connect")", help::kRefusals},
    {"refusals", R"(class="5xx",step="ehlo")", help::kRefusals},
    {"refusals", R"(class="5xx",step="starttls")", help::kRefusals},
    {"refusals", R"(class="5xx",step="auth")", help::kRefusals},
    {"refusals", R"(class="5xx",step="mail")", help::kRefusals},
    {"refusals", R"(class="5xx",step="rcpt")", help::kRefusals},
    {"refusals", R"(class="5xx",step="data")", help::kRefusals},
    {"refusals", R"(class="5xx",step="end_of_data")", help::kRefusals},
    {"refusals", R"(class="5xx",step="other")", help::kRefusals},
    {"refusals", R"(class="5xx",step="unknown")", help::kRefusals},
    {"enhanced_codes", R"(code="4.2.x")", help::kEnhanced},
    {"enhanced_codes", R"(code="4.3.0")", help::kEnhanced},
    {"enhanced_codes", R"(code="4.3.1")", help::kEnhanced},
    {"enhanced_codes", R"(code="4.3.2")", help::kEnhanced},
    {"enhanced_codes", R"(code="4.4.2")", help::kEnhanced},
    {"enhanced_codes", R"(code="4.4.5")", help::kEnhanced},
    {"enhanced_codes", R"(code="4.7.0")", help::kEnhanced},
    {"enhanced_codes", R"(code="4.7.1")", help::kEnhanced},
    {"enhanced_codes", R"(code="4.7.x")", help::kEnhanced},
    {"enhanced_codes", R"(code="4.other")", help::kEnhanced},
    {"enhanced_codes", R"(code="5.1.1")", help::kEnhanced},
    {"enhanced_codes", R"(code="5.1.x")", help::kEnhanced},
    {"enhanced_codes", R"(code="5.2.x")", help::kEnhanced},
    {"enhanced_codes", R"(code="5.5.x")", help::kEnhanced},
    {"enhanced_codes", R"(code="5.7.1")", help::kEnhanced},
    {"enhanced_codes", R"(code="5.7.8")", help::kEnhanced},
    {"enhanced_codes", R"(code="5.7.x")", help::kEnhanced},
    {"enhanced_codes", R"(code="5.other")", help::kEnhanced},
    {"enhanced_codes", R"(code="none")", help::kEnhanced},
    {"refusal_reasons", R"(reason="overload")", help::kReasons},
    {"refusal_reasons", R"(reason="shutdown")", help::kReasons},
    {"refusal_reasons", R"(reason="rate_limit")", help::kReasons},
    {"refusal_reasons", R"(reason="greylist")", help::kReasons},
    {"refusal_reasons", R"(reason="blocked")", help::kReasons},
    {"refusal_reasons", R"(reason="no_recipient")", help::kReasons},
    {"refusal_reasons", R"(reason="unknown")", help::kReasons},
    {"mid_session_421", "", help::kMidSession},
    {"auth", R"(result="accepted")", help::kAuth},
    {"auth", R"(result="failed")", help::kAuth},
    {"starttls", R"(result="accepted")", help::kStartTls},
    {"starttls", R"(result="refused")", help::kStartTls},
    {"tls", R"(state="begun")", help::kTls},
    {"tls", R"(state="established")", help::kTls},
    {"tls", R"(state="failed")", help::kTls},
    {"messages", R"(result="accepted")", help::kMessages},
    {"messages", R"(result="temporary")", help::kMessages},
    {"messages", R"(result="permanent")", help::kMessages},
    {"replies_unknown", "", help::kUnknown},
    {"flows_lost_sight", "", help::kLostSight},
    {"ended", R"(how="quit")", help::kEnded},
    {"ended", R"(how="refused")", help::kEnded},
    {"ended", R"(how="without_quit")", help::kEnded},
    {"ended", R"(how="tls")", help::kEnded},
    {"ended", R"(how="unknown")", help::kEnded},
    {"ended", R"(how="reset_by_client")", help::kEnded},
    {"ended", R"(how="reset_by_server")", help::kEnded},
    {"ended", R"(how="idle")", help::kEnded},
    {"ended", R"(how="told")", help::kEnded},
    {"ended", R"(how="cut")", help::kEnded},
}};

/// A histogram of milliseconds over fixed bounds. Bucket i < kBuckets - 1 counts what lies below
/// `bound_ms(i)` and in no earlier bucket; the last one counts the rest.
template <size_t kBuckets, unsigned kFirstExponent, unsigned kStep>
struct Histogram {
  static constexpr size_t kBucketCount = kBuckets;

  uint64_t buckets[kBuckets];
  uint64_t sum_ms;

  static constexpr uint64_t bound_ms(size_t bucket) { return uint64_t{1} << (kFirstExponent + kStep * bucket); }

  static constexpr size_t bucket_of(uint64_t ms) {
    const auto bits = static_cast<unsigned>(std::bit_width(ms));  // ms < 2^bits
    const unsigned bucket = bits <= kFirstExponent ? 0 : (bits - kFirstExponent + kStep - 1) / kStep;
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }

  /// To be called by the one writer.
  void add(uint64_t ms) {
    buckets[bucket_of(ms)]++;
    sum_ms += ms;
  }
};

using ConnectHistogram = Histogram<13, 0, 1>;   // below 1 ms, 2, 4, ... 2048 ms, and the rest
using GreetingHistogram = Histogram<17, 0, 1>;  // below 1 ms, 2, 4, ... 32768 ms, and the rest
using SessionHistogram = Histogram<12, 4, 2>;   // below 16 ms, 64, 256, ... 16777216 ms, and the rest

/// Per worker and backend, and per worker and service. Memory that is never touched costs nothing.
struct alignas(64) SmtpCounters {
  uint64_t counters[kSmtpCounterCount];
  ConnectHistogram connect;    // from the client's first SYN to the backend's SYN-ACK
  GreetingHistogram greeting;  // from the end of the handshake to the greeting's last line
  SessionHistogram session;    // from the end of the handshake to the end of the connection

  uint64_t& operator[](SmtpCounter counter) { return counters[static_cast<size_t>(counter)]; }
  const uint64_t& operator[](SmtpCounter counter) const { return counters[static_cast<size_t>(counter)]; }
};

static_assert(sizeof(SmtpCounters) <= 1024);

}  // namespace sluice::channel

// SPDX-License-Identifier: Apache-2.0
//
// What a refusal is counted as: by its step, its enhanced code (RFC 3463), and what its text says.
#include "dataplane/smtp/session.h"

namespace sluice {

using channel::SmtpCounter;

namespace {

SmtpCounter enhanced_counter(const ReplyLine& line) {
  const bool permanent = line.severity() == 5;
  if (!line.enhanced) return SmtpCounter::kEnhancedNone;
  const uint32_t both = line.subject * 1000U + line.detail;
  if (permanent) {
    switch (both) {
      case 1001:
        return SmtpCounter::kEnhanced511;
      case 7001:
        return SmtpCounter::kEnhanced571;
      case 7008:
        return SmtpCounter::kEnhanced578;
    }
    switch (line.subject) {
      case 1:
        return SmtpCounter::kEnhanced51x;
      case 2:
        return SmtpCounter::kEnhanced52x;
      case 5:
        return SmtpCounter::kEnhanced55x;
      case 7:
        return SmtpCounter::kEnhanced57x;
    }
    return SmtpCounter::kEnhanced5Other;
  }
  switch (both) {
    case 3000:
      return SmtpCounter::kEnhanced430;
    case 3001:
      return SmtpCounter::kEnhanced431;
    case 3002:
      return SmtpCounter::kEnhanced432;
    case 4002:
      return SmtpCounter::kEnhanced442;
    case 4005:
      return SmtpCounter::kEnhanced445;
    case 7000:
      return SmtpCounter::kEnhanced470;
    case 7001:
      return SmtpCounter::kEnhanced471;
  }
  if (line.subject == 2) return SmtpCounter::kEnhanced42x;
  return line.subject == 7 ? SmtpCounter::kEnhanced47x : SmtpCounter::kEnhanced4Other;
}

}  // namespace

void SmtpSession::count_refusal(SmtpCommand command, const ReplyLine& line, const uint8_t* begin,
                                const uint8_t* end) noexcept {
  count(channel::refusal(step_of(command), line.severity() == 5));
  count(enhanced_counter(line));
  count(begin == nullptr ? SmtpCounter::kReasonUnknown
                         : memory_.reasons.classify(begin, static_cast<uint32_t>(end - begin)));
}

}  // namespace sluice

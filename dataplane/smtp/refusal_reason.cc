// SPDX-License-Identifier: Apache-2.0
#include "dataplane/smtp/refusal_reason.h"

#include <hs_compile.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace sluice {
namespace {

using channel::SmtpCounter;

/// So far beyond a text Hyperscan 5.4 may read, with AVX-512 VBMI (vectorscan issue 322).
constexpr uint32_t kReadAhead = 64;
constexpr uint32_t kLongestReply = 512;  // RFC 5321 section 4.5.3.1.5

struct Phrase {
  const char* pattern;
  SmtpCounter reason;
};

/// Where several match, the first wins: the more particular stand before the more general.
constexpr std::array kPhrases{
    Phrase{"shutting down|going down|under maintenance|not accepting (messages|mail|connections)|no smtp service here",
           SmtpCounter::kReasonShutdown},
    Phrase{"gr[ae]y-?list", SmtpCounter::kReasonGreylist},
    Phrase{"too many (connections|sessions|messages|recipients) (from|for|per)|rate[- ]limit|throttl"
           "|too many (errors|commands|recipients)|exceeded (the|your) ",
           SmtpCounter::kReasonRateLimit},
    Phrase{"too much load|load average|too many (concurrent|connections|sessions)|server ports are busy"
           "|system resources|insufficient (system )?(resources|storage)|out of (memory|resources)"
           "|service (currently |temporarily )?(unavailable|not available)|(too|server) busy|queue (is )?full",
           SmtpCounter::kReasonOverload},
    Phrase{"(user|recipient|mailbox|address) (is )?(unknown|not found|does not exist)|unknown (user|recipient|local)"
           "|no such (user|recipient|mailbox|person)|unrouteable address|no mailbox here"
           "|recipient address rejected: (unlisted|undeliverable|user)|user doesn't exist",
           SmtpCounter::kReasonNoRecipient},
    Phrase{"block(ed|list)|black-?list|spamhaus|dnsbl|listed (at|in|by|on) |reputation|spam"
           "|client host rejected|access denied|relay(ing)? (access )?denied|relay not permitted",
           SmtpCounter::kReasonBlocked},
};

/// Compiled once, for the life of the process. Null if Hyperscan cannot work on this machine.
const hs_database_t* phrases() {
  static const hs_database_t* const compiled = [] {
    std::array<const char*, kPhrases.size()> patterns;
    std::array<unsigned, kPhrases.size()> flags, ids;
    for (unsigned i = 0; i < kPhrases.size(); i++) {
      patterns[i] = kPhrases[i].pattern;
      flags[i] = HS_FLAG_CASELESS | HS_FLAG_SINGLEMATCH;
      ids[i] = i;
    }
    hs_database_t* database = nullptr;
    hs_compile_error_t* error = nullptr;
    if (hs_compile_multi(patterns.data(), flags.data(), ids.data(), kPhrases.size(), HS_MODE_BLOCK, nullptr, &database,
                         &error) != HS_SUCCESS) {
      hs_free_compile_error(error);
      return static_cast<hs_database_t*>(nullptr);
    }
    return database;
  }();
  return compiled;
}

int note_match(unsigned id, unsigned long long, unsigned long long, unsigned, void* found) {
  *static_cast<uint32_t*>(found) |= 1U << id;
  return 0;
}

}  // namespace

RefusalReasons::RefusalReasons() noexcept {
  if (phrases() == nullptr || hs_alloc_scratch(phrases(), &scratch_) != HS_SUCCESS) scratch_ = nullptr;
}

RefusalReasons::~RefusalReasons() {
  hs_free_scratch(scratch_);
}

SmtpCounter RefusalReasons::classify(const uint8_t* text, uint32_t bytes) const noexcept {
  if (scratch_ == nullptr) return SmtpCounter::kReasonUnknown;
  // Not where it lies: there the text may be the last that can be read.
  std::array<char, kLongestReply + kReadAhead> copy;
  const uint32_t length = std::min(bytes, kLongestReply);
  std::memcpy(copy.data(), text, length);
  std::memset(&copy[length], 0, kReadAhead);
  uint32_t found = 0;
  hs_scan(phrases(), copy.data(), length, 0, scratch_, note_match, &found);
  return found == 0 ? SmtpCounter::kReasonUnknown : kPhrases[static_cast<size_t>(std::countr_zero(found))].reason;
}

}  // namespace sluice

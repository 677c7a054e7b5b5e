// SPDX-License-Identifier: Apache-2.0
#include "dataplane/smtp/refusal_reason.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/page_end.h"

namespace sluice::testing {
namespace {

using channel::SmtpCounter;

TEST(RefusalReasons, ReadsNothingBeyondTheTextWhateverItsLengthAndEnd) {
  const RefusalReasons reasons;
  PageEnd memory;
  const std::string refusal = "450 4.7.1 Greylisted, too many connections from your host, service unavailable; ";
  std::string text;
  while (text.size() < 700) text += refusal;
  for (size_t from = 0; from < refusal.size(); from++) {
    for (size_t bytes = 0; bytes <= 600; bytes++) {
      const std::string_view there = memory.put(std::string_view(text).substr(from, bytes));
      reasons.classify(reinterpret_cast<const uint8_t*>(there.data()), static_cast<uint32_t>(there.size()));
    }
  }
  const std::string_view last = memory.put("450 4.7.1 Greylisted");
  EXPECT_EQ(reasons.classify(reinterpret_cast<const uint8_t*>(last.data()), static_cast<uint32_t>(last.size())),
            SmtpCounter::kReasonGreylist);
}

TEST(RefusalReasons, LooksAtThe512BytesOfALine) {
  const RefusalReasons reasons;
  const auto reason_of = [&](const std::string& text) {
    return reasons.classify(reinterpret_cast<const uint8_t*>(text.data()), static_cast<uint32_t>(text.size()));
  };
  EXPECT_EQ(reason_of(std::string(512 - 10, 'x') + "greylisted"), SmtpCounter::kReasonGreylist);
  EXPECT_EQ(reason_of(std::string(512 - 3, 'x') + "greylisted"), SmtpCounter::kReasonUnknown);
}

}  // namespace
}  // namespace sluice::testing

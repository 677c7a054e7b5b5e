// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "controlplane/security/sts_policy.h"
#include "controlplane/security/tlsa.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {

namespace {

void expect_words(const std::string& words) {
  EXPECT_FALSE(words.empty());
  EXPECT_LE(words.size(), 300U);
  for (const char c : words) EXPECT_TRUE(c >= ' ' && c < 0x7f) << words;
}

void play_records(FuzzInput message) {
  const auto answer = control::tlsa_from(message);
  if (!answer) return expect_words(answer.error());
  EXPECT_LE(answer->records.size(), message.size());
  EXPECT_GE(answer->ttl.count(), 0);
  for (const control::TlsaRecord& record : answer->records) {
    EXPECT_FALSE(record.data.empty());
    expect_words(to_string(record));
    if (const std::string why = unusable_reason(record); !why.empty()) expect_words(why);
  }
}

void play_texts(FuzzInput message) {
  const auto answer = control::texts_from(message);
  if (!answer) return expect_words(answer.error());
  EXPECT_LE(answer->texts.size(), message.size());
  const auto id = control::sts_id(answer->texts);
  if (!id) return expect_words(id.error());
  EXPECT_FALSE(id->empty());
  EXPECT_LE(id->size(), 32U);
}

std::string to_text(const control::StsPolicy& policy) {
  std::string out = "version: STSv1\nmode: " + std::string(name_of(policy.mode)) +
                    "\nmax_age: " + std::to_string(policy.max_age.count()) + "\n";
  for (const std::string& mx : policy.mx) out += "mx: " + mx + "\n";
  return out;
}

void play_policy(const std::string& text) {
  const auto policy = control::parse_policy(text);
  if (!policy) return expect_words(policy.error());
  const auto again = control::parse_policy(to_text(*policy));
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(*again, *policy);
  for (const std::string& mx : policy->mx) {
    const std::string host = mx.starts_with("*.") ? "a" + mx.substr(1) : mx;
    EXPECT_TRUE(control::is_about(mx, host)) << mx;
    EXPECT_FALSE(control::is_about(mx, "a.b." + host)) << mx;
  }
}

}  // namespace

void play_security(FuzzInput bytes) {
  if (bytes.empty()) return;
  const FuzzInput rest = bytes.subspan(1);
  switch (bytes.front()) {
    case 'r':
      return play_records(rest);
    case 't':
      return play_texts(rest);
    default:
      return play_policy(text_of(bytes));
  }
}

}  // namespace sluice::testing

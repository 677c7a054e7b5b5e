// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/verdict.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "healthcheck/ehlo.h"
#include "healthcheck/plan.h"
#include "healthcheck/proxy_header.h"
#include "tests/support/ip.h"
#include "tests/support/page_end.h"

namespace sluice::health {
namespace {

using namespace std::string_literals;

TEST(Verdict, NamesEveryFactOnce) {
  std::set<std::string_view> names;
  for (uint8_t i = 0; i <= static_cast<uint8_t>(Fact::kNotRun); i++)
    EXPECT_TRUE(names.insert(name_of(static_cast<Fact>(i))).second) << static_cast<int>(i);
  EXPECT_EQ(name_of(Fact::kCertificateExpired), "certificate_expired");
  EXPECT_EQ(name_of(Step::kClose), "close");
}

TEST(Verdict, PassesOnlyWhatCanTakeMail) {
  EXPECT_TRUE(passes(Fact::kHealthy));
  EXPECT_TRUE(passes(Fact::kCertificateExpiring));
  for (uint8_t i = static_cast<uint8_t>(Fact::kSoft); i <= static_cast<uint8_t>(Fact::kNotRun); i++)
    EXPECT_FALSE(passes(static_cast<Fact>(i))) << name_of(static_cast<Fact>(i));
}

TEST(Verdict, IsDescribedInOneLine) {
  EXPECT_EQ(describe({.fact = Fact::kSoft, .step = Step::kGreeting, .text = "421 later"}),
            "soft at greeting: 421 later");
  EXPECT_EQ(describe({.fact = Fact::kDead, .detail = "connection refused"}), "dead at connect: connection refused");
  EXPECT_EQ(
      describe({.fact = Fact::kUnexpected, .step = Step::kEhlo, .text = "250 mx", .detail = "AUTH is not offered"}),
      "unexpected at ehlo: AUTH is not offered; server said: 250 mx");
}

TEST(Sanitised, KeepsPrintableTextAndEscapesTheRest) {
  EXPECT_EQ(sanitised("220 mx ESMTP\r\n"), "220 mx ESMTP");
  EXPECT_EQ(sanitised("220-a\r\n220 b"), "220-a / 220 b");
  EXPECT_EQ(sanitised("a\0\x1b[31m\xc3\xa9\r"s), "a\\x00\\x1b[31m\\xc3\\xa9");
}

TEST(Sanitised, CutsWithinTheLimitAndNeverInAnEscape) {
  for (size_t limit = 3; limit < 60; limit++) {
    const std::string text = sanitised(std::string(100, '\0'), limit);
    EXPECT_LE(text.size(), limit);
    EXPECT_TRUE(text.ends_with("...")) << text;
    EXPECT_EQ((text.size() - 3) % 4, 0u) << text;
  }
  EXPECT_EQ(sanitised("abcdef", 6), "abcdef");
  EXPECT_EQ(sanitised("abcdefg", 6), "abc...");
}

TEST(Ehlo, OffersAKeywordWithItsParameters) {
  const std::string reply =
      "250-mx.example.net STARTTLSX\n250-SIZE 10240000\n250-auth PLAIN LOGIN\n250-STARTTLS\n250 8BITMIME";
  EXPECT_TRUE(offers(reply, "STARTTLS"));
  EXPECT_TRUE(offers(reply, "8bitmime"));
  EXPECT_TRUE(offers(reply, "AUTH"));
  EXPECT_TRUE(offers(reply, "AUTH LOGIN"));
  EXPECT_TRUE(offers(reply, "AUTH login PLAIN"));
  EXPECT_FALSE(offers(reply, "AUTH CRAM-MD5"));
  EXPECT_FALSE(offers(reply, "PLAIN"));
  EXPECT_FALSE(offers(reply, "mx.example.net"));
  EXPECT_FALSE(offers(reply, "START"));
  EXPECT_FALSE(offers("250 STARTTLS", "STARTTLS")) << "the first line is the server's name";
}

TEST(Ehlo, NamesItselfByItsAddressUnlessTold) {
  EXPECT_EQ(ehlo_command("check.example.net", ip("10.0.0.1")), "EHLO check.example.net\r\n");
  EXPECT_EQ(ehlo_command("", ip("10.0.0.1")), "EHLO [10.0.0.1]\r\n");
  EXPECT_EQ(ehlo_command("", ip("2001:db8::1")), "EHLO [IPv6:2001:db8::1]\r\n");
}

TEST(ProxyHeader, CarriesRealAddressesInV1AndLocalInV2) {
  const Endpoint source{ip("10.0.1.1"), 40000};
  const Endpoint destination{ip("10.0.1.10"), 10025};
  EXPECT_EQ(proxy_header(config::Proxy::kNone, source, destination), "");
  EXPECT_EQ(proxy_header(config::Proxy::kV1, source, destination), "PROXY TCP4 10.0.1.1 10.0.1.10 40000 10025\r\n");
  EXPECT_EQ(proxy_header(config::Proxy::kV2, source, destination), "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"s);
}

TEST(ProxyHeader, StaysWithinTheLongestV1Line) {
  const Endpoint far{ip("2001:1db8:1111:2222:3333:4444:5555:6666"), 65535};
  const std::string header = proxy_header(config::Proxy::kV1, far, far);
  EXPECT_TRUE(header.starts_with("PROXY TCP6 2001:1db8:"));
  EXPECT_LE(header.size(), 104u);
}

TEST(Plan, SaysWhichPatternOfWhichCheckIsWrong) {
  const auto plan = Plan::compile({.name = "greeting", .expect = "ESMTP", .reject = "(mainten"});
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().find("check \"greeting\": reject = \"(mainten\""), std::string::npos) << plan.error();
}

TEST(Matcher, ReadsNothingBeyondTheTextWhateverItsLengthAndEnd) {
  Matcher matcher;
  sluice::testing::PageEnd memory;
  const auto pattern =
      Pattern::compile("busy|unavailable|overload|closed|denied|blocked|greylist|too many|limit").value();
  const std::string line = "421 4.3.2 all server ports are busy, try again later, service overloaded; ";
  std::string text;
  while (text.size() < 700) text += line;
  for (size_t from = 0; from < line.size(); from++) {
    for (size_t bytes = 0; bytes <= 600; bytes++) {
      const std::string_view there = memory.put(std::string_view(text).substr(from, bytes));
      EXPECT_EQ(matcher.matches(pattern, there),
                there.find("busy") != there.npos || there.find("overload") != there.npos);
    }
  }
}

TEST(Matcher, HoldsAnchorsAtEachLine) {
  Matcher matcher;
  const auto at_start = Pattern::compile("^220[ -].*ESMTP").value();
  const auto at_end = Pattern::compile("Postfix$").value();
  EXPECT_TRUE(matcher.matches(at_start, "220 mx ESMTP Postfix"));
  EXPECT_FALSE(matcher.matches(at_start, "220-mx\nhello ESMTP"));
  EXPECT_TRUE(matcher.matches(at_start, "220-teaser\n220 mx ESMTP"));
  EXPECT_TRUE(matcher.matches(at_end, "220-mx ESMTP Postfix\n220 more"));
  EXPECT_FALSE(matcher.matches(at_end, ""));
}

TEST(Evidence, WithoutARefusalOrSilenceIsAJudgement) {
  for (const Fact fact :
       {Fact::kRefused, Fact::kDead, Fact::kSilent, Fact::kNotSmtp, Fact::kUnexpected, Fact::kTlsFailed})
    EXPECT_EQ(evidence_of(fact), Evidence::kJudged) << name_of(fact);
  EXPECT_EQ(evidence_of(Fact::kCertificateExpired), Evidence::kCertificate);
  for (const Fact fact : {Fact::kHealthy, Fact::kCertificateDistrusted, Fact::kSoft, Fact::kNotRun})
    EXPECT_EQ(evidence_of(fact), Evidence::kNone) << name_of(fact);
}

TEST(Verdict, SaysWhetherStarttlsIsOfferedWhereTheProbeCameSoFar) {
  EXPECT_EQ(offers_starttls({.fact = Fact::kTlsFailed, .step = Step::kEhlo}), false);
  EXPECT_EQ(offers_starttls({.fact = Fact::kTlsFailed, .step = Step::kStarttls}), false);
  EXPECT_EQ(offers_starttls({.fact = Fact::kTlsFailed, .step = Step::kTls}), true);
  EXPECT_EQ(offers_starttls({.fact = Fact::kHealthy, .step = Step::kEhloTls, .certificate = Certificate{}}), true);
  EXPECT_EQ(offers_starttls({.fact = Fact::kDead, .step = Step::kConnect}), std::nullopt);
  EXPECT_EQ(offers_starttls({.fact = Fact::kSoft, .step = Step::kEhlo}), std::nullopt);
}

}  // namespace
}  // namespace sluice::health

// SPDX-License-Identifier: Apache-2.0
//
// Policies of MTA-STS as they come, when they are fetched, and backends held against them.
#include <gtest/gtest.h>

#include "controlplane/discovery/dns_types.h"
#include "controlplane/security/sts.h"
#include "controlplane/security/sts_known.h"
#include "tests/controlplane/discovery/dns_message.h"
#include "tests/controlplane/security/chains.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using health::testing::Identity;
using health::testing::make_identity;
using health::testing::PemFile;

const std::string kPolicy =
    "version: STSv1\r\nmode: enforce\r\nmx: mail.example.net\r\nmx: *.Example.net\r\nmax_age: 604800\r\n";

TEST(StsText, IsJoinedFromItsStrings) {
  DnsMessage message(1, "_mta-sts.example.net", kTypeTxt);
  message.add("_mta-sts.example.net", kTypeTxt, 300,
              std::string("\x0av=STSv1; i\x05"
                          "d=42;"));
  message.add("_mta-sts.example.net", kTypeTxt, 60, std::string("\x05other"));
  const auto answer = texts_from(message.bytes());
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(answer->texts, (std::vector<std::string>{"v=STSv1; id=42;", "other"}));
  EXPECT_EQ(answer->ttl, 60s);
  const std::vector<uint8_t>& whole = message.bytes();
  for (size_t cut = 0; cut < whole.size(); cut++) EXPECT_FALSE(texts_from(std::span(whole).first(cut))) << cut;
  DnsMessage too_long(1, "_mta-sts.example.net", kTypeTxt);
  too_long.add("_mta-sts.example.net", kTypeTxt, 300, std::string("\x20v=STSv1"));
  EXPECT_FALSE(texts_from(too_long.bytes()));
}

TEST(StsText, HasOneIdOrNone) {
  const auto id = [](const std::vector<std::string>& texts) {
    const auto found = sts_id(texts);
    return found ? *found : "fault: " + found.error();
  };
  EXPECT_EQ(id({"v=spf1 -all", "v=STSv1; id=20261129T1;"}), "20261129T1");
  EXPECT_EQ(id({"v=STSv1;id=a"}), "a");
  EXPECT_EQ(id({"v=STSv1; more=x; id = a ;"}), "a");
  EXPECT_EQ(id({}), "fault: there is no record of MTA-STS");
  EXPECT_EQ(id({"v=STSv2; id=a;"}), "fault: there is no record of MTA-STS");
  EXPECT_EQ(id({"v=STSv1; id=a;", "v=STSv1; id=b;"}),
            "fault: there are several records of MTA-STS, which count as none");
  EXPECT_EQ(id({"v=STSv1;"}), "fault: the record of MTA-STS has no id");
  EXPECT_EQ(id({"v=STSv1; id=a-b;"}), "fault: the id \"a-b\" is none; allowed: 1 to 32 letters and digits");
  EXPECT_EQ(id({"v=STSv1; id=" + std::string(33, 'a')}).substr(0, 6), "fault:");
}

TEST(StsPolicyText, IsTaken) {
  const auto policy = parse_policy(kPolicy);
  ASSERT_TRUE(policy) << policy.error();
  EXPECT_EQ(*policy, (StsPolicy{StsMode::kEnforce, {"mail.example.net", "*.example.net"}, 604800s}));
  EXPECT_EQ(parse_policy("max_age:1\nmode: none\nversion:STSv1\nfuture_key: x\n\n")->mode, StsMode::kNone);
  EXPECT_EQ(parse_policy(kPolicy + "mode: testing\n")->mode, StsMode::kEnforce) << "the first of a key counts";
}

TEST(StsPolicyText, IsRefusedWithTheFault) {
  const auto fault = [](const std::string& text) {
    const auto policy = parse_policy(text);
    return policy ? "none" : policy.error();
  };
  EXPECT_EQ(fault(""), "has no \"version\"");
  EXPECT_EQ(fault("<html>"), "line 1: \"<html>\" is no \"key: value\"");
  EXPECT_EQ(fault("version: STSv1\nmax_age: 1\nmx: a.example\n"), "has no \"mode\"");
  EXPECT_EQ(fault("version: STSv1\nmode: enforce\nmx: a.example\n"), "has no \"max_age\"");
  EXPECT_EQ(fault("version: STSv1\nmode: enforce\nmax_age: 1\n"), "has no \"mx\"");
  EXPECT_EQ(fault("version: STSv2\nmode: none\nmax_age: 1\n"), "version: \"STSv2\" is not known; allowed: STSv1");
  EXPECT_EQ(fault("version: STSv1\nmode: Enforce\nmax_age: 1\nmx: a.example\n"),
            "mode: \"Enforce\" is none; allowed: enforce, testing, none");
  for (const char* age : {"", "-1", "1h", "31557601", "99999999999999999999999"})
    EXPECT_TRUE(fault(std::string("version: STSv1\nmode: none\nmax_age: ") + age + "\n").starts_with("max_age: "))
        << age;
  for (const char* mx : {"", "*", "*.", "a b", "a..example", ".example", "*.*.example", "a.example."})
    EXPECT_TRUE(fault(std::string("version: STSv1\nmode: none\nmax_age: 1\nmx: ") + mx).starts_with("line 4: mx: "))
        << mx;
  EXPECT_EQ(fault("a key: x\n"), "line 1: \"a key\" is no key");
  EXPECT_EQ(fault("version\x1b: x\n").find('\x1b'), std::string::npos) << "for a terminal";
}

TEST(StsPolicyText, APatternIsAboutOneLabel) {
  EXPECT_TRUE(is_about("mx.example.net", "MX.example.net"));
  EXPECT_TRUE(is_about("mx.example.net", "mx.example.net."));
  EXPECT_TRUE(is_about("*.example.net", "mx.Example.net"));
  EXPECT_FALSE(is_about("*.example.net", "example.net"));
  EXPECT_FALSE(is_about("*.example.net", "a.mx.example.net"));
  EXPECT_FALSE(is_about("*.example.net", ".example.net"));
  EXPECT_FALSE(is_about("*.example.net", "net"));
  EXPECT_FALSE(is_about("mx.example.net", "mx2.example.net"));
}

TEST(StsKnown, IsFetchedWithANewIdAndOnceADay) {
  SystemTime now{1'000'000s};
  StsKnown known;
  EXPECT_FALSE(known.is_heard());
  EXPECT_TRUE(known.hear_id("a", now));
  EXPECT_FALSE(known.hear_id("a", now)) << "it is under way";
  known.hear_policy(kPolicy, now);
  ASSERT_TRUE(known.policy());
  EXPECT_EQ(known.id(), "a");
  EXPECT_EQ(known.fault(), "");
  EXPECT_FALSE(known.hear_id("a", now += 1h));
  EXPECT_TRUE(known.hear_id("b", now)) << "another id";
  known.hear_policy(kPolicy, now);
  EXPECT_TRUE(known.hear_id("b", now += StsKnown::kFetchEvery));
}

TEST(StsKnown, KeepsWhatWasGood) {
  SystemTime now{1'000'000s};
  StsKnown known;
  ASSERT_TRUE(known.hear_id("a", now));
  known.hear_policy(kPolicy, now);
  const uint64_t version = known.version();
  EXPECT_FALSE(known.hear_id(std::unexpected("TXT _mta-sts.example.net: timeout"), now));
  EXPECT_EQ(known.fault(), "TXT _mta-sts.example.net: timeout");
  EXPECT_GT(known.version(), version);
  ASSERT_TRUE(known.policy());
  ASSERT_TRUE(known.hear_id("b", now));
  known.hear_policy("nonsense", now);
  EXPECT_EQ(known.fault(), "the policy: line 1: \"nonsense\" is no \"key: value\"");
  EXPECT_EQ(known.policy()->mode, StsMode::kEnforce);
  EXPECT_EQ(known.id(), "a");
  EXPECT_FALSE(known.hear_id("b", now += 1s)) << "a host that fails is not asked at once again";
  EXPECT_TRUE(known.hear_id("b", now += StsKnown::kFetchAgain));
  known.hear_policy(kPolicy, now);
  EXPECT_EQ(known.fault(), "");
  EXPECT_EQ(known.id(), "b");
}

class StsTest : public testing::Test {
 protected:
  StsFinding held(const StsShown& shown, const std::string& name = "mx.example.net") const {
    return hold_against(policy_, shown, authorities_.get(), name, now_);
  }
  SystemTime now_ = std::chrono::system_clock::now();
  StsPolicy policy_ = *parse_policy(kPolicy);
  Identity authority_ = make_identity("Some CA", 240h);
  PemFile file_{authority_};
  CertificateStore authorities_ = *authorities_of(file_.path());
  CertificateChain good_ =
      chain_of({std::make_unique<Identity>(make_identity("mx.example.net", 240h, &authority_)).get()});
};

TEST_F(StsTest, AgreesWhereNameCertificateAndStarttlsDo) {
  EXPECT_EQ(held({true, &good_}).sts, Sts::kAgrees);
  EXPECT_EQ(held({std::nullopt, &good_}).sts, Sts::kAgrees) << "TLS from the first byte";
  EXPECT_EQ(held({true, nullptr}).sts, Sts::kUnknown);
  policy_.mode = StsMode::kNone;
  EXPECT_EQ(held({true, &good_}).sts, Sts::kNoPolicy);
}

TEST_F(StsTest, SaysWhatDoesNot) {
  EXPECT_EQ(
      held({true, &good_}, "mx.example.org"),
      (StsFinding{Sts::kDisagrees, "the policy does not name mx.example.org, but mail.example.net, *.example.net"}));
  EXPECT_EQ(held({false, &good_}).why, "STARTTLS is not offered, or not gone along with");
  EXPECT_EQ(held({true, &good_}, "other.example.net").why,
            "the certificate is not valid for other.example.net: hostname mismatch");
  const Identity expired = make_identity("mx.example.net", -24h, &authority_);
  const CertificateChain old = chain_of({&expired});
  EXPECT_EQ(held({true, &old}).why, "the certificate is not valid for mx.example.net: certificate has expired");
  const Identity stranger = make_identity("mx.example.net", 240h);
  const CertificateChain strange = chain_of({&stranger});
  EXPECT_EQ(held({true, &strange}).sts, Sts::kDisagrees) << "nobody vouches for it";
}

}  // namespace
}  // namespace sluice::control

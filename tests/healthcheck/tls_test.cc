// SPDX-License-Identifier: Apache-2.0
//
// starttls and smtps against certificates of every kind, made on the spot.
#include "healthcheck/tls.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <string>
#include <vector>

#include "healthcheck/certificate.h"
#include "healthcheck/probe.h"
#include "tests/healthcheck/scripted_server.h"
#include "tests/healthcheck/test_certificate.h"
#include "tests/support/ip.h"

namespace sluice::health {
namespace {

namespace asio = boost::asio;
using config::CheckType;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::milliseconds;
using testing::Identity;
using testing::Left;
using testing::make_identity;
using testing::PemFile;
using testing::ScriptedServer;

constexpr const char* kName = "smtp.example.net";

class TlsTest : public ::testing::TestWithParam<CheckType> {
 protected:
  config::Check check(bool verify) const {
    return {.name = "test",
            .type = GetParam(),
            .connect_timeout = milliseconds(20'000),
            .greeting_timeout = milliseconds(20'000),
            .command_timeout = milliseconds(20'000),
            .helo = "probe",
            .server_name = kName,
            .verify = verify,
            .ca_file = ca_file_.path(),
            .certificate_action = verify ? config::CertificateAction::kDown : config::CertificateAction::kWarn};
  }

  testing::Script server_with(const Identity& identity) const {
    const auto context = testing::server_context(identity);
    if (GetParam() == CheckType::kSmtps) return testing::smtps_server(context);
    return testing::smtp_server("220 mx ESMTP\r\n", context);
  }

  Verdict probe(const config::Check& check, const Identity& identity) {
    ScriptedServer server(io_, server_with(identity));
    const auto settings = std::make_shared<ProbeSettings>(ProbeSettings{
        .address = ip("127.0.0.1"),
        .port = server.port(),
        .certificate_name = check.server_name,
        .plan = Plan::compile(check).value(),
        .tls = make_tls_context(check).value(),
        .matcher = std::make_shared<Matcher>(),
        .wall_clock = [] { return std::chrono::system_clock::now(); },
    });
    const auto one = std::make_shared<Probe>(io_.get_executor(), settings, nullptr);
    Verdict verdict;
    bool done = false;
    asio::co_spawn(io_, one->run([&](const Verdict& found) { verdict = found; }), [&](const std::exception_ptr& error) {
      EXPECT_FALSE(error);
      done = true;
    });
    EXPECT_TRUE(testing::run_until(io_, [&] { return done && server.last().left != Left::kStillThere; }));
    EXPECT_EQ(server.last().left, Left::kFin);
    EXPECT_EQ(server.last().lines.back(), "QUIT") << describe(verdict);
    return verdict;
  }

  asio::io_context io_;
  const Identity ca_ = make_identity("Test CA", days(1000));
  const PemFile ca_file_{ca_};
};

TEST_P(TlsTest, KeepsTheChainThatWasPresentedWhereTheCheckAsksForIt) {
  const Identity server = make_identity(kName, hours(24 * 90), &ca_);
  EXPECT_EQ(probe(check(false), server).certificate->chain, nullptr);
  config::Check dane = check(false);
  dane.tlsa = true;
  const Verdict verdict = probe(dane, server);
  ASSERT_NE(verdict.certificate->chain, nullptr);
  ASSERT_EQ(verdict.certificate->chain->size(), 1U);
  const std::string& der = verdict.certificate->chain->front();
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const std::unique_ptr<X509, decltype(&X509_free)> read(d2i_X509(nullptr, &at, static_cast<long>(der.size())),
                                                         &X509_free);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(X509_cmp(read.get(), server.certificate.get()), 0);
}

TEST_P(TlsTest, AcceptsAGoodCertificateAndReadsIt) {
  const Identity identity = make_identity(kName, days(90) + hours(1), &ca_);
  const Verdict verdict = probe(check(true), identity);
  EXPECT_EQ(verdict.fact, Fact::kHealthy) << describe(verdict);
  EXPECT_EQ(verdict.step, Step::kEhloTls);
  ASSERT_TRUE(verdict.certificate);
  EXPECT_EQ(verdict.certificate->subject, "CN=smtp.example.net");
  EXPECT_EQ(verdict.certificate->days_left(), 90);
  EXPECT_EQ(verdict.certificate->sha256.size(), 64u);
  EXPECT_EQ(verdict.certificate->key_sha256.size(), 64u);
}

TEST_P(TlsTest, ReportsACertificateThatIsAboutToExpire) {
  const Verdict verdict = probe(check(true), make_identity(kName, days(5) + hours(1), &ca_));
  EXPECT_EQ(describe(verdict),
            "certificate_expiring at ehlo_tls: certificate has 5 days left; server said: 220 mx ESMTP");
}

TEST_P(TlsTest, FindsAnExpiredCertificateVerifyingOrNot) {
  for (const bool verify : {false, true}) {
    config::Check strict = check(verify);
    strict.certificate_action = config::CertificateAction::kDown;
    const Verdict verdict = probe(strict, make_identity(kName, -hours(30), &ca_));
    EXPECT_EQ(describe(verdict), "certificate_expired at tls: certificate has -2 days left");
  }
}

TEST_P(TlsTest, HoldsTheNameAgainstTheCertificateOnlyWhenAsked) {
  const Identity other = make_identity("mx7.example.org", days(90), &ca_);
  EXPECT_EQ(probe(check(false), other).fact, Fact::kHealthy);
  const Verdict verdict = probe(check(true), other);
  EXPECT_EQ(verdict.fact, Fact::kTlsFailed);
  EXPECT_EQ(verdict.detail, "certificate not accepted: hostname mismatch (asked for smtp.example.net)");
}

TEST_P(TlsTest, HoldsTheChainAgainstTheCaFileOnlyWhenAsked) {
  const Identity self_signed = make_identity(kName, days(90));
  EXPECT_EQ(probe(check(false), self_signed).fact, Fact::kHealthy);
  const Verdict verdict = probe(check(true), self_signed);
  EXPECT_EQ(verdict.fact, Fact::kTlsFailed);
  EXPECT_EQ(verdict.detail, "certificate not accepted: self-signed certificate (asked for smtp.example.net)");
}

INSTANTIATE_TEST_SUITE_P(Types, TlsTest, ::testing::Values(CheckType::kStarttls, CheckType::kSmtps),
                         [](const auto& type) { return type.param == CheckType::kSmtps ? "Smtps" : "Starttls"; });

TEST(TlsContext, SaysWhichCaFileIsNoGood) {
  const auto context = make_tls_context(
      {.name = "submission", .type = CheckType::kStarttls, .verify = true, .ca_file = "/nonexistent/ca.pem"});
  ASSERT_FALSE(context);
  EXPECT_TRUE(context.error().starts_with("check \"submission\": ca_file = \"/nonexistent/ca.pem\" cannot be used: "))
      << context.error();
}

Shown shown(const std::string& key, const Identity& identity) {
  return {key, kName, read_certificate(identity.certificate.get(), std::chrono::system_clock::now())};
}

TEST(Disagreements, AreAboutOneNameOnly) {
  const Identity first = make_identity(kName, days(90));
  const Identity renewed = make_identity(kName, days(180), nullptr, first.key);
  const Identity other = make_identity(kName, days(90));
  EXPECT_TRUE(disagreements({shown("mta1", first), shown("mta2", first)}).empty());

  const auto same_key = disagreements({shown("mta1", first), shown("mta2", renewed)});
  ASSERT_EQ(same_key.size(), 1u);
  EXPECT_FALSE(same_key[0].keys_differ);

  const auto other_key = disagreements({shown("mta1", first), shown("mta2", first), shown("mta3", other)});
  ASSERT_EQ(other_key.size(), 1u);
  EXPECT_EQ(other_key[0].server_name, kName);
  EXPECT_TRUE(other_key[0].keys_differ);
  ASSERT_EQ(other_key[0].keys.size(), 3u);
  EXPECT_TRUE(other_key[0].keys[2].starts_with("mta3 ("));

  Shown elsewhere = shown("mta4", other);
  elsewhere.server_name = "relay.example.net";
  EXPECT_TRUE(disagreements({shown("mta1", first), elsewhere}).empty());
}

}  // namespace
}  // namespace sluice::health

// SPDX-License-Identifier: Apache-2.0
//
// TLSA records as they come, and chains held against them.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>

#include "controlplane/discovery/dns_types.h"
#include "controlplane/security/dane.h"
#include "tests/controlplane/discovery/dns_message.h"
#include "tests/controlplane/security/chains.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using health::testing::Identity;
using health::testing::make_identity;

const std::string kName = "mx.example.net";
const std::string kOf25 = "_25._tcp.mx.example.net";

std::string digest_of(const std::string& bytes, const EVP_MD* kind) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, kind, nullptr);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string key_of(const Identity& identity) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(identity.certificate.get()), &der);
  std::string out(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

/// A record about `identity`, made the other way round than the code under test reads it.
TlsaRecord about(const Identity& identity, uint8_t usage, uint8_t selector, uint8_t matching) {
  const std::string whole = selector == kPublicKey ? key_of(identity) : der_of(identity);
  return {usage, selector, matching,
          matching == kFull ? whole : digest_of(whole, matching == kSha256 ? EVP_sha256() : EVP_sha512())};
}

TEST(Tlsa, IsReadWithTheLeastTtlAndWhetherItIsAuthentic) {
  DnsMessage message(1, kOf25, kTypeTlsa);
  message.add_alias(kOf25, 5, "tlsa.example.net");
  message.add("tlsa.example.net", kTypeTlsa, 300, std::string("\x03\x01\x01", 3) + std::string(32, 'a'));
  message.add("tlsa.example.net", kTypeTlsa, 60, std::string("\x02\x00\x02", 3) + std::string(64, 'b'));
  auto answer = tlsa_from(message.bytes());
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(answer->records,
            (std::vector<TlsaRecord>{{3, 1, 1, std::string(32, 'a')}, {2, 0, 2, std::string(64, 'b')}}));
  EXPECT_EQ(answer->ttl, 60s);
  EXPECT_FALSE(answer->authenticated);
  message.set_authentic();
  EXPECT_TRUE(tlsa_from(message.bytes())->authenticated);
}

TEST(Tlsa, AnAbsenceHoldsAsLongAsTheZoneSays) {
  DnsMessage message(1, kOf25, kTypeTlsa, ns_r_nxdomain);
  message.add_soa("example.net", 900, 120);
  const auto answer = tlsa_from(message.bytes());
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->records.empty());
  EXPECT_EQ(answer->ttl, 120s);
}

TEST(Tlsa, CutOrBentIsRefusedOrFewer) {
  DnsMessage message(1, kOf25, kTypeTlsa);
  message.add(kOf25, kTypeTlsa, 300, std::string("\x03\x01\x01", 3) + std::string(32, 'a'));
  const std::vector<uint8_t>& whole = message.bytes();
  for (size_t cut = 0; cut < whole.size(); cut++) EXPECT_FALSE(tlsa_from(std::span(whole).first(cut))) << cut;
  for (size_t i = 0; i < whole.size(); i++) {
    for (const int value : {0, 1, 0x3f, 0xc0, 0xff}) {
      std::vector<uint8_t> bent = whole;
      bent[i] = static_cast<uint8_t>(value);
      if (const auto answer = tlsa_from(bent)) {
        EXPECT_LE(answer->records.size(), 1U);
      }
    }
  }
  DnsMessage without_data(1, kOf25, kTypeTlsa);
  without_data.add(kOf25, kTypeTlsa, 300, std::string("\x03\x01\x01", 3));
  EXPECT_FALSE(tlsa_from(without_data.bytes()));
}

TEST(Tlsa, SaysWhatIsOfNoUseToSmtp) {
  EXPECT_EQ(unusable_reason({3, 1, 1, std::string(32, 'a')}), "");
  EXPECT_EQ(unusable_reason({2, 0, 0, "x"}), "");
  EXPECT_EQ(unusable_reason({0, 1, 1, std::string(32, 'a')}), "usages 0 and 1 say nothing to SMTP (RFC 7672)");
  EXPECT_EQ(unusable_reason({1, 0, 1, std::string(32, 'a')}), "usages 0 and 1 say nothing to SMTP (RFC 7672)");
  EXPECT_EQ(unusable_reason({255, 0, 1, std::string(32, 'a')}), "usage 255 is unknown");
  EXPECT_EQ(unusable_reason({3, 2, 1, std::string(32, 'a')}), "selector 2 is unknown");
  EXPECT_EQ(unusable_reason({3, 1, 3, "x"}), "matching type 3 is unknown");
  EXPECT_EQ(unusable_reason({3, 1, 1, "abc"}), "a digest of 3 bytes, not 32");
  EXPECT_EQ(unusable_reason({3, 1, 2, std::string(32, 'a')}), "a digest of 32 bytes, not 64");
  EXPECT_EQ(to_string(TlsaRecord{3, 1, 1, std::string(32, 'a')}), "3 1 1 61616161616161616161616161616161...");
  EXPECT_EQ(tlsa_name("mx.example.net", 25), kOf25);
}

class DaneTest : public testing::Test {
 protected:
  DaneFinding held(const std::vector<TlsaRecord>& records, const std::vector<const Identity*>& presented,
                   const std::string& name = kName) const {
    return hold_against(records, chain_of(presented), name, now_);
  }
  SystemTime now_ = std::chrono::system_clock::now();
  Identity authority_ = make_identity("Some CA", 240h);
  Identity other_authority_ = make_identity("Other CA", 240h);
  Identity server_ = make_identity(kName, 240h, &authority_);
  Identity renewed_ = make_identity(kName, 240h, &authority_);
};

TEST_F(DaneTest, MatchesTheServersOwnCertificateByEverySelectorAndMatchingType) {
  for (const uint8_t selector : {kWholeCertificate, kPublicKey}) {
    for (const uint8_t matching : {kFull, kSha256, kSha512}) {
      SCOPED_TRACE(testing::Message() << int{selector} << int{matching});
      EXPECT_EQ(held({about(server_, kDaneEe, selector, matching)}, {&server_, &authority_}).dane, Dane::kMatches);
      EXPECT_EQ(held({about(server_, kDaneEe, selector, matching)}, {&renewed_, &authority_}).dane, Dane::kMismatch);
      EXPECT_EQ(held({about(authority_, kDaneTa, selector, matching)}, {&server_, &authority_}).dane, Dane::kMatches);
    }
  }
}

TEST_F(DaneTest, UsageThreeCaresNeitherForNameNorForDates) {
  const Identity expired = make_identity("elsewhere.example", -24h);
  EXPECT_EQ(held({about(expired, kDaneEe, kPublicKey, kSha256)}, {&expired}).dane, Dane::kMatches);
  EXPECT_EQ(held({about(authority_, kDaneEe, kPublicKey, kSha256)}, {&server_, &authority_}).dane, Dane::kMismatch)
      << "only the first of the chain is the server's own";
}

TEST_F(DaneTest, UsageTwoTakesTheAuthorityTheNameAndTheDates) {
  const TlsaRecord by_authority = about(authority_, kDaneTa, kPublicKey, kSha256);
  EXPECT_EQ(held({by_authority}, {&server_, &authority_}).dane, Dane::kMatches);
  const auto absent = held({by_authority}, {&server_});
  EXPECT_EQ(absent.dane, Dane::kMismatch);
  EXPECT_NE(absent.why.find("is about no authority that is presented"), std::string::npos) << absent.why;
  const auto misnamed = held({by_authority}, {&server_, &authority_}, "other.example.net");
  EXPECT_EQ(misnamed.dane, Dane::kMismatch);
  EXPECT_NE(misnamed.why.find("hostname mismatch"), std::string::npos) << misnamed.why;
  const Identity expired = make_identity(kName, -24h, &authority_);
  EXPECT_NE(held({by_authority}, {&expired, &authority_}).why.find("expired"), std::string::npos);
  EXPECT_EQ(held({about(other_authority_, kDaneTa, kPublicKey, kSha256)}, {&server_, &other_authority_}).dane,
            Dane::kMismatch)
      << "one that is presented and has signed nothing of it";
  EXPECT_EQ(held({about(server_, kDaneTa, kPublicKey, kSha256)}, {&server_, &authority_}).dane, Dane::kMismatch)
      << "a server's own certificate is no authority";
}

TEST_F(DaneTest, OneOfSeveralRecordsIsEnough) {
  const TlsaRecord of_old = about(server_, kDaneEe, kPublicKey, kSha256);
  const TlsaRecord of_new = about(renewed_, kDaneEe, kPublicKey, kSha256);
  EXPECT_EQ(held({of_old, of_new}, {&server_}).dane, Dane::kMatches);
  EXPECT_EQ(held({of_new, of_old}, {&server_}).dane, Dane::kMatches);
  EXPECT_EQ(held({{1, 1, 1, std::string(32, 'a')}, of_old}, {&server_}).dane, Dane::kMatches);
  const auto neither = held({of_new, about(authority_, kDaneEe, kPublicKey, kSha256)}, {&server_});
  EXPECT_EQ(neither.dane, Dane::kMismatch);
  EXPECT_NE(neither.why.find("and 1 more do not match"), std::string::npos) << neither.why;
}

TEST_F(DaneTest, TellsAbsentUnusableAndUnauthenticatedRecordsApart) {
  EXPECT_EQ(held({}, {&server_}).dane, Dane::kNoRecords);
  EXPECT_EQ(held({{1, 1, 1, std::string(32, 'a')}}, {&server_}).dane, Dane::kUnusable);
  TlsaAnswer answer{.records = {about(server_, kDaneEe, kPublicKey, kSha256)}};
  EXPECT_EQ(hold_against(answer, chain_of({&server_}), kName, now_).dane, Dane::kNotAuthenticated);
  answer.authenticated = true;
  EXPECT_EQ(hold_against(answer, chain_of({&server_}), kName, now_).dane, Dane::kMatches);
  EXPECT_EQ(hold_against(TlsaAnswer{}, chain_of({&server_}), kName, now_).dane, Dane::kNoRecords);
}

TEST(CertificateChain, IsNotReadFromGarbage) {
  EXPECT_FALSE(read_chain({}));
  EXPECT_FALSE(read_chain({"garbage"}));
  EXPECT_FALSE(authorities_of("/nowhere/ca.pem"));
}

}  // namespace
}  // namespace sluice::control

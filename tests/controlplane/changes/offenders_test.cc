// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/offenders.h"

#include <gtest/gtest.h>

#include <utility>

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using config::ThenOnOffence;

config::IpPrefix prefix(const std::string& text) {
  return config::IpPrefix::parse(text).value();
}

class OffendersTest : public testing::Test {
 protected:
  OffendersTest() {
    config_.auth_failures = config::AuthFailures{.per_minute = 30, .block_for = 900, .services = {"submission"}};
    config_.early_talkers = config::EarlyTalkers{.remember = 600, .then = ThenOnOffence::k421};
    config_.allow = {prefix("198.51.100.0/24")};
    offenders_.follow(config_);
  }

  Offences see(const std::string& client, uint8_t failures, bool early = false,
               std::string_view service = "submission") {
    channel::SessionRecord record{};
    record.client.address.bytes = config::IpAddress::parse(client).value().bytes;
    record.notes.refused[channel::SessionNotes::place_of(channel::SmtpStep::kAuth)] = failures;
    record.notes.flags = early ? uint32_t{channel::kSessionEarly} : 0;
    return offenders_.see(record, service);
  }
  std::vector<std::string> listed() const {
    std::vector<std::string> out;
    for (const auto& [source, offender] : offenders_.entries())
      out.push_back(source.to_string() + " " + std::string(name_of(offender.offence)) +
                    (offender.hears ? " refused" : " dropped"));
    return out;
  }
  std::string last_event() const {
    return journal_.entries().empty() ? "" : journal_.entries().back().subject + ": " + journal_.entries().back().text;
  }

  using Listed = std::vector<std::string>;
  config::Sources config_;
  SystemTime now_{std::chrono::seconds(1'000'000)};
  Journal journal_{[this] { return now_; }};
  Offenders offenders_{journal_};
};

TEST_F(OffendersTest, WhoGuessesPasswordsIsBlockedForATime) {
  for (int i = 0; i < 10; i++) see("192.0.2.7", 3);
  EXPECT_FALSE(offenders_.tick());
  EXPECT_EQ(listed(), Listed{}) << "thirty are not more than thirty";
  see("192.0.2.7", 1);
  EXPECT_EQ(listed(), Listed{"192.0.2.7/32 auth_failures dropped"});
  EXPECT_EQ(
      last_event(),
      "192.0.2.7/32: guesses passwords: 31 AUTH commands refused within a minute; its new connections are dropped "
      "for 900 s");
  EXPECT_TRUE(offenders_.tick());
  EXPECT_FALSE(offenders_.tick());
  now_ += 899s;
  EXPECT_FALSE(offenders_.tick());
  now_ += 1s;
  EXPECT_TRUE(offenders_.tick());
  EXPECT_EQ(listed(), Listed{});
  EXPECT_EQ(offenders_.auth_failures(), 31u);
}

TEST_F(OffendersTest, WhoOnlyMistypesIsNot) {
  for (int minute = 0; minute < 600; minute++) {
    see("192.0.2.7", 29);
    now_ += 60s;
    offenders_.tick();
  }
  EXPECT_EQ(listed(), Listed{});
  for (int second = 0; second < 120; second++) {
    see("192.0.2.7", 1);
    now_ += 1s;
  }
  EXPECT_EQ(listed().size(), 1u) << "sixty a minute run over";
}

TEST_F(OffendersTest, AClockThatIsSetBackBlocksNobodyAndKeepsNobodyOutForLonger) {
  see("192.0.2.7", 20);
  see("192.0.2.8", 31);
  see("192.0.2.9", 0, true);
  EXPECT_TRUE(offenders_.tick());
  now_ -= 24h;
  see("192.0.2.7", 20);
  EXPECT_EQ(listed(), (Listed{"192.0.2.8/32 auth_failures dropped", "192.0.2.9/32 early_talker refused"}))
      << "twenty before do not count for a day";
  EXPECT_TRUE(offenders_.tick()) << "their times are others";
  now_ += 600s;
  offenders_.tick();
  EXPECT_EQ(listed(), Listed{"192.0.2.8/32 auth_failures dropped"});
  now_ += 300s;
  offenders_.tick();
  EXPECT_EQ(listed(), Listed{});
}

TEST_F(OffendersTest, ManyShortSessionsUnderTlsAreASofterSign) {
  const auto end = [&](uint32_t flags, uint32_t bytes_up, uint64_t lasted_ms,
                       channel::SessionEnd how = channel::SessionEnd::kClosed,
                       channel::SessionParty by = channel::SessionParty::kClient) {
    channel::SessionRecord record{};
    record.client.address.bytes = config::IpAddress::parse("192.0.2.7").value().bytes;
    record.notes.begun_ms = 0xffff'f000;
    record.ended_ms = uint64_t{0xffff'f000} + lasted_ms;
    record.notes.flags = flags;
    record.bytes_up = bytes_up;
    record.end = how;
    record.by = by;
    offenders_.see(record, "submission");
  };
  constexpr uint32_t kTls = channel::kSessionEstablished | channel::kSessionTlsBegun | channel::kSessionTlsEstablished;
  for (int i = 0; i < 1000; i++) end(kTls, 900, 2000);
  EXPECT_EQ(listed(), Listed{}) << "they do not count unless that is set";
  config_.auth_failures->short_tls_sessions = 4;
  offenders_.follow(config_);
  for (int i = 0; i < 1000; i++) {
    end(channel::kSessionEstablished, 200, 2000);                              // in plain text
    end(channel::kSessionEstablished | channel::kSessionTlsBegun, 600, 2000);  // never came to keys
    end(kTls, 2500, 2000);                                                     // brought mail
    end(kTls, 900, 60'000);                                                    // a mail program that stays
  }
  EXPECT_EQ(listed(), Listed{});
  using Party = channel::SessionParty;
  using End = channel::SessionEnd;
  for (int i = 0; i < 1000; i++) {
    end(kTls, 900, 2000, End::kCut, Party::kBalancer);   // its server died
    end(kTls, 900, 2000, End::kTold, Party::kBalancer);  // or leaves
    end(kTls, 900, 2000, End::kIdle, Party::kBalancer);
    end(kTls, 900, 2000, End::kReset, Party::kServer);
  }
  EXPECT_EQ(listed(), Listed{}) << "its client did not end it";
  for (int i = 0; i < 120; i++) end(kTls, 900, 2000, End::kClosed, Party::kServer);  // after QUIT
  EXPECT_EQ(listed(), Listed{}) << "a hundred and twenty are thirty";
  end(kTls, 900, 2000);
  EXPECT_EQ(listed(), Listed{"192.0.2.7/32 auth_failures dropped"});
  EXPECT_EQ(
      last_event(),
      "192.0.2.7/32: guesses passwords, it seems: short sessions under TLS that count as 31 refused AUTH commands "
      "within a minute; its new connections are dropped for 900 s");
  EXPECT_EQ(offenders_.short_tls_sessions(), 121u);
  EXPECT_EQ(offenders_.auth_failures(), 0u);
}

TEST_F(OffendersTest, OnlyTheServicesThatAreNamedCount) {
  see("192.0.2.7", 200, false, "relay");
  EXPECT_EQ(listed(), Listed{});
  EXPECT_EQ(offenders_.auth_failures(), 0u);
}

TEST_F(OffendersTest, ANetworkOfIpv6IsOneSource) {
  for (int host = 1; host <= 31; host++) see("2001:db8:1:2::" + std::to_string(host), 1);
  EXPECT_EQ(listed(), Listed{"2001:db8:1:2::/64 auth_failures dropped"});
}

TEST_F(OffendersTest, EarlyTalkersAreRememberedAndHearSo) {
  see("192.0.2.9", 0, true, "relay");
  EXPECT_EQ(listed(), Listed{"192.0.2.9/32 early_talker refused"});
  EXPECT_EQ(last_event(),
            "192.0.2.9/32: spoke before the greeting of \"relay\"; its new connections are refused for 600 s");
  now_ += 599s;
  see("192.0.2.9", 0, true, "relay");
  now_ += 599s;
  offenders_.tick();
  EXPECT_EQ(listed().size(), 1u) << "and again, from then on";
  see("192.0.2.9", 31);
  EXPECT_EQ(listed(), Listed{"192.0.2.9/32 auth_failures dropped"});
  see("192.0.2.9", 0, true);
  EXPECT_EQ(listed(), Listed{"192.0.2.9/32 auth_failures dropped"}) << "the harder of both holds";
  EXPECT_EQ(offenders_.early_talkers(), 3u);
}

TEST_F(OffendersTest, CountingAloneRefusesNobody) {
  config_.early_talkers->then = ThenOnOffence::kNothing;
  offenders_.follow(config_);
  const Offences given = see("192.0.2.9", 0, true);
  EXPECT_EQ(listed(), Listed{});
  EXPECT_EQ(offenders_.early_talkers(), 1u);
  EXPECT_TRUE(given.early) << "but it is told of its source";
  EXPECT_EQ(given.source, prefix("192.0.2.9"));
}

TEST_F(OffendersTest, TellsWhatCountsAsAnOffence) {
  EXPECT_EQ(see("2001:db8::7", 3).auth_failures, 3u);
  EXPECT_EQ(see("2001:db8::7", 3).source, prefix("2001:db8::/64"));
  EXPECT_EQ(see("192.0.2.9", 3, true, "relay").auth_failures, 0u) << "not of a service that is not looked at";
  EXPECT_FALSE(see("192.0.2.9", 0).early);
  EXPECT_FALSE(see("198.51.100.7", 2, true).early) << "not of whom allow exempts";
  EXPECT_EQ(see("198.51.100.7", 2, true).auth_failures, 0u);
  config_.early_talkers.reset();
  offenders_.follow(config_);
  EXPECT_FALSE(see("192.0.2.9", 0, true).early) << "not if nobody asked for it";
}

TEST_F(OffendersTest, WhoIsAllowedGivesNoOffence) {
  see("198.51.100.7", 200, true);
  EXPECT_EQ(listed(), Listed{});
}

TEST_F(OffendersTest, AReloadLetsInWhomNoRuleKeepsOut) {
  see("192.0.2.7", 31);
  see("192.0.2.9", 0, true);
  config_.auth_failures.reset();
  offenders_.follow(config_);
  EXPECT_EQ(listed(), Listed{"192.0.2.9/32 early_talker refused"});
  config_.allow.push_back(prefix("192.0.2.0/24"));
  offenders_.follow(config_);
  EXPECT_EQ(listed(), Listed{});
  EXPECT_TRUE(offenders_.tick());
}

TEST_F(OffendersTest, AnOperatorForgives) {
  see("192.0.2.7", 31);
  see("192.0.2.8", 31);
  EXPECT_TRUE(offenders_.forget(prefix("192.0.2.7/32")));
  EXPECT_FALSE(offenders_.forget(prefix("192.0.2.7/32")));
  EXPECT_EQ(listed(), Listed{"192.0.2.8/32 auth_failures dropped"});
  see("192.0.2.7", 1);
  EXPECT_EQ(listed().size(), 1u) << "what was before is forgotten too";
  EXPECT_TRUE(offenders_.forget(prefix("192.0.2.0/24")));
  EXPECT_EQ(listed(), Listed{});
}

TEST_F(OffendersTest, HasRoomForSoManyAndTellsOfAFew) {
  const auto client = [](size_t n) {
    return "10." + std::to_string(n / 65536) + "." + std::to_string(n / 256 % 256) + "." + std::to_string(n % 256);
  };
  for (size_t n = 0; n < Offenders::kMost + 10; n++) {
    if (n % 256 == 0) now_ += 1ms;
    see(client(n), 0, true);
  }
  EXPECT_EQ(offenders_.entries().size(), Offenders::kMost);
  EXPECT_TRUE(offenders_.entries().contains(prefix(client(Offenders::kMost + 9) + "/32")));
  EXPECT_FALSE(offenders_.entries().contains(prefix(client(0) + "/32"))) << "whose time is up first gives way";
  EXPECT_EQ(journal_.entries().size(), Offenders::kToldAMinute);
  now_ += 60s;
  see("192.0.2.1", 0, true);
  EXPECT_EQ(journal_.entries().size(), Offenders::kToldAMinute + 2) << "the number of those before, and this one";
}

}  // namespace
}  // namespace sluice::control

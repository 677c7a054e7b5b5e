// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/connect_error.h"

#include <gtest/gtest.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include <cerrno>

#include "tests/healthcheck/printing.h"
#include "tests/support/ip.h"

namespace sluice::health {
namespace {

using namespace std::chrono_literals;

TEST(ConnectError, IsAgainstTheServerOnlyWhereTheServerIsItsCause) {
  EXPECT_EQ(evidence_of_connect_error(ECONNREFUSED), Evidence::kRefused);
  for (const int silence : {ETIMEDOUT, EHOSTUNREACH})
    EXPECT_EQ(evidence_of_connect_error(silence), Evidence::kUnanswered) << silence;
  for (const int ours :
       {ENETUNREACH, ENETDOWN, EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES, EPERM, EAFNOSUPPORT, EINVAL})
    EXPECT_EQ(evidence_of_connect_error(ours), Evidence::kNone) << ours;
  EXPECT_EQ(evidence_of_connect_error(ECONNRESET), Evidence::kJudged);
}

struct IcmpCase {
  uint8_t type, code;
  int number;
  const char *from, *server, *ours;
  Evidence evidence;
  const char* why;
};

constexpr const char *kServer = "10.0.1.10", *kRouter = "10.0.1.254", *kOurs = "10.0.1.1";
constexpr const char *kServer6 = "fd00:1::10", *kRouter6 = "fd00:1::fe", *kOurs6 = "fd00:1::1";

constexpr IcmpCase kIcmpCases[] = {
    // Nobody answers, or no way leads there.
    {ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, EHOSTUNREACH, kRouter, kServer, kOurs, Evidence::kUnanswered,
     "No route to host"},
    {ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, EHOSTUNREACH, kOurs, kServer, kOurs, Evidence::kUnanswered,
     "No route to host"},
    {ICMP_DEST_UNREACH, ICMP_NET_UNREACH, ENETUNREACH, kRouter, kServer, kOurs, Evidence::kNone,
     "Network is unreachable"},
    {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR, EHOSTUNREACH, kOurs6, kServer6, kOurs6, Evidence::kUnanswered,
     "No route to host"},
    {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE, ENETUNREACH, kRouter6, kServer6, kOurs6, Evidence::kNone,
     "Network is unreachable"},
    // The host says so itself: it lives.
    {ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, EHOSTUNREACH, kServer, kServer, kOurs, Evidence::kJudged,
     "refused by ICMP host-unreachable from 10.0.1.10: a firewall there"},
    {ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ECONNREFUSED, kServer, kServer, kOurs, Evidence::kJudged,
     "refused by ICMP port-unreachable from 10.0.1.10: a firewall there"},
    {ICMP_DEST_UNREACH, ICMP_HOST_ANO, EHOSTUNREACH, kServer, kServer, kOurs, Evidence::kJudged,
     "refused by ICMP host-prohibited from 10.0.1.10: a firewall there"},
    {ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, EHOSTUNREACH, kServer, kServer, kOurs, Evidence::kJudged,
     "refused by ICMP admin-prohibited from 10.0.1.10: a firewall there"},
    {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN, EACCES, kServer6, kServer6, kOurs6, Evidence::kJudged,
     "refused by ICMP admin-prohibited from fd00:1::10: a firewall there"},
    {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT, ECONNREFUSED, kServer6, kServer6, kOurs6, Evidence::kJudged,
     "refused by ICMP port-unreachable from fd00:1::10: a firewall there"},
    // Somebody on the way forbids it, or it goes round in circles: no word of the host.
    {ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, EHOSTUNREACH, kRouter, kServer, kOurs, Evidence::kJudged,
     "refused by ICMP admin-prohibited from 10.0.1.254: a firewall there"},
    {ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, EHOSTUNREACH, kRouter, kServer, kOurs, Evidence::kJudged,
     "refused by ICMP type 11 code 0 from 10.0.1.254"},
    {ICMP_DEST_UNREACH, 99, EHOSTUNREACH, kRouter, kServer, kOurs, Evidence::kJudged,
     "refused by ICMP type 3 code 99 from 10.0.1.254: a firewall there"},
    // We do.
    {ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ECONNREFUSED, kOurs, kServer, kOurs, Evidence::kNone,
     "refused by ICMP port-unreachable from 10.0.1.1: a firewall of our own"},
    {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN, EACCES, kOurs6, kServer6, kOurs6, Evidence::kNone,
     "refused by ICMP admin-prohibited from fd00:1::1: a firewall of our own"},
};

TEST(ConnectError, ByIcmpIsARefusalOfNobodysDeath) {
  for (const IcmpCase& c : kIcmpCases) {
    SCOPED_TRACE(::testing::Message() << "type " << +c.type << " code " << +c.code << " from " << c.from);
    const ConnectFailure failure =
        failure_of({.type = c.type, .code = c.code, .number = c.number, .from = ip(c.from)}, ip(c.server), ip(c.ours));
    EXPECT_EQ(failure.evidence, c.evidence);
    EXPECT_EQ(failure.why, c.why);
  }
}

TEST(IcmpRefusals, AreRememberedForAWhileEachOfItsServer) {
  IcmpRefusals refusals;
  const IcmpRefusals::Time start;
  refusals.note(ip(kServer), "first", start);
  refusals.note(ip(kServer), "second", start + 5s);
  EXPECT_EQ(refusals.recent(ip(kServer), start + 5s + IcmpRefusals::kStands - 1ms), "second");
  EXPECT_EQ(refusals.recent(ip(kServer), start + 5s + IcmpRefusals::kStands), std::nullopt);
  EXPECT_EQ(refusals.recent(ip(kRouter), start + 5s), std::nullopt);
  refusals.note(ip(kRouter), "another", start + 60s);
  EXPECT_EQ(refusals.recent(ip(kRouter), start + 60s), "another");
  EXPECT_EQ(refusals.recent(ip(kServer), start + 60s), std::nullopt);
}

}  // namespace
}  // namespace sluice::health

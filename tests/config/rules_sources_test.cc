// SPDX-License-Identifier: Apache-2.0
//
// What is refused of `sources` because of other settings.
#include "tests/config/cases.h"

namespace sluice::config {
namespace {

TEST(Rules, HoldOffencesToWhatCanBeDone) {
  const Case cases[] = {
      {"top", R"(sources = { early_talkers = { }; auth_failures = { }; };)", {}},
      {"top", R"(sources = { early_talkers = { action = "count"; remember = 60; then = "drop"; }; };)", {}},
      {"top",
       R"(sources = { early_talkers = { action = "421"; }; };)",
       {R"(13: sources.early_talkers.action: "421" is not one of its values; allowed: "count")"}},
      {"top",
       R"(sources = { early_talkers = { then = "tarpit"; }; };)",
       {R"(13: sources.early_talkers.then: "tarpit" is not one of its values; allowed: "nothing", "421", "drop")"}},
      {"top",
       R"(sources = { auth_failures = { per_minute = 0; }; };)",
       {"13: sources.auth_failures.per_minute: 0 is out of range..."}},
      {"top",
       R"(sources = { auth_failures = { services = ["submisson"]; }; };)",
       {R"(13: sources.auth_failures.services: there is no service "submisson"...)"}},
  };
  expect_faults(cases);
}

TEST(Rules, HoldLimitsToWhatCanBeCounted) {
  const Case cases[] = {
      {"top", R"(sources: { limits = (); };)", {}},
      {"top",
       R"(sources: { limits = ( { of = "prefix"; prefix_v4 = 24; prefix_v6 = 64; connections = 200; per_second = 50; burst = 100; action = "421"; services = ["relay"]; }, { of = "address"; per_second = 5; } ); };)",
       {}},
      {"top",
       R"(sources: { limits = ( { connections = 5; } ); };)",
       {R"(13: sources.limits[0].of: is missing: what is counted as one source...)"}},
      {"top",
       R"(sources: { limits = ( { of = "address"; } ); };)",
       {"13: sources.limits[0]: limits nothing; allowed: with `connections`, `per_second` or both"}},
      {"top",
       R"(sources: { limits = ( { of = "address"; connections = 0; per_second = 0; } ); };)",
       {"13: sources.limits[0].connections: 0 is out of range; allowed: 1 to 10000000",
        "13: sources.limits[0].per_second: 0 is out of range; allowed: 1 to 100000"}},
      {"top",
       R"(sources: { limits = ( { of = "prefix"; prefix_v4 = 33; prefix_v6 = 8; connections = 1; } ); };)",
       {"13: sources.limits[0].prefix_v4: 33 is out of range; allowed: 8 to 32",
        "13: sources.limits[0].prefix_v6: 8 is out of range; allowed: 16 to 128"}},
      {"top",
       R"(sources: { limits = ( { of = "address"; prefix_v4 = 24; connections = 1; } ); };)",
       {R"(13: sources.limits[0].prefix_v4: does not apply here; allowed: only with `of` = "prefix")"}},
      {"top",
       R"(sources: { limits = ( { of = "address"; burst = 9; connections = 1; } ); };)",
       {"13: sources.limits[0].burst: does not apply here; allowed: only with `per_second`"}},
      {"top", R"(sources: { limits = ( { of = "address"; connections = 1; action = "tarpit"; } ); };)", {}},
      {"top",
       R"(sources: { limits = ( { of = "address"; connections = 1; action = "wait"; } ); };)",
       {R"(13: sources.limits[0].action: "wait" is not one of its values; allowed: "421", "reset", "drop", "tarpit")"}},
      {"top",
       R"(sources: { limits = ( { of = "address"; connections = 1; services = ["relya", "relay", "relay"]; } ); };)",
       {R"(13: sources.limits[0].services: there is no service "relya" (did you mean "relay"?); allowed: "relay")",
        R"(13: sources.limits[0].services: "relay" stands twice; allowed: each service once)"}},
      {"top",
       R"(sources: { limits = ( { of = "address"; connections = 1; }, { of = "prefix"; connections = 9; },
  { of = "address"; per_second = 1; services = ["relay"]; } ); };)",
       {R"(14: sources.limits[2].of: the limit on line 13 counts the same sources for service "relay"; allowed: one rule for each kind of source and service)"}},
  };
  expect_faults(cases);
}

TEST(Rules, HoldRoutesToServicesAndPoolsThatAreThere) {
  const Case cases[] = {
      {"top", R"(sources: { routes = (); };)", {}},
      {"top",
       R"(sources: { routes = ( { from = ["203.0.113.0/24", "2001:db8::/32"]; service = "relay"; pool = "mta"; } ); };)",
       {}},
      {"top",
       R"(sources: { routes = ( { service = "relay"; pool = "mta"; } ); };)",
       {"13: sources.routes[0].from: is missing: these clients..."}},
      {"top",
       R"(sources: { routes = ( { from = []; service = "relay"; pool = "mta"; } ); };)",
       {"13: sources.routes[0].from: names nobody; allowed: at least one prefix"}},
      {"top",
       R"(sources: { routes = ( { from = ["203.0.113.0/33"]; service = "relya"; pool = "mtb"; } ); };)",
       {R"(13: sources.routes[0].from: "203.0.113.0/33" has 33 where a length should stand; allowed...)",
        R"(13: sources.routes[0].pool: there is no pool "mtb" (did you mean "mta"?); allowed: "mta")",
        R"(13: sources.routes[0].service: there is no service "relya" (did you mean "relay"?); allowed: "relay")"}},
  };
  expect_faults(cases);
}

/// A route's pool has to fit the service as well as its own does.
TEST(Rules, HoldThePoolOfARouteToTheService) {
  const auto faults = [](const std::string& address) {
    const std::string pool = R"(, { name = "own"; backends = ( { name = "x"; address = ")" + address + R"("; } ); })";
    return faults_of(file_with("pools", pool) +
                     R"(sources: { routes = ( { from = ["203.0.113.0/24"]; service = "relay"; pool = "own"; } ); };)");
  };
  EXPECT_EQ(faults("10.0.1.11"), std::vector<std::string>{});
  EXPECT_EQ(faults("fd00::11"),
            std::vector<std::string>{R"(11: services[0].vip: 192.0.2.25 is IPv4, but backend "x" of pool "own" is )"
                                     R"(fd00::11 (IPv6); allowed with forwarding = "nat": one family)"});
}

}  // namespace
}  // namespace sluice::config

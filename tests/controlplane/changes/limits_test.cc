// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/limits.h"

#include <gtest/gtest.h>

#include "controlplane/model/model.h"

namespace sluice::control {
namespace {

config::Config two_services() {
  config::Config out;
  out.services.resize(2);
  out.services[0].name = "relay";
  out.services[0].vip = *config::IpAddress::parse("192.0.2.25");
  out.services[1].name = "submissions";
  out.services[1].vip = *config::IpAddress::parse("192.0.2.25");
  out.services[1].port = 465;
  return out;
}

uint64_t key(const config::Service& service) {
  return service_key({to_wire(service.vip), Be16::of(service.port)});
}

TEST(LimitsOfConfig, BecomeRulesOfServices) {
  config::Config config = two_services();
  config.sources.limits = {
      {.of = config::LimitOf::kPrefix, .prefix_v4 = 20, .prefix_v6 = 48, .connections = 5, .services = {"submissions"}},
      {.of = config::LimitOf::kAddress, .per_second = 3, .burst = 6, .action = config::LimitAction::kDrop}};
  const DesiredLimits limits = limits_of(config);
  ASSERT_EQ(limits.rules.size(), 2u);
  EXPECT_EQ(limits.rules[0].rule.v4_bits, 20);
  EXPECT_EQ(limits.rules[0].rule.v6_bits, 48);
  EXPECT_EQ(limits.rules[0].rule.connections, 5u);
  EXPECT_EQ(limits.rules[0].rule.action, channel::LimitAction::k421);
  EXPECT_EQ(limits.rules[0].services, std::vector{key(config.services[1])});
  EXPECT_EQ(limits.rules[1].rule.v4_bits, 32);
  EXPECT_EQ(limits.rules[1].rule.v6_bits, 128);
  EXPECT_EQ(limits.rules[1].rule.per_second, 3u);
  EXPECT_EQ(limits.rules[1].rule.burst, 6u);
  EXPECT_EQ(limits.rules[1].rule.action, channel::LimitAction::kDrop);
  EXPECT_EQ(limits.rules[1].services.size(), 2u);
  EXPECT_EQ(limits.clients_first, std::vector{key(config.services[1])});
}

TEST(LimitsOfConfig, AreToldInWords) {
  EXPECT_EQ(in_words({.of = config::LimitOf::kPrefix,
                      .connections = 200,
                      .per_second = 50,
                      .burst = 100,
                      .services = {"relay", "mx"}}),
            "200 connections, 50 a second (100 at once) of each /24 or /64 to relay, mx: 421");
  EXPECT_EQ(in_words({.of = config::LimitOf::kAddress, .connections = 9, .action = config::LimitAction::kReset}),
            "9 connections of each address: reset");
}

}  // namespace
}  // namespace sluice::control

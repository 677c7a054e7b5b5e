// SPDX-License-Identifier: Apache-2.0
//
// A target of the DNS that grows and shrinks: who is at the same endpoint is called as before.
#include "controlplane/discovery/kept_names.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "config/load.h"
#include "controlplane/discovery/dns_records.h"

namespace sluice::control {
namespace {

using nlohmann::json;

struct Service {
  std::string target;
  std::vector<std::string> addresses;
  uint16_t port = 25;
};

/// What the DNS says, as it is read.
DiscoveredBackends told(const std::vector<Service>& services) {
  DnsRecords records;
  std::map<std::string, DnsRecords> addresses;
  for (const Service& service : services) {
    DnsRecord& record = records.emplace_back();
    record.target = service.target;
    record.port = service.port;
    DnsRecords& of_target = addresses[service.target];
    of_target.clear();
    for (const std::string& address : service.addresses)
      of_target.emplace_back().address = *config::IpAddress::parse(address);
  }
  const std::string text = *document_of(records, addresses);
  const auto read = config::read_backends("dns", text);
  DiscoveredBackends out;
  for (size_t i = 0; i < read->size(); i++)
    out.emplace((*read)[i].name, Discovered{(*read)[i], json::parse(text)["backends"][i].dump()});
  return out;
}

using Members = std::map<std::string, std::string>;  // endpoint by name

/// As they are known, as they are written down, and as they are called: the same.
Members members_of(const DiscoveredBackends& backends) {
  Members out;
  for (const auto& [name, each] : backends) {
    EXPECT_EQ(each.backend.name, name);
    EXPECT_EQ(json::parse(each.json)["name"], name);
    out.emplace(name, each.backend.address.to_string() + ":" + std::to_string(each.backend.port.value_or(0)));
  }
  return out;
}

TEST(KeptNames, AreThoseOfBeforeWhileTheirEndpointsAreThere) {
  DiscoveredBackends known = *keep_names({}, told({{"mx", {"10.0.1.1"}}}));
  EXPECT_EQ(members_of(known), (Members{{"mx", "10.0.1.1:25"}}));
  known = *keep_names(known, told({{"mx", {"10.0.1.1", "10.0.1.2"}}}));
  EXPECT_EQ(members_of(known), (Members{{"mx", "10.0.1.1:25"}, {"mx-10-0-1-2", "10.0.1.2:25"}}));
  known = *keep_names(known, told({{"mx", {"10.0.1.1", "10.0.1.2"}, 25}, {"mx", {"10.0.1.1", "10.0.1.2"}, 26}}));
  EXPECT_EQ(members_of(known), (Members{{"mx", "10.0.1.1:25"},
                                        {"mx-10-0-1-2", "10.0.1.2:25"},
                                        {"mx-10-0-1-1-26", "10.0.1.1:26"},
                                        {"mx-10-0-1-2-26", "10.0.1.2:26"}}));
  known = *keep_names(known, told({{"mx", {"10.0.1.2"}}}));
  EXPECT_EQ(members_of(known), (Members{{"mx-10-0-1-2", "10.0.1.2:25"}})) << "though it could be called mx now";
}

TEST(KeptNames, ATargetThatGrowsIsNoLoss) {
  const DiscoveredBackends known = told({{"mx", {"10.0.1.1"}}});
  const Belief belief =
      believe(known, *keep_names(known, told({{"mx", {"10.0.1.1", "10.0.1.2"}}})), {.panic_share = 0.5});
  EXPECT_EQ(belief.joined, std::vector<std::string>{"mx-10-0-1-2"});
  EXPECT_TRUE(belief.left.empty() && belief.missing.empty() && belief.changed.empty());
}

TEST(KeptNames, ATargetThatMovesIsTheSameElsewhere) {
  const DiscoveredBackends known = told({{"mx", {"10.0.1.1"}}});
  EXPECT_EQ(members_of(*keep_names(known, told({{"mx", {"10.0.1.9"}}}))), (Members{{"mx", "10.0.1.9:25"}}));
}

TEST(KeptNames, WhoIsNewIsNotCalledAsAnotherOne) {
  const DiscoveredBackends known = told({{"a", {"10.0.1.1"}}});
  EXPECT_EQ(members_of(*keep_names(known, told({{"a", {"10.0.1.3"}}, {"b", {"10.0.1.1"}}}))),
            (Members{{"a", "10.0.1.1:25"}, {"a-10-0-1-3-25", "10.0.1.3:25"}}))
      << "the addresses were given to others";
  EXPECT_EQ(
      members_of(*keep_names(known, told({{"a", {"10.0.1.3"}}, {"a-10-0-1-3-25", {"10.0.1.4"}}, {"b", {"10.0.1.1"}}}))),
      (Members{{"a", "10.0.1.1:25"}, {"a-10-0-1-3-25", "10.0.1.3:25"}, {"a-10-0-1-3-25-10-0-1-4-25", "10.0.1.4:25"}}));
}

TEST(KeptNames, ALongNameStaysOneThatIsAllowed) {
  const std::string longest(63, 'x');
  const DiscoveredBackends known = told({{longest, {"10.0.1.1"}}});
  const auto kept = keep_names(known, told({{longest, {"10.0.1.3"}}, {"b", {"10.0.1.1"}}}));
  EXPECT_EQ(kept->size(), 2U);
  for (const auto& [name, each] : *kept) EXPECT_LE(name.size(), longest.size());
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// What bodies ask for: the node, blocked prefixes, discovered backends, the fleet's etcd, traces and captures.
#include <gtest/gtest.h>

#include "controlplane/api/block_request.h"
#include "controlplane/api/discovered_request.h"
#include "controlplane/api/fleet_request.h"
#include "controlplane/api/inspection_request.h"
#include "controlplane/api/node_request.h"

namespace sluice::control {
namespace {

using std::chrono::seconds;

/// A body that is refused, and words of the reason.
struct Refused {
  const char* body;
  const char* words;
};

template <typename Read>
void expect_refused(std::initializer_list<Refused> cases, Read read) {
  for (const Refused& each : cases) {
    SCOPED_TRACE(each.body);
    const auto out = read(each.body);
    ASSERT_FALSE(out.has_value());
    EXPECT_NE(out.error().find(each.words), std::string::npos) << out.error();
  }
}

TEST(NodeRequest, DrainsWithADeadlineOrWithout) {
  EXPECT_TRUE(node_request_from(R"({"action": "drain"})")->drains);
  EXPECT_FALSE(node_request_from(R"({"action": "undrain", "deadline_s": null})")->drains);
  EXPECT_EQ(node_request_from(R"({"action": "drain", "deadline_s": 0})")->deadline, seconds(0));
  EXPECT_EQ(node_request_from(R"({"action": "drain", "deadline_s": 2592000})")->deadline, seconds(30 * 86400));
  expect_refused({{"", "no JSON object"},
                  {R"({"action": 1})", "\"drain\", \"undrain\""},
                  {R"({"action": "undrain", "deadline_s": 1})", "with \"drain\" alone"},
                  {R"({"action": "drain", "deadline_s": "1"})", "a whole number from 0 to 2592000"}},
                 node_request_from);
}

TEST(BlockRequest, IsForAllNodesOrNot) {
  EXPECT_FALSE(block_request_from(R"({"action": "block", "prefix": "192.0.2.0/24"})")->fleet);
  EXPECT_FALSE(block_request_from(R"({"action": "block", "prefix": "192.0.2.0/24", "fleet": false})")->fleet);
  EXPECT_TRUE(block_request_from(R"({"action": "unblock", "prefix": "192.0.2.0/24", "fleet": true})")->fleet);
  expect_refused(
      {{R"({"action": "block", "prefix": "192.0.2.0/24", "fleet": null})", "\"fleet\": allowed: true, false"},
       {R"({"action": "block", "prefix": "192.0.2.0/24", "fleet": 1})", "\"fleet\": allowed: true, false"}},
      block_request_from);
}

TEST(DiscoveredRequest, AddsRemovesAndAccepts) {
  using Action = DiscoveredRequest::Action;
  const auto added = discovered_request_from(R"({"action": "add", "pool": "mta", "backend": {"name": "mta7"}})");
  ASSERT_TRUE(added.has_value());
  EXPECT_EQ(added->action, Action::kAdd);
  EXPECT_EQ(added->pool, "mta");
  EXPECT_EQ(added->backend, R"({"name":"mta7"})");
  const auto removed = discovered_request_from(R"({"action": "remove", "pool": "mta", "name": "mta7"})");
  ASSERT_TRUE(removed.has_value());
  EXPECT_EQ(removed->action, Action::kRemove);
  EXPECT_EQ(removed->name, "mta7");
  EXPECT_EQ(discovered_request_from(R"({"action": "accept", "pool": "mta"})")->action, Action::kAccept);
  expect_refused({{"[]", "no JSON object"},
                  {R"({"action": "add"})", "\"pool\": allowed:"},
                  {R"({"action": "take", "pool": "mta"})", "\"add\", \"remove\", \"accept\""},
                  {R"({"action": "add", "pool": "mta"})", "\"backend\": allowed:"},
                  {R"({"action": "add", "pool": "mta", "backend": ["mta7"]})", "\"backend\": allowed:"},
                  {R"({"action": "remove", "pool": "mta", "name": 7})", "\"name\": allowed: a text"},
                  {R"({"action": "accept", "pool": "mta", "all": true})", "unknown member \"all\""}},
                 discovered_request_from);
}

/// What is dumped is not nested deeper than a stack can bear: 4 MiB of brackets are a body.
TEST(DiscoveredRequest, IsRefusedIfItIsNestedDeeply) {
  const auto nested = [](size_t levels) {
    return R"({"action": "add", "pool": "mta", "backend": {"name": )" + std::string(levels, '[') +
           std::string(levels, ']') + "}}";
  };
  EXPECT_TRUE(discovered_request_from(nested(30)).has_value());
  for (const size_t levels : {size_t{31}, size_t{2'000'000}}) {
    const auto refused = discovered_request_from(nested(levels));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), "the body has brackets within brackets; allowed: 32 levels");
  }
}

TEST(FleetRequest, AcceptsAndNothingElse) {
  EXPECT_TRUE(fleet_request_from(R"({"action": "accept"})").has_value());
  expect_refused({{"", "allowed: {\"action\": \"accept\"}"},
                  {R"({"action": "refuse"})", "allowed:"},
                  {R"({"action": "accept", "node": "edge1"})", "allowed:"}},
                 fleet_request_from);
}

TEST(InspectionRequest, IsOfAClientForATimeAndANumberOfPackets) {
  const auto usual = inspection_request_from(R"({"client": "192.0.2.7:40000"})", false);
  ASSERT_TRUE(usual.has_value()) << usual.error();
  EXPECT_EQ(usual->client.port, 40000);
  EXPECT_EQ(usual->time, seconds(30));
  EXPECT_EQ(usual->packets, 1000u);
  const auto bounded = inspection_request_from(
      R"({"service": "relay", "seconds": 3600, "packets": 10000000, "bytes": 4096, "snaplen": 96})", true);
  ASSERT_TRUE(bounded.has_value()) << bounded.error();
  EXPECT_EQ(bounded->service, "relay");
  EXPECT_EQ(bounded->time, seconds(3600));
  EXPECT_EQ(bounded->packets, 10'000'000u);
  EXPECT_EQ(bounded->file_bytes, 4096u);
  EXPECT_EQ(bounded->snap_bytes, 96u);
}

TEST(InspectionRequest, SaysWhatIsAllowed) {
  expect_refused({{"", "client: missing"},
                  {R"({"client": "192.0.2.300"})", "192.0.2.300"},
                  {R"({"client": "192.0.2.7", "seconds": 0})", "\"seconds\": allowed: a whole number from 1 to 3600"},
                  {R"({"client": "192.0.2.7", "packets": 1e3})", "\"packets\": allowed:"},
                  {R"({"client": "192.0.2.7", "snaplen": 96})", "unknown member \"snaplen\""}},
                 [](const char* body) { return inspection_request_from(body, false); });
  expect_refused({{"", "say whose packets"},
                  {R"({"service": 25})", "\"service\": allowed: a text"},
                  {R"({"service": "relay", "bytes": 4095})", "\"bytes\": allowed:"},
                  {R"({"service": "relay", "snaplen": 65536})", "\"snaplen\": allowed:"}},
                 [](const char* body) { return inspection_request_from(body, true); });
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// etcd's JSON: as etcd 3.4.23 gave it to a recorder, cut at every byte, and as it does not give it.
#include "controlplane/fleet/etcd_messages.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice::control::etcd {
namespace {

using nlohmann::json;

constexpr std::string_view kListing =
    R"({"header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437","revision":"5","raft_term":"2"},)"
    R"("kvs":[{"key":"L2I=","create_revision":"4","mod_revision":"5","version":"2","value":"e30=","lease":"7587869340"},)"
    R"({"key":"L2E=","create_revision":"3","mod_revision":"3","version":"1"}],"count":"2"})";

TEST(Base64, IsThatOfRfc4648) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  EXPECT_EQ(from_base64(to_base64("\xff\xfe\x80")), "\xff\xfe\x80");
  for (const char* wrong : {"Z", "Zg", "Zg=", "====", "Z===", "Zg==Zg==", "Zm9 ", "Zm9-"})
    EXPECT_FALSE(from_base64(wrong)) << wrong;
}

TEST(EtcdRequests, AreAsTheGatewayTakesThem) {
  const Request range = range_of("/a/");
  EXPECT_EQ(range.path, "/v3/kv/range");
  EXPECT_EQ(json::parse(range.body), (json{{"key", "L2Ev"}, {"range_end", "L2Ew"}}));
  EXPECT_EQ(json::parse(put("/a", "x", -5).body), (json{{"key", "L2E="}, {"value", "eA=="}, {"lease", "-5"}}));
  EXPECT_EQ(json::parse(grant(10).body), (json{{"TTL", "10"}}));
  EXPECT_EQ(json::parse(keep_alive(7).body), (json{{"ID", "7"}}));
  EXPECT_EQ(json::parse(watch("/a/", 6).body)["create_request"]["start_revision"], "6");
}

TEST(EtcdRequests, SwapOnlyWhatIsAsItWas) {
  const Request request = compare_and_swap({{"/s/a", 7, "new"}, {"/s/b", 0, "first"}, {"/s/c", 9, std::nullopt}});
  EXPECT_NE(compare_and_swap({{"/s/a", 7, "new", 77}}).body.find(R"("lease":"77")"), std::string::npos);
  EXPECT_EQ(request.body.find("lease"), std::string::npos);
  EXPECT_EQ(request.path, "/v3/kv/txn");
  const auto body = nlohmann::json::parse(request.body);
  ASSERT_EQ(body["compare"].size(), 3u);
  EXPECT_EQ(body["compare"][0], (nlohmann::json{{"key", to_base64("/s/a")}, {"target", "MOD"}, {"mod_revision", "7"}}));
  EXPECT_EQ(body["compare"][1]["mod_revision"], "0") << "there was none";
  EXPECT_EQ(body["success"][0]["request_put"],
            (nlohmann::json{{"key", to_base64("/s/a")}, {"value", to_base64("new")}}));
  EXPECT_EQ(body["success"][2]["request_delete_range"], (nlohmann::json{{"key", to_base64("/s/c")}}));
  EXPECT_TRUE(*swapped_from(R"({"header": {"cluster_id": "5", "revision": "8"}, "succeeded": true})"));
  EXPECT_FALSE(*swapped_from(R"({"header": {"cluster_id": "5", "revision": "8"}})"));
  for (const char* other : {"", "[]", "{}", R"({"succeeded": true})"}) EXPECT_FALSE(swapped_from(other)) << other;
}

TEST(EtcdAnswers, AreRead) {
  const auto listing = listing_from(kListing);
  ASSERT_TRUE(listing) << listing.error();
  EXPECT_EQ(listing->at, (Position{14841639068965178418U, 5}));
  const std::vector<Record> wanted{{"/a", "", 0, 3}, {"/b", "{}", 7587869340, 5}};
  EXPECT_EQ(listing->records, wanted) << "by key";
  EXPECT_TRUE(listing_from(R"({"header":{"cluster_id":"1","revision":"1"}})")->records.empty());
  EXPECT_EQ(granted_from(R"({"header":{},"ID":"77","TTL":"10"})"), 77);
  EXPECT_EQ(kept_from(R"({"result":{"header":{},"ID":"77","TTL":"10"}})"), true);
  EXPECT_EQ(kept_from(R"({"result":{"header":{},"ID":"77"}})"), false) << "the lease is gone";
}

TEST(EtcdAnswers, OfAnotherShapeAreRefused) {
  for (const char* wrong :
       {"", "[]", "{}", R"({"header":{"revision":"5"}})", R"({"header":{"cluster_id":"1","revision":"-1"}})",
        R"({"header":[]})", R"({"header":{"cluster_id":"x","revision":"1"}})",
        R"({"header":{"cluster_id":"-1","revision":"1"}})", R"({"header":{"cluster_id":1.5,"revision":"1"}})",
        R"({"header":{"cluster_id":"1","revision":"1"},"kvs":{}})",
        R"({"header":{"cluster_id":"1","revision":"1"},"kvs":[1]})",
        R"({"header":{"cluster_id":"1","revision":"1"},"kvs":[{"key":"?"}]})"}) {
    const auto listing = listing_from(wrong);
    ASSERT_FALSE(listing) << wrong;
    EXPECT_TRUE(listing.error().starts_with("an answer that etcd does not give: ")) << listing.error();
  }
  EXPECT_FALSE(granted_from("{}"));
  EXPECT_FALSE(kept_from(R"({"error":{"grpc_code":14,"message":"no leader"}})"));
}

TEST(EtcdAnswers, OfFaultsSayWhetherOthersMayAnswer) {
  const auto says = [](unsigned status, std::string_view text) {
    const Refusal refusal = refusal_from(status, text);
    return refusal.words + (refusal.is_passing ? " (passing)" : "");
  };
  EXPECT_EQ(says(503, R"({"error":"etcdserver: request timed out","code":14})"),
            "etcdserver: request timed out (passing)");
  EXPECT_EQ(says(404, R"({"error":"etcdserver: requested lease not found","message":"gone","code":5})"), "gone");
  EXPECT_EQ(says(502, "<html>"), "status 502 (passing)");
  EXPECT_EQ(says(400, ""), "status 400");
  EXPECT_EQ(says(400, R"({"error":"\u001b[2J","code":3})"), " [2J");
  EXPECT_EQ(says(400, R"({"error":"","code":3})"), "status 400");
}

constexpr std::string_view kWatch =
    R"({"result":{"header":{"cluster_id":"1","revision":"5"},"created":true}})"
    "\n"
    R"({"result":{"header":{"cluster_id":"1","revision":"6"},"events":[{"kv":{"key":"YQ=="}},{"type":"DELETE"}]}})"
    "\n"
    R"({"result":{"header":{"cluster_id":"1","revision":"9"},"canceled":true,"compact_revision":"8"}})"
    "\n";

TEST(WatchReader, CutsMessagesWhereverTheBytesWereCut) {
  for (size_t cut = 0; cut <= kWatch.size(); cut++) {
    SCOPED_TRACE(cut);
    WatchReader reader;
    std::vector<WatchMessage> all;
    for (const auto part : {kWatch.substr(0, cut), kWatch.substr(cut)}) {
      const auto messages = reader.take(part);
      ASSERT_TRUE(messages) << messages.error();
      all.insert(all.end(), messages->begin(), messages->end());
    }
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].events, 0U);
    EXPECT_EQ(all[1].events, 2U);
    EXPECT_EQ(all[1].at, (Position{1, 6}));
    EXPECT_TRUE(all[1].end.empty());
    EXPECT_EQ(all[2].end, "the watch was cancelled");
  }
}

TEST(WatchReader, ReadsAFaultHoweverDeeplyItIsNested) {
  constexpr size_t kLevels = 1'000'000;
  WatchReader reader;
  const auto messages = reader.take(R"({"error": {"message": "gone", "details": )" + std::string(kLevels, '[') +
                                    std::string(kLevels, ']') + "}}\n");
  ASSERT_FALSE(messages);
  EXPECT_EQ(messages.error(), "a watch: gone");
}

TEST(WatchReader, RefusesWhatIsNoWatch) {
  EXPECT_FALSE(WatchReader().take("<html>\n"));
  const auto fault = WatchReader().take(R"({"error":{"grpc_code":14,"message":"etcdserver: no leader"}})"
                                        "\n");
  ASSERT_FALSE(fault);
  EXPECT_EQ(fault.error(), "a watch: etcdserver: no leader");
  EXPECT_FALSE(WatchReader().take(std::string(WatchReader::kMostBytes + 1, ' ')));
}

}  // namespace
}  // namespace sluice::control::etcd

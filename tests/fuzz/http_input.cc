// SPDX-License-Identifier: Apache-2.0
#define BOOST_DISABLE_ASSERTS  // as the parser is built for control (healthcheck/boost_beast.cc)
#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "config/load.h"
#include "controlplane/api/block_request.h"
#include "controlplane/api/by_hand_request.h"
#include "controlplane/api/discovered_request.h"
#include "controlplane/api/fleet_request.h"
#include "controlplane/api/inspection_request.h"
#include "controlplane/api/node_request.h"
#include "controlplane/http/query.h"
#include "controlplane/http/request.h"
#include "tests/fuzz/inputs.h"
#include "tests/support/ip.h"

namespace sluice::testing {

namespace {

using namespace control;
using nlohmann::json;
namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::string_view kSecret = "of who may change things";
constexpr std::string_view kReaders = "of who may read only";

const AccessRules& rules() {
  static const AccessRules kRules({"lab.example"}, {Token(kSecret), Token(kReaders)});
  return kRules;
}

/// Two pools with a backend of the same name, and one that another one has not.
const config::Config& configuration() {
  static const config::Config kConfig = [] {
    config::Config out;
    for (const char* pool : {"mta", "mx"}) {
      config::Pool& made = out.pools.emplace_back();
      made.name = pool;
      for (const char* backend : {"mta1", pool}) {
        config::Backend& each = made.backends.emplace_back();
        each.name = backend;
        each.address = ip("10.0.1.1");
      }
    }
    return out;
  }();
  return kConfig;
}

std::optional<HttpRequest> parsed(FuzzInput bytes, size_t cut) {
  http::request_parser<http::string_body> parser;
  parser.header_limit(16 * 1024);
  parser.body_limit(64 * 1024);
  parser.eager(true);
  boost::system::error_code fault;
  size_t used = parser.put(asio::buffer(bytes.data(), cut), fault);
  if (fault == http::error::need_more) fault = {};
  if (!fault && !parser.is_done()) parser.put(asio::buffer(bytes.data() + used, bytes.size() - used), fault);
  if (fault || !parser.is_done()) return std::nullopt;
  return parser.release();
}

ApiResponse change_by_hand(const ApiRequest& request) {
  EXPECT_TRUE(request.may_write);
  const ByHandEntries entries{{"mta/gone", {}}};
  const auto wanted = by_hand_request_from(configuration(), entries, {}, request.body);
  if (!wanted) {
    EXPECT_FALSE(wanted.error().text.empty());
    return ApiResponse::error(wanted.error().status, wanted.error().text);
  }
  const Overrides::Change& change = wanted->change;
  EXPECT_TRUE(!change.names.empty() || wanted->fleet) << "it is about something";
  for (const std::string& name : change.names) EXPECT_NE(name.find('/'), std::string::npos) << name;
  EXPECT_TRUE(!change.deadline || change.action == Overrides::Action::kDrain);
  EXPECT_TRUE(!change.deadline || *change.deadline >= std::chrono::seconds(0));
  EXPECT_TRUE(!change.weight || (change.action == Overrides::Action::kWeight && *change.weight <= 65535));
  EXPECT_TRUE(!change.days || (change.action == Overrides::Action::kRollBack && *change.days > 0));
  return ApiResponse::json({{"backends", change.names}});
}

ApiResponse change_blocks(const ApiRequest& request) {
  EXPECT_TRUE(request.may_write);
  const auto wanted = block_request_from(request.body);
  if (!wanted) {
    EXPECT_FALSE(wanted.error().empty());
    return ApiResponse::error(http::status::bad_request, wanted.error());
  }
  EXPECT_EQ(config::IpPrefix::of(wanted->prefix.address, wanted->prefix.bits), wanted->prefix);
  const auto again = config::IpPrefix::parse(wanted->prefix.to_string());
  EXPECT_TRUE(again && *again == wanted->prefix) << wanted->prefix.to_string();
  if (wanted->duration) {
    EXPECT_TRUE(wanted->blocks);
    EXPECT_GE(*wanted->duration, std::chrono::seconds(1));
    EXPECT_LE(*wanted->duration, std::chrono::seconds(BlockRequest::kLongestS));
  }
  return ApiResponse::json({{"prefix", wanted->prefix.to_string()}});
}

ApiResponse refuse(const std::string& why) {
  EXPECT_FALSE(why.empty());
  return ApiResponse::error(http::status::bad_request, why);
}

ApiResponse change_node(const ApiRequest& request) {
  EXPECT_TRUE(request.may_write);
  const auto wanted = node_request_from(request.body);
  if (!wanted) return refuse(wanted.error());
  if (wanted->deadline) {
    EXPECT_TRUE(wanted->drains);
    EXPECT_GE(*wanted->deadline, std::chrono::seconds(0));
    EXPECT_LE(*wanted->deadline, std::chrono::seconds(NodeRequest::kLongestDeadlineS));
  }
  return ApiResponse::json({{"drains", wanted->drains}});
}

/// Whom to add is read as a document of discovered ones, with nobody else in it.
ApiResponse change_discovered(const ApiRequest& request) {
  EXPECT_TRUE(request.may_write);
  const auto wanted = discovered_request_from(request.body);
  if (!wanted) return refuse(wanted.error());
  EXPECT_FALSE(wanted->pool.empty());
  if (wanted->action == DiscoveredRequest::Action::kAdd) {
    EXPECT_TRUE(json::parse(wanted->backend, nullptr, false).is_object()) << wanted->backend;
    const auto read = config::read_backends("backend", R"({"backends": [)" + wanted->backend + "]}");
    if (!read) return refuse(read.error().front());
    EXPECT_EQ(read->size(), 1u);
  }
  return ApiResponse::json({{"pool", wanted->pool}, {"name", wanted->name}});
}

ApiResponse change_fleet(const ApiRequest& request) {
  EXPECT_TRUE(request.may_write);
  const auto wanted = fleet_request_from(request.body);
  if (!wanted) return refuse(wanted.error());
  EXPECT_EQ(json::parse(request.body), (json{{"action", "accept"}}));
  return ApiResponse::json(json::object());
}

ApiResponse inspect(const ApiRequest& request, bool is_capture) {
  EXPECT_TRUE(request.may_write);
  const auto wanted = inspection_request_from(request.body, is_capture);
  if (!wanted) return refuse(wanted.error());
  EXPECT_LE(wanted->client.prefix_bits, 128u);
  EXPECT_TRUE(is_capture || !request.body.empty()) << "a trace is of somebody";
  EXPECT_GE(wanted->time, std::chrono::seconds(1));
  EXPECT_LE(wanted->time, std::chrono::seconds(InspectionRequest::kMostSeconds));
  EXPECT_TRUE(wanted->packets >= 1 && wanted->packets <= InspectionRequest::kMostPackets);
  EXPECT_TRUE(wanted->file_bytes >= InspectionRequest::kLeastFileBytes &&
              wanted->file_bytes <= InspectionRequest::kMostFileBytes);
  EXPECT_LE(wanted->snap_bytes, InspectionRequest::kMostSnapBytes);
  return ApiResponse::json({{"service", wanted->service}, {"backend", wanted->backend}});
}

/// What the views take: numbers and prefixes.
ApiResponse view(const ApiRequest& request) {
  EXPECT_TRUE(request.may_read);
  const auto query = Query::parse(request.query, {"limit", "of"});
  if (!query) return ApiResponse::error(http::status::bad_request, query.error());
  const auto limit = query->number("limit", 20, {1, 1000});
  if (!limit) return ApiResponse::error(http::status::bad_request, limit.error());
  EXPECT_TRUE(*limit >= 1 && *limit <= 1000);
  const auto of = config::IpPrefix::parse(query->text("of").value_or("192.0.2.7"));
  if (!of) return ApiResponse::error(http::status::bad_request, of.error());
  return ApiResponse::json({{"limit", *limit}, {"of", of->to_string()}, {"path", request.parameters}});
}

const Router& router() {
  static const Router kRouter = [] {
    Router out;
    out.add_open("/healthz", [](const ApiRequest&) { return ApiResponse::json({{"healthy", true}}); });
    out.add(http::verb::get, "/api/v1/{}", view);
    out.add(http::verb::get, "/api/v1/backends/{}/{}", view);
    out.add_confidential("/api/v1/traces/{}", [](const ApiRequest& request, const Reply& reply) {
      EXPECT_TRUE(request.may_write);
      reply(view(request));
    });
    out.add(http::verb::post, "/api/v1/by-hand", change_by_hand);
    out.add(http::verb::post, "/api/v1/blocked", change_blocks);
    out.add(http::verb::post, "/api/v1/node", change_node);
    out.add(http::verb::post, "/api/v1/discovered", change_discovered);
    out.add(http::verb::post, "/api/v1/fleet", change_fleet);
    out.add(http::verb::post, "/api/v1/traces", [](const ApiRequest& request) { return inspect(request, false); });
    out.add(http::verb::post, "/api/v1/captures", [](const ApiRequest& request) { return inspect(request, true); });
    return out;
  }();
  return kRouter;
}

void expect_answer(const ApiResponse& answer) {
  EXPECT_NE(answer.status, http::status::internal_server_error) << answer.body;
  if (answer.body.empty()) return;
  const json body = json::parse(answer.body, nullptr, false);
  ASSERT_TRUE(body.is_object()) << answer.body;
  if (static_cast<unsigned>(answer.status) < 400) return;
  ASSERT_TRUE(body.contains("error") && body["error"].is_string()) << answer.body;
  EXPECT_FALSE(body["error"].get<std::string>().empty());
}

}  // namespace

void play_http(FuzzInput bytes) {
  if (bytes.empty()) return;
  const Peer peer{.is_local = (bytes.front() & 1) != 0, .is_here = (bytes.front() & 2) != 0};
  const FuzzInput said = bytes.subspan(1);
  const auto request = parsed(said, said.size());
  const auto in_two = parsed(said, said.size() / 2);
  ASSERT_EQ(request.has_value(), in_two.has_value()) << "it depends on how it was cut";
  if (!request) return;
  const auto granted = judge(rules(), peer, *request);
  if (!granted) return expect_answer(granted.error());
  ApiRequest asked = to_api(*request);
  EXPECT_EQ(asked.body, in_two->body());
  const std::string shown((*request)[http::field::authorization]);
  const bool knows_secret = shown.find(kSecret) != std::string::npos;
  const bool may_be_read = peer.is_here || knows_secret || shown.find(kReaders) != std::string::npos;
  EXPECT_TRUE(peer.is_local || knows_secret || !granted->may_write);
  EXPECT_TRUE(peer.is_local || may_be_read || !granted->may_read);
  asked.may_read = granted->may_read;
  asked.may_write = granted->may_write;
  int answers = 0;
  router().answer(asked, Reply([&](const ApiResponse& answer) {
                    answers++;
                    expect_answer(answer);
                  }));
  EXPECT_EQ(answers, 1);
}

}  // namespace sluice::testing

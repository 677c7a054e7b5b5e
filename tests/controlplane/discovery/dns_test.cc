// SPDX-License-Identifier: Apache-2.0
//
// Members by the DNS: what records say, and questions to a server that answers, lies, or is silent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "config/load.h"
#include "controlplane/discovery/dns_watch.h"
#include "tests/controlplane/discovery/dns_server.h"

namespace sluice::control {
namespace {

using config::DnsType;
using nlohmann::json;
using namespace std::chrono_literals;
namespace asio = boost::asio;

DnsRecord at(const std::string& address) {
  DnsRecord out;
  out.address = *config::IpAddress::parse(address);
  return out;
}

DnsRecord service(uint16_t priority, uint16_t weight, uint16_t port, const std::string& target) {
  DnsRecord out;
  out.priority = priority;
  out.weight = weight;
  out.port = port;
  out.target = target;
  return out;
}

TEST(DnsRecords, AreReadWithTheirTimes) {
  DnsMessage message(1, "mta.example", ns_t_a);
  message.add_alias("mta.example", 5, "pool.example");
  message.add_a("pool.example", 300, {10, 0, 1, 10});
  message.add_a("pool.example", 60, {10, 0, 1, 11});
  const auto records = records_from(message.bytes(), DnsType::kA);
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 2U);
  EXPECT_EQ((*records)[0].ttl, 300s);
  EXPECT_EQ((*records)[0].address.to_string(), "10.0.1.10");
  EXPECT_EQ((*records)[1].ttl, 60s);
  EXPECT_TRUE(records_from(message.bytes(), DnsType::kAaaa)->empty());

  DnsMessage services(1, "_smtp._tcp.example", ns_t_srv);
  services.add_srv("_smtp._tcp.example", 30, 10, 20, 2525, "MTA1.Example");
  services.add_srv("_smtp._tcp.example", 30, 0, 0, 25, "");
  const auto found = records_from(services.bytes(), DnsType::kSrv);
  ASSERT_TRUE(found);
  DnsRecord wanted = service(10, 20, 2525, "mta1.example");
  wanted.ttl = 30s;
  EXPECT_EQ(found->at(0), wanted);
  EXPECT_EQ(found->at(1).target, "");
}

TEST(DnsRecords, CutOrBentAreRefusedOrFewer) {
  DnsMessage message(1, "_smtp._tcp.example", ns_t_srv);
  message.add_srv("_smtp._tcp.example", 30, 10, 20, 2525, "mta1.example");
  message.add_aaaa("mta1.example", 30, {0x20, 1});
  const std::vector<uint8_t>& whole = message.bytes();
  for (size_t cut = 0; cut < whole.size(); cut++)
    EXPECT_FALSE(records_from(std::span(whole).first(cut), DnsType::kSrv)) << cut;
  for (size_t i = 0; i < whole.size(); i++) {
    for (const int value : {0, 1, 0x3f, 0x7f, 0xc0, 0xff}) {
      std::vector<uint8_t> bent = whole;
      bent[i] = static_cast<uint8_t>(value);
      for (const DnsType type : {DnsType::kA, DnsType::kAaaa, DnsType::kSrv}) {
        const auto records = records_from(bent, type);
        EXPECT_LE(records.value_or(DnsRecords()).size(), 2U);
      }
    }
  }
}

TEST(DnsDocument, NamesMembersByTheirAddresses) {
  const auto read = config::read_backends("dns", document_of({at("10.0.1.17"), at("2001:db8::17"), at("::5:6:7:1")}));
  ASSERT_TRUE(read) << read.error().front();
  EXPECT_EQ((*read)[0].name, "10-0-1-17");
  EXPECT_EQ((*read)[1].name, "2001-db8--17");
  EXPECT_EQ((*read)[1].address.to_string(), "2001:db8::17");
  EXPECT_EQ((*read)[2].name, "0--5-6-7-1") << "a name begins with a letter or digit";
}

TEST(DnsDocument, MakesTiersOfPrioritiesAndKeepsWeights) {
  const std::map<std::string, DnsRecords> addresses{
      {"a.example", {at("10.0.1.1")}}, {"b.example", {at("10.0.1.2")}}, {"c.example", {at("10.0.1.3")}}};
  const auto text = document_of(
      {service(20, 5, 25, "b.example"), service(10, 300, 25, "a.example"), service(10, 0, 25, "c.example")}, addresses);
  ASSERT_TRUE(text);
  const auto read = config::read_backends("dns", *text);
  ASSERT_TRUE(read) << read.error().front();
  std::map<std::string, config::Backend> by_name;
  for (const config::Backend& backend : *read) by_name.emplace(backend.name, backend);
  EXPECT_EQ(by_name["a.example"].tier, 0U);
  EXPECT_EQ(by_name["a.example"].weight, 300U);
  EXPECT_EQ(by_name["c.example"].weight, 1U) << "little beside others, and not nothing (RFC 2782)";
  EXPECT_EQ(by_name["b.example"].tier, 1U);
  EXPECT_EQ(by_name["b.example"].port, 25);
  const auto alike = config::read_backends("dns", *document_of({service(1, 0, 25, "a.example")}, addresses));
  EXPECT_EQ(alike->front().weight, config::Backend{}.weight) << "all 0: all alike";
}

TEST(DnsDocument, TellsMembersOfOneTargetApart) {
  const std::map<std::string, DnsRecords> addresses{{"a.example", {at("10.0.1.1"), at("10.0.1.2")}}};
  const auto read = config::read_backends(
      "dns", *document_of({service(1, 1, 25, "a.example"), service(1, 1, 26, "a.example")}, addresses));
  ASSERT_TRUE(read) << read.error().front();
  std::vector<std::string> names;
  for (const config::Backend& backend : *read) names.push_back(backend.name);
  EXPECT_THAT(names, testing::UnorderedElementsAre("a.example-10-0-1-1-25", "a.example-10-0-1-2-25",
                                                   "a.example-10-0-1-1-26", "a.example-10-0-1-2-26"));
  EXPECT_EQ(document_of({service(1, 1, 25, "b.example")}, addresses).error(), "b.example has no address");
  EXPECT_EQ(*document_of({service(0, 0, 0, "")}, addresses), R"({"backends":[]})");
  const std::string long_name(80, 'x');
  const auto shortened =
      config::read_backends("dns", *document_of({service(1, 1, 25, long_name)}, {{long_name, {at("10.0.1.1")}}}));
  EXPECT_TRUE(shortened);
  EXPECT_FALSE(
      config::read_backends("dns", *document_of({service(1, 1, 25, "a\\032b")}, {{"a\\032b", {at("10.0.1.1")}}})));
  EXPECT_FALSE(config::read_backends("dns", *document_of({service(1, 1, 0, "a")}, {{"a", {at("10.0.1.1")}}})))
      << "no port";
  EXPECT_FALSE(config::read_backends("dns", document_of({at("224.0.0.1")})));
}

/// What a watch heard, one after the other.
struct Heard {
  std::vector<std::expected<std::string, std::string>> documents;
  DnsWatch::Told told() {
    return [this](const auto& document) { documents.push_back(document); };
  }
};

void run_until(asio::io_context& io, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (!done() && std::chrono::steady_clock::now() < end) io.run_one_for(100ms);
  ASSERT_TRUE(done());
}

TEST(DnsWatch, AsksAgainWhenTheTimeIsOver) {
  asio::io_context io;
  uint8_t last = 10;
  DnsServer server(io, [&](uint16_t id, const std::string& name, int type) {
    DnsMessage out(id, name, type);
    if (type == ns_t_a) out.add_a(name, 1, {10, 0, 1, last++});
    return std::optional(out);
  });
  Heard heard;
  const DnsWatch watch(io, {.dns = "mta.example", .servers = {server.address()}}, heard.told());
  run_until(io, [&] { return heard.documents.size() == 2; });
  EXPECT_EQ(*heard.documents[0], R"({"backends":[{"address":"10.0.1.10","name":"10-0-1-10"}]})");
  EXPECT_EQ(*heard.documents[1], R"({"backends":[{"address":"10.0.1.11","name":"10-0-1-11"}]})");
}

TEST(DnsWatch, FollowsServicesToTheirAddresses) {
  asio::io_context io;
  DnsServer server(io, [&](uint16_t id, const std::string& name, int type) {
    DnsMessage out(id, name, type);
    if (type == ns_t_srv) {
      out.add_srv(name, 60, 1, 10, 2525, "a.example");
      out.add_srv(name, 60, 2, 10, 25, "b.example");
    } else if (type == ns_t_aaaa) {
      out.add_aaaa(name, 60,
                   {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, name[0] == 'a' ? uint8_t{1} : uint8_t{2}});
    }
    return std::optional(out);
  });
  Heard heard;
  const DnsWatch watch(io,
                       {.dns = "_smtp._tcp.example",
                        .type = DnsType::kSrv,
                        .family = config::Family::kIpv6,
                        .servers = {server.address()}},
                       heard.told());
  run_until(io, [&] { return !heard.documents.empty(); });
  ASSERT_TRUE(heard.documents[0]) << heard.documents[0].error();
  const json backends = json::parse(*heard.documents[0])["backends"];
  ASSERT_EQ(backends.size(), 2U);
  EXPECT_EQ(backends[0]["address"], "2001:db8::1");
  EXPECT_EQ(backends[0]["port"], 2525);
  EXPECT_EQ(backends[1]["tier"], 1);
}

TEST(DnsWatch, TellsWhyThereIsNoAnswer) {
  asio::io_context io;
  DnsServer server(io, [&](uint16_t id, const std::string& name, int type) {
    if (name == "gone.example") return std::optional(DnsMessage(id, name, type, ns_r_nxdomain));
    if (name == "empty.example") return std::optional(DnsMessage(id, name, type));
    DnsMessage out(id, name, type);
    if (type == ns_t_srv) out.add_srv(name, 60, 1, 1, 25, "gone.example");
    if (type == ns_t_a) out.add_alias(name, 60, "elsewhere.example");
    return std::optional(out);
  });
  for (const auto& [name, type, fault] : std::vector<std::tuple<std::string, DnsType, std::string>>{
           {"gone.example", DnsType::kA, "A gone.example: there is no such name"},
           {"empty.example", DnsType::kAaaa, "AAAA empty.example: the name has no such records"},
           {"alias.example", DnsType::kA, "A alias.example: the name has no such records"},
           {"srv.example", DnsType::kSrv, "A gone.example: there is no such name"}}) {
    Heard heard;
    const DnsWatch watch(io, {.dns = name, .type = type, .servers = {server.address()}}, heard.told());
    run_until(io, [&] { return !heard.documents.empty(); });
    ASSERT_FALSE(heard.documents[0]);
    EXPECT_EQ(heard.documents[0].error(), fault);
  }
}

TEST(DnsWatch, MayEndAtAnyMoment) {
  asio::io_context io;
  DnsServer server(io, [&](uint16_t id, const std::string& name, int type) {
    DnsMessage out(id, name, type);
    out.add_a(name, 0, {10, 0, 1, 1});
    return std::optional(out);
  });
  Heard heard;
  for (int turns = 0; turns < 20; turns++) {
    auto watch = std::make_unique<DnsWatch>(io, config::Discover{.dns = "mta.example", .servers = {server.address()}},
                                            heard.told());
    for (int i = 0; i < turns; i++) io.poll_one();
  }
  const size_t told = heard.documents.size();
  io.run_for(50ms);
  EXPECT_EQ(heard.documents.size(), told) << "who has ended tells nothing";
  EXPECT_GT(server.asked(), 0U);
}

}  // namespace
}  // namespace sluice::control

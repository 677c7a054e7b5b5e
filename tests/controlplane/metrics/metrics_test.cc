// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics/metrics.h"

#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

#include "tests/controlplane/support/metrics_fixture.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using channel::Counter;
using channel::SmtpCounter;

TEST_F(Metrics, TellWhatTheWorkersCountedTogether) {
  start();
  connect();
  worker(0).services[service_id(0)].flows_established = 40;
  worker(1).services[service_id(0)].flows_established = 2;
  worker(0).services[service_id(0)].bytes_in = 1000;
  worker(0).backends[backend_id(1)].flows_now = 3;
  worker(1).backend_smtp[backend_id(1)][SmtpCounter::kGreeting421] = 5;
  worker(1).service_smtp[service_id(0)][channel::refusal(channel::SmtpStep::kRcpt, true)] = 6;
  worker(0).service_smtp[service_id(0)].greeting.add(3);
  worker(1).service_smtp[service_id(0)].greeting.add(40'000);
  worker(1).counters[static_cast<size_t>(Counter::kDropMalformed)] = 9;
  const Page page = this->page();
  EXPECT_EQ(page[R"(sluice_service_flows_established_total{service="relay",port="25"})"], 42);
  EXPECT_EQ(page[R"(sluice_service_bytes_total{service="relay",port="25",direction="in"})"], 1000);
  EXPECT_EQ(page[R"(sluice_backend_flows{pool="mta",backend="mta2",port="25"})"], 3);
  EXPECT_EQ(page[R"(sluice_backend_greetings_total{pool="mta",backend="mta2",port="25",code="421"})"], 5);
  EXPECT_EQ(page[R"(sluice_service_refusals_total{service="relay",port="25",class="5xx",step="rcpt"})"], 6);
  EXPECT_EQ(page[R"(sluice_service_greeting_seconds_bucket{service="relay",port="25",le="0.002"})"], 0);
  EXPECT_EQ(page[R"(sluice_service_greeting_seconds_bucket{service="relay",port="25",le="0.004"})"], 1);
  EXPECT_EQ(page[R"(sluice_service_greeting_seconds_bucket{service="relay",port="25",le="32.768"})"], 1);
  EXPECT_EQ(page[R"(sluice_service_greeting_seconds_bucket{service="relay",port="25",le="+Inf"})"], 2);
  EXPECT_EQ(page[R"(sluice_service_greeting_seconds_sum{service="relay",port="25"})"], 40.003);
  EXPECT_EQ(page[R"(sluice_worker_dropped_packets_total{worker="1",reason="malformed"})"], 9);
  EXPECT_EQ(page[R"(sluice_worker_dropped_packets_total{worker="0",reason="malformed"})"], 0);
  EXPECT_EQ(page["sluice_dataplane_connected"], 1);
  EXPECT_EQ(page["sluice_dataplane_settled"], 1);
  EXPECT_EQ(page["sluice_push_seconds_count"], 1);
  EXPECT_EQ(page.repeated, std::vector<std::string>{});
}

TEST_F(Metrics, TellThatTheFileWasRefused) {
  start();
  EXPECT_EQ(page()["sluice_config_refused"], 0);
  configuration_.fault = "sluice.cfg:7: syntax error";
  EXPECT_EQ(page()["sluice_config_refused"], 1);
}

TEST_F(Metrics, TellOfASourceOfBackendsThatFails) {
  start();
  EXPECT_EQ(page()[R"(sluice_discovery_refused{pool="mta"})"], 1) << "there is no such file";
  std::ofstream(directory_ + "/members.json") << R"({"backends": [{"name": "mta9", "address": "10.0.1.99"}]})";
  discovery_->tick();
  EXPECT_EQ(page()[R"(sluice_discovery_refused{pool="mta"})"], 0);
  EXPECT_EQ(page()[R"(sluice_discovered_backends{pool="mta"})"], 1);
  std::ofstream(directory_ + "/members.json") << R"({"backends": []})";
  discovery_->tick();
  EXPECT_EQ(page()[R"(sluice_discovered_missing{pool="mta"})"], 1);
}

TEST_F(Metrics, TellOfAnEtcdThatIsNotThere) {
  start();
  EXPECT_EQ(page()["sluice_fleet_etcd_refused"], 0) << "it has not been asked yet";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (fleet_->fault().empty() && std::chrono::steady_clock::now() < deadline) {
    io_.run_for(std::chrono::milliseconds(1));
    io_.restart();
  }
  EXPECT_EQ(page()["sluice_fleet_etcd_refused"], 1);
  EXPECT_EQ(page()["sluice_fleet_nodes"], 0);
  EXPECT_EQ(page()["sluice_fleet_name_taken"], 0);
  EXPECT_EQ(page()["sluice_fleet_write_refused"], 0) << "it refuses nothing: it is not there";
  fleet_->follow({});
  EXPECT_FALSE(page().has("sluice_fleet_nodes"));
}

TEST_F(Metrics, CoarserBucketsOfABackendHoldWhatTheFineOnesHold) {
  start();
  connect();
  for (const uint64_t ms : {0, 1, 2, 3, 100, 5000, 100'000}) worker(0).backend_smtp[backend_id(0)].greeting.add(ms);
  const Page page = this->page();
  const auto bucket = [&](const std::string& le) {
    return page[fmt::format(R"(sluice_backend_greeting_seconds_bucket{{pool="mta",backend="mta1",port="25",le="{}"}})",
                            le)];
  };
  EXPECT_EQ(bucket("0.002"), 2) << "0 and 1 ms";
  EXPECT_EQ(bucket("0.008"), 4);
  EXPECT_EQ(bucket("0.128"), 5);
  EXPECT_EQ(bucket("8.192"), 6);
  EXPECT_EQ(bucket("32.768"), 6);
  EXPECT_EQ(bucket("+Inf"), 7);
}

TEST_F(Metrics, ShowEveryCounterOfTheWorkersOnceAndForEachWorker) {
  start();
  connect();
  for (size_t i = 0; i < channel::kCounterCount; i++) worker(0).counters[i] = 1'000'000 + i;
  const Page page = this->page();
  std::multiset<double> values;
  for (const auto& [sample, value] : page.samples)
    if (sample.starts_with("sluice_worker_") && sample.find(R"(worker="0")") != std::string::npos) values.insert(value);
  EXPECT_EQ(values.size(), channel::kCounterCount);
  for (size_t i = 0; i < channel::kCounterCount; i++)
    EXPECT_EQ(values.count(static_cast<double>(1'000'000 + i)), 1u) << channel::kCounterInfo[i].name;
  EXPECT_EQ(page[R"(sluice_worker_flows{worker="0",state="embryonic"})"],
            static_cast<double>(1'000'000 + static_cast<size_t>(Counter::kFlowsEmbryonicNow)));
  EXPECT_EQ(page[R"(sluice_worker_stage_cycles_total{worker="0",stage="look_up_flows"})"],
            static_cast<double>(1'000'000 + static_cast<size_t>(Counter::kStageLookUpFlows)));
  EXPECT_EQ(page.types.at("sluice_worker_flow_capacity"), "gauge");
  EXPECT_EQ(page.types.at("sluice_worker_received_total"), "counter");
}

TEST_F(Metrics, LeaveOutTheDataPlanesFiguresWhileItIsNotConnected) {
  start();
  const Page page = this->page();
  EXPECT_EQ(page["sluice_dataplane_connected"], 0);
  EXPECT_EQ(page.count("sluice_worker_"), 0u);
  EXPECT_EQ(page.count("flows"), 0u);
  EXPECT_EQ(page[R"(sluice_backend_state{pool="mta",backend="mta1",port="25",state="unreachable"})"], 1);
  EXPECT_EQ(page.count("in_service"), 0u) << "nobody knows yet";
  model_->refresh();
  EXPECT_EQ(this->page()[R"(sluice_service_in_service{service="relay",port="25"})"], 0);
}

TEST_F(Metrics, ShowStatesAndWeightsWithTheirFactors) {
  start();
  connect();
  model_->set_health(1, Health::kDown, "dead at connect");
  model_->refresh();
  const Page page = this->page();
  EXPECT_EQ(page[R"(sluice_backend_state{pool="mta",backend="mta1",port="25",state="up"})"], 1);
  EXPECT_EQ(page[R"(sluice_backend_state{pool="mta",backend="mta1",port="25",state="down"})"], 0);
  EXPECT_EQ(page[R"(sluice_backend_state{pool="mta",backend="mta2",port="25",state="up"})"], 0);
  EXPECT_EQ(page[R"(sluice_backend_state{pool="mta",backend="mta2",port="25",state="down"})"], 1);
  EXPECT_EQ(page[R"(sluice_backend_weight_factor_ratio{pool="mta",backend="mta2",port="25",factor="health"})"], 0);
  EXPECT_EQ(page[R"(sluice_backend_weight_factor_ratio{pool="mta",backend="mta2",port="25",factor="admin"})"], 1);
  EXPECT_EQ(page[R"(sluice_backend_effective_weight{pool="mta",backend="mta2",port="25"})"], 0);
  EXPECT_EQ(page[R"(sluice_backend_share_ratio{pool="mta",backend="mta1",port="25"})"], 0.5);
  EXPECT_EQ(page[R"(sluice_pool_usable_backends{pool="mta",port="25",check="relay"})"], 2);
  EXPECT_EQ(page[R"(sluice_pool_backends{pool="mta",port="25",check="relay"})"], 3);
}

TEST_F(Metrics, TellWhoSpeaksFirst) {
  add_service("submissions", 465, "");
  add_service("direct", 2525, "");
  config_.services.back().forwarding = config::Forwarding::kDsr;
  start();
  const Page page = this->page();
  EXPECT_EQ(page.count(R"(sluice_service_info{service="relay")"), 1u);
  for (const auto& [service, who] : {std::pair("relay", "server"), {"submissions", "client"}, {"direct", "unseen"}}) {
    const auto info = std::ranges::find_if(page.samples, [&](const auto& sample) {
      return sample.first.starts_with(fmt::format(R"(sluice_service_info{{service="{}")", service));
    });
    ASSERT_NE(info, page.samples.end());
    EXPECT_NE(info->first.find(fmt::format(R"(speaks_first="{}")", who)), std::string::npos) << info->first;
  }
}

TEST_F(Metrics, TellTheSameEndpointUnderTwoChecksApart) {
  add_service("submission", 25, "submission");
  config_.services.back().vip = ip("192.0.2.26");
  start();
  const Page page = this->page();
  EXPECT_TRUE(page.has(R"(sluice_backend_configured_weight{pool="mta",backend="mta1",port="25"})"));
  EXPECT_TRUE(page.has(R"(sluice_backend_configured_weight{pool="mta",backend="mta1",port="25",check="submission"})"));
  EXPECT_EQ(page.repeated, std::vector<std::string>{});
}

TEST_F(Metrics, ShowAPoolOnceWhateverTablesItHas) {
  add_service("other", 25, "");
  config_.services.back().vip = ip("192.0.2.26");
  config_.services.back().table_size = 211;
  start();
  ASSERT_EQ(model_->placements().size(), 2u);
  const Page page = this->page();
  EXPECT_EQ(page.count("sluice_pool_backends{"), 1u);
  EXPECT_EQ(page.repeated, std::vector<std::string>{});
}

TEST_F(Metrics, ShowWhatTheChecksFound) {
  start();
  const Page page(page_of(std::vector<BackendRow>{{model_->members()[0], 0.25, std::nullopt, checked()},
                                                  {model_->members()[1], 0, std::nullopt, std::nullopt}}));
  EXPECT_EQ(page[R"(sluice_backend_checks_total{pool="mta",backend="mta1",port="25",result="passed"})"], 7);
  EXPECT_EQ(page[R"(sluice_backend_checks_total{pool="mta",backend="mta1",port="25",result="failed"})"], 2);
  EXPECT_EQ(page[R"(sluice_backend_check_result{pool="mta",backend="mta1",port="25",result="healthy"})"], 1);
  EXPECT_EQ(page[R"(sluice_backend_check_seconds{pool="mta",backend="mta1",port="25"})"], 0.021);
  EXPECT_EQ(page[R"(sluice_backend_certificate_expiry_timestamp_seconds{pool="mta",backend="mta1",port="25"})"], 1.9e9);
  EXPECT_EQ(page.count("sluice_backend_check"), 4u) << "nothing of a backend that was not checked yet";
  EXPECT_EQ(page.count("sluice_backend_certificate"), 1u);
}

TEST_F(Metrics, TellOfPortsWhatTheDataPlanePublishes) {
  start();
  EXPECT_EQ(page().count("sluice_port_"), 0u) << "nothing is known of cards while there is no data plane";
  connect();
  fake_->port(1).link_up = 1;
  fake_->port(1).speed_mbps = 10'000;
  fake_->port(1).link_changes = 3;
  fake_->port(1).counters[static_cast<size_t>(channel::PortCounter::kMissed)] = 42;
  model_->set_ports({{.name = "front", .twin = "slf0", .index = 0}, {.name = "back", .twin = "slb0", .fault = "VLAN"}});
  const Page page = this->page();
  const std::string back = R"({port="back",twin="slb0"})", front = R"({port="front",twin="slf0"})";
  EXPECT_EQ(page["sluice_port_link_up" + back], 1);
  EXPECT_EQ(page["sluice_port_link_up" + front], 0);
  EXPECT_EQ(page["sluice_port_link_speed_bytes" + back], 1.25e9);
  EXPECT_EQ(page["sluice_port_link_changes_total" + back], 3);
  EXPECT_EQ(page["sluice_port_rx_missed_total" + back], 42);
  EXPECT_EQ(page["sluice_port_rx_packets_total" + front], 0);
  EXPECT_EQ(page["sluice_port_refused" + back], 1);
  EXPECT_EQ(page["sluice_port_refused" + front], 0);
  EXPECT_EQ(page.types.at("sluice_port_rx_no_mbuf_total"), "counter");
}

TEST_F(Metrics, TellWhetherCardsSteer) {
  start();
  connect();
  EXPECT_EQ(page().count("sluice_port_steering"), 0u) << "none is to";
  EXPECT_EQ(page().count("sluice_port_rss_misplaced"), 0u);
  fake_->port(1).steering = channel::Steering::kMisplaces;
  fake_->port(1).rss_misplaced = 7;
  const Page page = this->page();
  const auto of = [](const char* state) { return fmt::format(R"({{port="back",twin="slb0",state="{}"}})", state); };
  EXPECT_EQ(page["sluice_port_steering" + of("unproven")], 0);
  EXPECT_EQ(page["sluice_port_steering" + of("steers")], 0);
  EXPECT_EQ(page["sluice_port_steering" + of("misplaces")], 1);
  EXPECT_EQ(page[R"(sluice_port_rss_misplaced_total{port="back",twin="slb0"})"], 7);
  EXPECT_EQ(page.count("sluice_port_steering"), 3u) << "nothing of a card that is not to";
}

TEST_F(Metrics, TellOfTheMembersOfABond) {
  start();
  connect();
  EXPECT_EQ(page().count("sluice_port_member_"), 0u);
  strcpy(fake_->port(0).members[0].device, "0000:3b:00.0");
  strcpy(fake_->port(0).members[1].device, "0000:3b:00.1");
  fake_->port(0).members[1].link_up = fake_->port(0).members[1].carries = 1;
  const Page page = this->page();
  const auto of = [](const char* device) { return fmt::format(R"({{port="front",twin="slf0",member="{}"}})", device); };
  EXPECT_EQ(page["sluice_port_member_link_up" + of("0000:3b:00.0")], 0);
  EXPECT_EQ(page["sluice_port_member_link_up" + of("0000:3b:00.1")], 1);
  EXPECT_EQ(page["sluice_port_member_carries" + of("0000:3b:00.0")], 0);
  EXPECT_EQ(page["sluice_port_member_carries" + of("0000:3b:00.1")], 1);
}

TEST_F(Metrics, TellOfVipsWhatTheNetworkIsTold) {
  start();
  ASSERT_TRUE(announcer_->drain(std::nullopt));
  const Page page = this->page();
  EXPECT_EQ(page[R"(sluice_vip_announced{vip="192.0.2.25"})"], 0);
  EXPECT_EQ(page[R"(sluice_vip_draining{vip="192.0.2.25"})"], 0);
  EXPECT_EQ(page[R"(sluice_vip_changes_total{vip="192.0.2.25"})"], 0);
  EXPECT_EQ(page["sluice_announce_refused"], 0);
  EXPECT_EQ(page["sluice_announce_routes_remade_total"], 0);
  EXPECT_EQ(page["sluice_announce_addresses_remade_total"], 0);
  EXPECT_EQ(page["sluice_node_draining"], 1);
  announcer_->follow({});
  EXPECT_EQ(this->page().count("sluice_vip_"), 0u) << "nobody is told";
}

TEST_F(Metrics, TellWhatEachLimitHasRefused) {
  start();
  connect();
  EXPECT_FALSE(text_of(metrics_answer(*context_, std::make_shared<size_t>(0))).contains("sluice_source_limit"));
  config_.sources.limits = {{.of = config::LimitOf::kAddress, .connections = 5},
                            {.of = config::LimitOf::kPrefix, .per_second = 5, .action = config::LimitAction::kDrop}};
  worker(0).limits[0] = {1, 2, 3, 4};
  worker(1).limits[0] = {10, 20, 30, 40};
  worker(1).limits[1].refused_rate = 7;
  const std::string text = text_of(metrics_answer(*context_, std::make_shared<size_t>(0)));
  for (const char* line : {R"(sluice_source_limit_refused_total{rule="1",action="421",why="connections"} 11)",
                           R"(sluice_source_limit_refused_total{rule="1",action="421",why="rate"} 22)",
                           R"(sluice_source_limit_refused_total{rule="1",action="421",why="handshakes"} 33)",
                           R"(sluice_source_limit_refused_total{rule="2",action="drop",why="rate"} 7)",
                           R"(sluice_source_limit_uncounted_total{rule="1",action="421"} 44)"}) {
    EXPECT_TRUE(text.contains(line)) << line << "\n" << text;
  }
}

TEST_F(Metrics, MakeRoomForWhatTheLastPageTook) {
  start();
  const auto bytes = std::make_shared<size_t>(0);
  const std::string text = text_of(metrics_answer(*context_, bytes));
  EXPECT_EQ(*bytes, text.size());
  *bytes = 64 * text.size();
  EXPECT_GE(text_of(metrics_answer(*context_, bytes)).capacity(), 64 * text.size());
}

}  // namespace
}  // namespace sluice::control

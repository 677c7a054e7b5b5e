// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <cctype>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "tests/controlplane/fake_dataplane.h"
#include "tests/controlplane/model_fixture.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using channel::Counter;
using channel::SmtpCounter;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

/// A page taken apart: what is declared, and each sample's value by its name and labels.
struct Page {
  std::map<std::string, std::string> types;
  std::map<std::string, double> samples;
  std::vector<std::string> repeated;

  explicit Page(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("# TYPE ")) {
        const size_t end = line.find(' ', 7);
        types[line.substr(7, end - 7)] = line.substr(end + 1);
      } else if (!line.starts_with('#')) {
        const size_t end = line.rfind(' ');
        if (!samples.emplace(line.substr(0, end), std::stod(line.substr(end + 1))).second)
          repeated.push_back(line.substr(0, end));
      }
    }
  }
  double operator[](const std::string& sample) const {
    const auto found = samples.find(sample);
    EXPECT_NE(found, samples.end()) << sample;
    return found == samples.end() ? -1 : found->second;
  }
  bool has(const std::string& sample) const { return samples.contains(sample); }
  /// How many samples hold `text`.
  size_t count(const std::string& text) const {
    return static_cast<size_t>(std::ranges::count_if(
        samples, [&](const auto& sample) { return sample.first.find(text) != std::string::npos; }));
  }
};

/// The model of ModelTest behind a data plane of two workers, of which only the memory is real.
class Metrics : public ModelTest {
 protected:
  Metrics() {
    char name[] = "/tmp/sluice-metrics-XXXXXX";
    directory_ = mkdtemp(name);
    config_.instance = "edge1";
  }
  ~Metrics() override {
    if (client_) client_->stop();
    io_.poll();
    client_.reset();
    std::filesystem::remove_all(directory_);
  }

  void start() {
    model_.emplace(config_, journal_);
    client_ = std::make_unique<ChannelClient>(io_, directory_ + "/channel.sock", ChannelClient::Handlers{},
                                              ChannelClient::Retry{1ms, 4ms});
    context_.reset(new ApiContext{config_, *model_, *client_, journal_, dataplane_, journal_.now()});
  }
  void connect() {
    bring_up(*model_);
    fake_ = std::make_unique<FakeDataplane>(directory_ + "/channel.sock", 2);
    client_->start();
    client_->publish(model_->desired(), ChannelClient::Clock::now());
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!client_->is_settled() && std::chrono::steady_clock::now() < deadline) {
      io_.run_for(200us);
      io_.restart();
      fake_->accept_one();
      fake_->apply_all();
    }
    ASSERT_TRUE(client_->is_settled());
    dataplane_.connected = true;
  }
  channel::WorkerStats& worker(uint32_t index) { return fake_->stats_of(index); }
  channel::ServiceId service_id(size_t i) { return client_->publisher()->service_id(model_->services()[i].key); }
  channel::BackendId backend_id(size_t i) { return client_->publisher()->backend_id(model_->members()[i].key); }
  Page page() { return Page(metrics_text(*context_)); }

  std::string directory_;
  boost::asio::io_context io_;
  std::optional<Model> model_;
  std::unique_ptr<ChannelClient> client_;
  std::unique_ptr<FakeDataplane> fake_;
  DataplaneState dataplane_;
  std::unique_ptr<ApiContext> context_;
};

/// What a check found, as the prober tells it.
health::TargetState checked() {
  health::TargetState out;
  out.passed = 7;
  out.failed = 2;
  out.last = health::Verdict{.fact = health::Fact::kHealthy,
                             .times = {{health::Step::kConnect, 1000}, {health::Step::kGreeting, 20'000}}};
  out.last->certificate = health::Certificate{.not_after = std::chrono::sys_seconds(1'900'000'000s)};
  return out;
}

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
  EXPECT_EQ(page[R"(sluice_service_in_service{service="relay",port="25"})"], 0);
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
  config_.services.back().vip = *config::IpAddress::parse("192.0.2.26");
  start();
  const Page page = this->page();
  EXPECT_TRUE(page.has(R"(sluice_backend_configured_weight{pool="mta",backend="mta1",port="25"})"));
  EXPECT_TRUE(page.has(R"(sluice_backend_configured_weight{pool="mta",backend="mta1",port="25",check="submission"})"));
  EXPECT_EQ(page.repeated, std::vector<std::string>{});
}

TEST_F(Metrics, ShowAPoolOnceWhateverTablesItHas) {
  add_service("other", 25, "");
  config_.services.back().vip = *config::IpAddress::parse("192.0.2.26");
  config_.services.back().table_size = 211;
  start();
  ASSERT_EQ(model_->placements().size(), 2u);
  const Page page = this->page();
  EXPECT_EQ(page.count("sluice_pool_backends{"), 1u);
  EXPECT_EQ(page.repeated, std::vector<std::string>{});
}

TEST_F(Metrics, ShowWhatTheChecksFound) {
  start();
  MetricsWriter writer;
  const std::vector<BackendRow> rows{{model_->members()[0], 0.25, std::nullopt, checked()},
                                     {model_->members()[1], 0, std::nullopt, std::nullopt}};
  write_backends(writer, rows);
  const Page page(writer.take());
  EXPECT_EQ(page[R"(sluice_backend_checks_total{pool="mta",backend="mta1",port="25",result="passed"})"], 7);
  EXPECT_EQ(page[R"(sluice_backend_checks_total{pool="mta",backend="mta1",port="25",result="failed"})"], 2);
  EXPECT_EQ(page[R"(sluice_backend_check_result{pool="mta",backend="mta1",port="25",result="healthy"})"], 1);
  EXPECT_EQ(page[R"(sluice_backend_check_seconds{pool="mta",backend="mta1",port="25"})"], 0.021);
  EXPECT_EQ(page[R"(sluice_backend_certificate_expiry_timestamp_seconds{pool="mta",backend="mta1",port="25"})"], 1.9e9);
  EXPECT_EQ(page.count("sluice_backend_check"), 4u) << "nothing of a backend that was not checked yet";
  EXPECT_EQ(page.count("sluice_backend_certificate"), 1u);
}

/// A page with a sample of every family there is.
std::string whole_page(const ApiContext& context, const Model& model) {
  MetricsWriter writer;
  write_backends(writer, std::vector<BackendRow>{{model.members()[0], 0.25, std::nullopt, checked()}});
  const std::string checks = writer.take();
  std::string out = metrics_text(context);
  for (const std::string_view family :
       {"checks_total", "check_result", "check_seconds", "certificate_expiry_timestamp"}) {
    const size_t from = checks.find(fmt::format("# HELP sluice_backend_{}", family));
    out += checks.substr(from, checks.find("# HELP", from + 1) - from);
  }
  return out;
}

TEST_F(Metrics, PassPrometheusOwnLint) {
  if (std::system("command -v promtool >/dev/null") != 0) GTEST_SKIP() << "promtool is not installed";
  start();
  connect();
  std::ofstream(directory_ + "/page") << whole_page(*context_, *model_);
  const std::string command = fmt::format("promtool check metrics < {0}/page > {0}/said 2>&1", directory_);
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(read_file(directory_ + "/said"), "");
}

/// The longest runs of letters, digits and underscores.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_')
      word += c;
    else if (!word.empty())
      out.push_back(std::exchange(word, {}));
  }
  if (!word.empty()) out.push_back(word);
  return out;
}

TEST_F(Metrics, AreWhatRulesAndDashboardName) {
  start();
  connect();
  std::set<std::string> known;
  for (const auto& [name, type] : Page(whole_page(*context_, *model_)).types) {
    known.insert(name);
    if (type == "histogram")
      for (const char* suffix : {"_bucket", "_sum", "_count"}) known.insert(name + suffix);
  }
  const std::filesystem::path config = std::filesystem::path(SLUICE_SOURCE) / "config";
  size_t named = 0;
  for (const char* file : {"prometheus/alerts.yml", "prometheus/recording.yml", "grafana/sluice.json"}) {
    const std::string text = read_file(config / file);
    for (const std::string& word : words_of(text)) {
      if (!word.starts_with("sluice_") && !word.starts_with("process_")) continue;
      EXPECT_TRUE(known.contains(word)) << file << " names " << word;
      named++;
    }
  }
  EXPECT_GT(named, 100u);
}

TEST_F(Metrics, StayWithinTheirBoundsWithAThousandBackends) {
  start();
  const auto figures = std::make_unique<BackendFigures>();
  std::vector<BackendRow> rows;
  std::vector<Member> members(1000, model_->members()[0]);
  for (size_t i = 0; i < members.size(); i++) {
    members[i].name = fmt::format("mta{}", i);
    rows.push_back({members[i], 0.001, *figures, checked()});
  }
  MetricsWriter writer;
  const auto began = std::chrono::steady_clock::now();
  write_backends(writer, rows);
  const std::string text = writer.take();
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  const Page page(text);
  std::printf("1000 backends: %zu series, %zu bytes, %lld ms\n", page.samples.size(), text.size(),
              static_cast<long long>(took.count()));
  EXPECT_LE(page.samples.size(), 1000 * kSeriesPerBackend);
  EXPECT_GT(page.samples.size(), 1000 * kSeriesPerBackend / 2) << "the bound says little";
  EXPECT_LT(took, 5s);

  const ServiceRow one{model_->services()[0], model_->placements()[0], ServiceFigures{}};
  write_services(writer, std::vector<ServiceRow>{one});
  EXPECT_LE(Page(writer.take()).samples.size(), kSeriesPerService);
}

}  // namespace
}  // namespace sluice::control

// SPDX-License-Identifier: Apache-2.0
//
// The page as a whole: Prometheus takes it, rules and dashboard name what is on it, and it stays within bounds.
#include <fmt/format.h>
#include <sys/wait.h>

#include <cctype>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <utility>

#include "tests/controlplane/support/metrics_fixture.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

/// What is said of mail security, in every family.
std::string security_page() {
  const SystemTime now{1'800'000'000s};
  PoolSecurity pool{.pool = "mta", .port = 25, .check = "mx"};
  pool.backends.push_back({.name = "mta1",
                           .offers_starttls = true,
                           .dane = DaneFinding{Dane::kMatches, ""},
                           .sts = StsFinding{Sts::kDisagrees, ""}});
  pool.backends.push_back({.name = "mta2", .offers_starttls = false});
  StsKnown policy;
  (void)policy.hear_id("1", now);
  policy.hear_policy("version: STSv1\nmode: testing\nmx: mx.example.net\nmax_age: 1\n", now - 1min);
  const std::map<std::string, TlsaKnown> records{
      {"_25._tcp.mx.example.net", {.answer = TlsaAnswer{}, .answered = now - 5s, .fault = "timeout"}},
      {"_587._tcp.mx.example.net", {}}};
  constexpr int kMx = 15;
  const std::map<RecordSet, SignedKnown> signatures{
      {{"example.net", kMx}, {.state = Signed::kNotSigned, .answered = now - 5s, .fault = "timeout"}}};
  MetricsWriter writer;
  write_security(writer, {{pool}, records, signatures, {{"example.net", &policy}}}, now);
  return writer.take();
}

TEST(SecurityMetrics, GiveEachBackendOneSeriesForEachQuestion) {
  const Page page(security_page());
  EXPECT_EQ(page[R"(sluice_backend_dane{pool="mta",backend="mta1",port="25",check="mx",state="matches"})"], 1);
  EXPECT_EQ(page[R"(sluice_backend_mta_sts{pool="mta",backend="mta1",port="25",check="mx",state="disagrees"})"], 1);
  EXPECT_EQ(page[R"(sluice_backend_starttls{pool="mta",backend="mta1",port="25",check="mx",state="offered"})"], 1);
  EXPECT_EQ(page[R"(sluice_backend_starttls{pool="mta",backend="mta2",port="25",check="mx",state="missing"})"], 1);
  EXPECT_EQ(page.count("mta2"), 1U) << "what the check does not ask for is not there";
  EXPECT_EQ(page[R"(sluice_tlsa_refused{name="_25._tcp.mx.example.net"})"], 1);
  EXPECT_EQ(page[R"(sluice_tlsa_age_seconds{name="_25._tcp.mx.example.net"})"], 5);
  EXPECT_EQ(page[R"(sluice_tlsa_age_seconds{name="_587._tcp.mx.example.net"})"], -1);
  EXPECT_EQ(page[R"(sluice_mail_records_signed{name="example.net",type="MX",state="not_signed"})"], 1);
  EXPECT_EQ(page[R"(sluice_mail_records_refused{name="example.net",type="MX"})"], 1);
  EXPECT_EQ(page[R"(sluice_mta_sts_refused{domain="example.net"})"], 0);
  EXPECT_EQ(page[R"(sluice_mta_sts_policy_info{domain="example.net",mode="testing"})"], 1);
  EXPECT_EQ(page[R"(sluice_mta_sts_age_seconds{domain="example.net"})"], 60);
}

/// A page with a sample of every family there is.
std::string whole_page(const ApiContext& context, const Model& model) {
  const std::string checks = page_of(std::vector<BackendRow>{{model.members()[0], 0.25, std::nullopt, checked()}});
  std::string out = text_of(metrics_answer(context, std::make_shared<size_t>(0))) + security_page();
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
  strcpy(fake_->port(0).members[0].device, "0000:3b:00.0");  // a bond's figures are there where there is a bond
  fake_->port(1).steering = channel::Steering::kMisplaces;   // and those of a card that steers, where one is to
  MetricsWriter of_peers;
  write_peers(of_peers, {.peers = 1}, 0);
  std::set<std::string> known;
  for (const auto& [name, type] : Page(whole_page(*context_, *model_) + of_peers.take()).types) {
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
  const auto began = std::chrono::steady_clock::now();
  const std::string text = page_of(rows);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  const Page page(text);
  std::printf("1000 backends: %zu series, %zu bytes, %lld ms\n", page.samples.size(), text.size(),
              static_cast<long long>(took.count()));
  EXPECT_LE(page.samples.size(), 1000 * kSeriesPerBackend);
  EXPECT_GT(page.samples.size(), 1000 * kSeriesPerBackend / 2) << "the bound says little";
  EXPECT_LT(took, 5s);

  const std::string one =
      page_of(std::vector<ServiceRow>{{model_->services()[0], model_->placements()[0], ServiceFigures{}}});
  EXPECT_LE(Page(one).samples.size(), kSeriesPerService);
}

}  // namespace
}  // namespace sluice::control

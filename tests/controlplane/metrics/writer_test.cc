// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics/writer.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace sluice::control {
namespace {

TEST(MetricsLabel, EscapesWhatWouldEndTheQuotesOrTheLine) {
  const struct {
    std::string_view value, wanted;
  } cases[] = {
      {"mta1", R"(x="mta1")"},
      {"", R"(x="")"},
      {"say \"hello\"", R"(x="say \"hello\"")"},
      {"C:\\", R"(x="C:\\")"},
      {"two\nlines", R"(x="two\nlines")"},
      {"\"} 1\nforged 2", R"(x="\"} 1\nforged 2")"},
  };
  for (const auto& [value, wanted] : cases) {
    SCOPED_TRACE(value);
    EXPECT_EQ(label("x", value), wanted);
  }
}

TEST(MetricsLabel, ReplacesWhatIsNotUtf8AndKeepsWhatIs) {
  const struct {
    std::string_view value, wanted;
  } cases[] = {
      {"gr\xC3\xBC\xC3\x9F", "x=\"gr\xC3\xBC\xC3\x9F\""},              // two bytes each
      {"\xE2\x82\xAC", "x=\"\xE2\x82\xAC\""},                          // three
      {"\xF0\x9F\x93\xA7", "x=\"\xF0\x9F\x93\xA7\""},                  // four
      {"\xFF", "x=\"\xEF\xBF\xBD\""},                                  // never in UTF-8
      {"a\xC3", "x=\"a\xEF\xBF\xBD\""},                                // cut off
      {"\xC0\xAF", "x=\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                  // overlong
      {"\xED\xA0\x80", "x=\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},  // a surrogate
  };
  for (const auto& [value, wanted] : cases) {
    SCOPED_TRACE(testing::PrintToString(value));
    EXPECT_EQ(label("x", value), wanted);
  }
}

TEST(MetricsLabel, JoinsListsOfWhichEitherMayBeEmpty) {
  EXPECT_EQ(joined(label("a", "1"), label("b", "2")), R"(a="1",b="2")");
  EXPECT_EQ(joined("", label("b", "2")), R"(b="2")");
  EXPECT_EQ(joined(label("a", "1"), ""), R"(a="1")");
}

TEST(MetricsWriter, WritesHelpAndTypeOnceBeforeTheSamples) {
  MetricsWriter writer;
  writer.begin("sluice_mail_total", MetricType::kCounter, "mail, by \\ way\nand \"more\"");
  writer.add(R"(way="in")", uint64_t{18446744073709551615U});
  writer.add(R"(way="out")", uint64_t{2}, R"(code="2xx")");
  EXPECT_EQ(writer.take(),
            "# HELP sluice_mail_total mail, by \\\\ way\\nand \"more\"\n"
            "# TYPE sluice_mail_total counter\n"
            "sluice_mail_total{way=\"in\"} 18446744073709551615\n"
            "sluice_mail_total{way=\"out\",code=\"2xx\"} 2\n");
  EXPECT_EQ(writer.take(), "");
}

TEST(MetricsWriter, LeavesOutAFamilyWithoutSamples) {
  MetricsWriter writer;
  writer.begin("empty_total", MetricType::kCounter, "none");
  writer.begin("full", MetricType::kGauge, "one");
  writer.add("", 0.25);
  writer.begin("empty_too", MetricType::kGauge, "none");
  EXPECT_EQ(writer.take(), "# HELP full one\n# TYPE full gauge\nfull 0.25\n");
}

TEST(MetricsWriter, WritesNumbersAsThePrometheusParserReadsThem) {
  MetricsWriter writer;
  writer.begin("n", MetricType::kGauge, "numbers");
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {0.0, -1.5, 1e-9, 1.7e18, infinity, -infinity, std::numeric_limits<double>::quiet_NaN()})
    writer.add("", value);
  const std::string text = writer.take();
  EXPECT_EQ(text.substr(text.find("\nn ") + 1), "n 0\nn -1.5\nn 1e-09\nn 1.7e+18\nn +Inf\nn -Inf\nn NaN\n");
}

TEST(MetricsWriter, AccumulatesTheBucketsOfAHistogram) {
  MetricsWriter writer;
  writer.begin("wait_seconds", MetricType::kHistogram, "waiting");
  const std::array<uint64_t, 3> buckets{3, 0, 2};
  const std::array<double, 2> bounds{0.001, 0.002};
  writer.add(R"(service="relay")", HistogramSamples{buckets, bounds, 0.75});
  EXPECT_EQ(writer.take(),
            "# HELP wait_seconds waiting\n# TYPE wait_seconds histogram\n"
            "wait_seconds_bucket{service=\"relay\",le=\"0.001\"} 3\n"
            "wait_seconds_bucket{service=\"relay\",le=\"0.002\"} 3\n"
            "wait_seconds_bucket{service=\"relay\",le=\"+Inf\"} 5\n"
            "wait_seconds_sum{service=\"relay\"} 0.75\n"
            "wait_seconds_count{service=\"relay\"} 5\n");
}

}  // namespace
}  // namespace sluice::control

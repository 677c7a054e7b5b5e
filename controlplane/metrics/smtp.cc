// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "controlplane/metrics/metrics.h"

namespace sluice::control {

using channel::kSmtpCounterCount;
using channel::kSmtpCounterInfo;
using channel::SmtpCounter;
using channel::SmtpCounterInfo;
using channel::SmtpCounters;
using channel::SmtpStep;

namespace {

constexpr double kMsPerSecond = 1000;
constexpr size_t kSteps = static_cast<size_t>(SmtpStep::kCount);

/// Families of which a backend shows less than a service: there are many backends.
bool is_detail(std::string_view family) {
  return family == "refusals" || family == "enhanced_codes" || family == "refusal_reasons";
}

void write_counters(MetricsWriter& writer, std::string_view subject, std::span<const SmtpRow> rows, bool detailed) {
  for (size_t first = 0; first < kSmtpCounterCount;) {
    const SmtpCounterInfo& info = kSmtpCounterInfo[first];
    size_t end = first + 1;
    while (end < kSmtpCounterCount && kSmtpCounterInfo[end].family == info.family) end++;
    if (detailed || !is_detail(info.family)) {
      writer.begin(fmt::format("sluice_{}_{}_total", subject, info.family), MetricType::kCounter, info.help);
      for (const SmtpRow& row : rows)
        for (size_t i = first; i < end; i++)
          writer.add(row.labels, row.counters->counters[i], kSmtpCounterInfo[i].labels);
    }
    first = end;
  }
}

/// Refusals at all steps together.
void write_refusals_by_class(MetricsWriter& writer, std::string_view subject, std::span<const SmtpRow> rows) {
  writer.begin(fmt::format("sluice_{}_refusals_total", subject), MetricType::kCounter, "4xx and 5xx replies by class");
  for (const SmtpRow& row : rows) {
    for (const auto& [first, labels] : {std::pair(SmtpCounter::kTemporaryConnect, R"(class="4xx")"),
                                        std::pair(SmtpCounter::kPermanentConnect, R"(class="5xx")")}) {
      const uint64_t* begin = row.counters->counters + static_cast<size_t>(first);
      writer.add(row.labels, std::accumulate(begin, begin + kSteps, uint64_t{0}), labels);
    }
  }
}

/// One histogram, its buckets taken together by `step`, counted from the last, which has no bound.
template <typename Histogram>
void write_histogram(MetricsWriter& writer, std::string_view labels, const Histogram& histogram, size_t step) {
  constexpr size_t kBuckets = Histogram::kBucketCount;
  std::array<uint64_t, kBuckets> buckets{};
  std::array<double, kBuckets> bounds{};
  size_t used = 0;
  for (size_t i = 0; i < kBuckets; i++) {
    buckets[used] += histogram.buckets[i];
    const size_t to_the_last = kBuckets - 1 - i;
    const bool is_kept = to_the_last > 0 && (to_the_last - 1) % step == 0;
    if (is_kept) bounds[used++] = static_cast<double>(Histogram::bound_ms(i)) / kMsPerSecond;
  }
  writer.add(labels, HistogramSamples{std::span(buckets).first(used + 1), std::span(bounds).first(used),
                                      static_cast<double>(histogram.sum_ms) / kMsPerSecond});
}

template <typename Histogram>
void write_histograms(MetricsWriter& writer, const std::string& name, std::string_view help,
                      std::span<const SmtpRow> rows, Histogram SmtpCounters::* histogram, size_t step) {
  writer.begin(name, MetricType::kHistogram, help);
  for (const SmtpRow& row : rows) write_histogram(writer, row.labels, row.counters->*histogram, step);
}

}  // namespace

void write_smtp(MetricsWriter& writer, std::string_view subject, std::span<const SmtpRow> rows, bool detailed) {
  write_counters(writer, subject, rows, detailed);
  if (!detailed) write_refusals_by_class(writer, subject, rows);
  const size_t step = detailed ? 1 : 2;
  const auto name = [&](std::string_view what) { return fmt::format("sluice_{}_{}_seconds", subject, what); };
  write_histograms(writer, name("connect"), "from the client's first SYN to the backend's SYN-ACK", rows,
                   &SmtpCounters::connect, step);
  write_histograms(writer, name("greeting"), "from the end of the handshake to the greeting's last line", rows,
                   &SmtpCounters::greeting, step);
  write_histograms(writer, name("session"), "from the end of the handshake to the end of the connection", rows,
                   &SmtpCounters::session, step);
}

}  // namespace sluice::control

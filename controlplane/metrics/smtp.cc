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

/// What is watched of the rows of one subject.
class SmtpTable {
 public:
  SmtpTable(MetricsPage& page, size_t count, std::function<SmtpRow(size_t)> row)
      : page_(page), count_(count), row_(std::move(row)) {}

  /// A family: `write(writer, labels, counters)` for each row that has any.
  template <typename Write>
  void family(std::string name, MetricType type, std::string_view help, Write write) {
    page_.begin(std::move(name), type, help);
    page_.rows(count_, [row_of = row_, write](MetricsWriter& writer, size_t i) {
      const SmtpRow row = row_of(i);
      if (row.counters != nullptr) write(writer, row.labels, *row.counters);
    });
  }

 private:
  MetricsPage& page_;
  size_t count_;
  std::function<SmtpRow(size_t)> row_;
};

void add_counters(SmtpTable& table, std::string_view subject, bool detailed) {
  for (size_t first = 0; first < kSmtpCounterCount;) {
    const SmtpCounterInfo& info = kSmtpCounterInfo[first];
    size_t end = first + 1;
    while (end < kSmtpCounterCount && kSmtpCounterInfo[end].family == info.family) end++;
    if (detailed || !is_detail(info.family)) {
      table.family(fmt::format("sluice_{}_{}_total", subject, info.family), MetricType::kCounter, info.help,
                   [first, end](MetricsWriter& writer, std::string_view labels, const SmtpCounters& counters) {
                     for (size_t i = first; i < end; i++)
                       writer.add(labels, counters.counters[i], kSmtpCounterInfo[i].labels);
                   });
    }
    first = end;
  }
}

/// Refusals at all steps together.
void add_refusals_by_class(SmtpTable& table, std::string_view subject) {
  table.family(fmt::format("sluice_{}_refusals_total", subject), MetricType::kCounter, "4xx and 5xx replies by class",
               [](MetricsWriter& writer, std::string_view labels, const SmtpCounters& counters) {
                 for (const auto& [first, of_class] : {std::pair(SmtpCounter::kTemporaryConnect, R"(class="4xx")"),
                                                       std::pair(SmtpCounter::kPermanentConnect, R"(class="5xx")")}) {
                   const uint64_t* begin = counters.counters + static_cast<size_t>(first);
                   writer.add(labels, std::accumulate(begin, begin + kSteps, uint64_t{0}), of_class);
                 }
               });
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
void add_histograms(SmtpTable& table, std::string name, std::string_view help, Histogram SmtpCounters::* histogram,
                    size_t step) {
  table.family(std::move(name), MetricType::kHistogram, help,
               [histogram, step](MetricsWriter& writer, std::string_view labels, const SmtpCounters& counters) {
                 write_histogram(writer, labels, counters.*histogram, step);
               });
}

}  // namespace

void add_smtp(MetricsPage& page, std::string_view subject, size_t count, const std::function<SmtpRow(size_t)>& row,
              bool detailed) {
  SmtpTable table(page, count, row);
  add_counters(table, subject, detailed);
  if (!detailed) add_refusals_by_class(table, subject);
  const size_t step = detailed ? 1 : 2;
  const auto name = [&](std::string_view what) { return fmt::format("sluice_{}_{}_seconds", subject, what); };
  add_histograms(table, name("connect"), "from the client's first SYN to the backend's SYN-ACK", &SmtpCounters::connect,
                 step);
  add_histograms(table, name("greeting"), "from the end of the handshake to the greeting's last line",
                 &SmtpCounters::greeting, step);
  add_histograms(table, name("session"), "from the end of the handshake to the end of the connection",
                 &SmtpCounters::session, step);
}

}  // namespace sluice::control

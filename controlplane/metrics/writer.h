// SPDX-License-Identifier: Apache-2.0
//
// Prometheus' text format (version 0.0.4), written straight into one string: a family's HELP and TYPE, then all its
// samples. prometheus-cpp keeps its own copy of every value and label; ours lie in shared memory and in the model, and
// a scrape of a thousand backends is a hundred thousand lines on control's only thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::control {

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

enum class MetricType : uint8_t { kCounter, kGauge, kHistogram };

/// `name="value"`, the value escaped; what is not UTF-8 in it becomes U+FFFD, or a scraper would refuse the whole page.
std::string label(std::string_view name, std::string_view value);

/// Two lists of labels as one. Either may be empty.
std::string joined(std::string_view first, std::string_view second);

/// The samples of one histogram. `buckets[i]` counts what is at most `bounds[i]` and above the bound before; the
/// last bucket, which has no bound, counts the rest: there is one bucket more than there are bounds.
struct HistogramSamples {
  std::span<const uint64_t> buckets;
  std::span<const double> bounds;  // in the family's unit, rising
  double sum = 0;                  // in the family's unit
};

class MetricsWriter {
 public:
  /// Begins a family: `name` by Prometheus' conventions, a counter's with "_total". Its samples follow at once. `help`:
  /// one line. A family without samples is left out of the text.
  void begin(std::string_view name, MetricType type, std::string_view help);

  /// A sample of the family begun last. `labels`: what `label()` and `joined()` make, `more` follows them.
  void add(std::string_view labels, uint64_t value, std::string_view more = {});
  void add(std::string_view labels, double value, std::string_view more = {});
  void add(std::string_view labels, bool value, std::string_view more = {}) = delete;  // say 1.0 or 0.0
  void add(std::string_view labels, const HistogramSamples& histogram);

  /// Makes room for so many bytes more.
  void reserve(size_t bytes) { out_.reserve(out_.size() + bytes); }

  /// All of it, and leaves the writer empty.
  std::string take();

 private:
  void head(std::string_view suffix, std::string_view labels, std::string_view more);
  void number(uint64_t value);
  void number(double value);

  std::string out_;
  std::string name_;
  std::string declaration_;  // HELP and TYPE, until the first sample
};

}  // namespace sluice::control

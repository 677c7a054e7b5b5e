// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/figures_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

namespace sluice::control {

using nlohmann::json;

namespace {

/// The figures that backends and services share.
template <typename Counters>
json flow_figures(const Counters& flows) {
  return {{"flows_now", flows.flows_now},
          {"flows_created", flows.flows_created},
          {"flows_established", flows.flows_established},
          {"packets_in", flows.packets_in},
          {"bytes_in", flows.bytes_in},
          {"packets_out", flows.packets_out},
          {"bytes_out", flows.bytes_out}};
}

/// The place in `family` that labels such as `class="4xx",step="ehlo"` lead to.
json& place_of(json& family, std::string_view labels) {
  json* out = &family;
  for (size_t begin = labels.find('"'); begin != std::string_view::npos; begin = labels.find('"')) {
    const size_t end = labels.find('"', begin + 1);
    out = &(*out)[std::string(labels.substr(begin + 1, end - begin - 1))];
    labels.remove_prefix(end + 1);
  }
  return *out;
}

template <typename Histogram>
json histogram_json(const Histogram& histogram) {
  const auto quantile = [&](double q) -> json {
    const auto value = quantile_ms(histogram, q);
    return value ? json(*value) : json();
  };
  json buckets = json::array();
  for (size_t i = 0; i < Histogram::kBucketCount; i++) {
    const bool last = i + 1 == Histogram::kBucketCount;
    buckets.push_back({{"below_ms", last ? json() : json(Histogram::bound_ms(i))}, {"count", histogram.buckets[i]}});
  }
  return {{"count", count_of(histogram)}, {"sum_ms", histogram.sum_ms}, {"p50_ms", quantile(0.5)},
          {"p95_ms", quantile(0.95)},     {"p99_ms", quantile(0.99)},   {"buckets", std::move(buckets)}};
}

/// Three decimals: what is finer is noise, and would be most of the answer.
json number_or_null(float value) {
  return std::isnan(value) ? json() : json(std::round(static_cast<double>(value) * 1000) / 1000);
}

}  // namespace

json figures_json(const std::optional<BackendFigures>& figures) {
  if (!figures) return nullptr;
  json out = flow_figures(figures->flows);
  out["last_new_flow_ms"] = figures->flows.last_new_flow_ms;  // CLOCK_MONOTONIC; 0 = none yet
  return out;
}

json figures_json(const std::optional<ServiceFigures>& figures) {
  if (!figures) return nullptr;
  json out = flow_figures(figures->flows);
  out["flows_refused"] = figures->flows.flows_refused;
  return out;
}

json observation_json(const channel::SmtpCounters& smtp) {
  json out = json::object();
  for (size_t i = 0; i < channel::kSmtpCounterCount; i++) {
    const channel::SmtpCounterInfo& info = channel::kSmtpCounterInfo[i];
    place_of(out[std::string(info.family)], info.labels) = smtp.counters[i];
  }
  out["connect_time"] = histogram_json(smtp.connect);
  out["greeting_time"] = histogram_json(smtp.greeting);
  out["session_time"] = histogram_json(smtp.session);
  return out;
}

json rates_json(const std::optional<Point>& point) {
  if (!point) return nullptr;
  json out = json::object();
  for (size_t i = 0; i < kSeriesCount; i++)
    out[std::string(kSeriesNames[i])] = number_or_null((*point)[static_cast<Series>(i)]);
  return out;
}

json series_json(const std::vector<Point>& points) {
  json out = json::object();
  for (size_t i = 0; i < kSeriesCount; i++) {
    json& values = out[std::string(kSeriesNames[i])] = json::array();
    for (const Point& point : points) values.push_back(number_or_null(point[static_cast<Series>(i)]));
  }
  return out;
}

}  // namespace sluice::control

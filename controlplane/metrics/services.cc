// SPDX-License-Identifier: Apache-2.0
//
// Services, pools and backends: what the model knows of them and what the workers counted.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>

#include "config/choices.h"
#include "controlplane/metrics/metrics.h"

namespace sluice::control {

namespace {

constexpr uint16_t kImplicitTlsPort = 465;  // RFC 8314 section 7.3
constexpr std::array<std::string_view, 8> kStates{"up",   "soft",        "checking", "held",
                                                  "down", "unreachable", "draining", "disabled"};

double as_number(bool value) {
  return value ? 1.0 : 0.0;
}

std::string labels_of(const ServiceRow& row) {
  return joined(label("service", row.service.config.name), label("port", std::to_string(row.service.config.port)));
}

/// The check is among them only where the same endpoint is under several: labels must tell series apart.
std::string labels_of(const BackendRow& row) {
  const Member& member = row.member;
  std::string out = joined(label("pool", member.pool), label("backend", member.name));
  out = joined(out, label("port", std::to_string(member.port)));
  return member.variant.empty() ? out : joined(out, label("check", member.variant));
}

std::string labels_of(const Placement& placement) {
  return joined(joined(label("pool", placement.pool), label("port", std::to_string(placement.port))),
                label("check", placement.check));
}

/// What both sides of a dialogue can be seen of: who speaks first, or nothing where replies do not pass by us.
std::string_view speaks_first(const config::Service& service) {
  if (service.forwarding != config::Forwarding::kNat && service.forwarding != config::Forwarding::kFullnat)
    return "unseen";
  return service.port == kImplicitTlsPort ? "client" : "server";
}

std::string info_labels(const config::Service& service) {
  std::string out = label("vip", service.vip.to_string());
  for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>("pool", service.pool),
                                    {"scheduler", config::name_of(service.scheduler)},
                                    {"forwarding", config::name_of(service.forwarding)},
                                    {"speaks_first", speaks_first(service)}})
    out = joined(out, label(name, value));
  return out;
}

/// The families of rows of one kind.
template <typename Row>
class SeriesTable {
 public:
  using Rows = std::shared_ptr<const LabelledRows<Row>>;

  SeriesTable(MetricsPage& page, std::string_view subject, Rows rows, size_t count)
      : page_(page), subject_(subject), rows_(std::move(rows)), count_(count) {}

  void begin(std::string_view what, MetricType type, std::string_view help) {
    page_.begin(fmt::format("sluice_{}_{}", subject_, what), type, help);
  }
  /// `write(writer, row, labels)` for each row.
  template <typename Write>
  void each(Write write) {
    page_.rows(count_, [rows = rows_, write](MetricsWriter& writer, size_t i) {
      write(writer, rows->rows[i], rows->labels[i]);
    });
  }
  /// One sample for each row for which `value(row)` is something. `more` outlives the page.
  template <typename Value>
  void cells(Value value, std::string_view more = {}) {
    each([value, more](MetricsWriter& writer, const Row& row, const std::string& labels) {
      if (const auto cell = value(row)) writer.add(labels, *cell, more);
    });
  }
  /// A family of such samples.
  template <typename Value>
  void column(std::string_view what, MetricType type, std::string_view help, Value value) {
    begin(what, type, help);
    cells(value);
  }

  /// A counter or gauge of the workers, where there are figures.
  template <typename Counters>
  void counted(std::string_view what, MetricType type, std::string_view help, uint64_t Counters::* counter) {
    begin(what, type, help);
    counted_cells(counter);
  }
  template <typename Counters>
  void counted_cells(uint64_t Counters::* counter, std::string_view more = {}) {
    cells([counter](const Row& row) { return row.figures ? std::optional(row.figures->flows.*counter) : std::nullopt; },
          more);
  }

  /// What both services and backends count.
  template <typename Counters>
  void traffic() {
    counted("flows", MetricType::kGauge, "flows that are open", &Counters::flows_now);
    counted("flows_created_total", MetricType::kCounter, "flows placed", &Counters::flows_created);
    counted("flows_established_total", MetricType::kCounter, "flows whose TCP handshake completed",
            &Counters::flows_established);
    begin("packets_total", MetricType::kCounter, "packets forwarded, in: towards the mail server");
    counted_cells(&Counters::packets_in, R"(direction="in")");
    counted_cells(&Counters::packets_out, R"(direction="out")");
    begin("bytes_total", MetricType::kCounter, "bytes of IP packets forwarded, in: towards the mail server");
    counted_cells(&Counters::bytes_in, R"(direction="in")");
    counted_cells(&Counters::bytes_out, R"(direction="out")");
  }

  void smtp(bool detailed) {
    const auto row = [rows = rows_](size_t i) -> SmtpRow {
      const auto& figures = rows->rows[i].figures;
      return {rows->labels[i], figures ? &figures->smtp : nullptr};
    };
    add_smtp(page_, subject_, count_, row, detailed);
  }

 private:
  MetricsPage& page_;
  std::string_view subject_;
  Rows rows_;
  size_t count_;
};

void add_states(SeriesTable<BackendRow>& table) {
  table.begin("state", MetricType::kGauge, "1 for the state that the backend is in, 0 for the others");
  table.each([](MetricsWriter& writer, const BackendRow& row, const std::string& labels) {
    const std::string_view now = row.member.state();
    for (const std::string_view state : kStates) writer.add(labels, as_number(state == now), label("state", state));
    if (std::ranges::find(kStates, now) == kStates.end()) writer.add(labels, 1.0, label("state", now));
  });
}

void add_weights(SeriesTable<BackendRow>& table) {
  table.column("configured_weight", MetricType::kGauge, "weight in the configuration",
               [](const BackendRow& row) { return std::optional<uint64_t>(row.member.factors().configured); });
  table.column("effective_weight", MetricType::kGauge, "the weight, configured or set by hand, times every factor",
               [](const BackendRow& row) { return std::optional(effective_weight(row.member.factors())); });
  table.column("share_ratio", MetricType::kGauge, "share of its pool's new flows",
               [](const BackendRow& row) { return std::optional(row.share); });
  table.begin("weight_factor_ratio", MetricType::kGauge, "what the weight is multiplied by");
  table.each([](MetricsWriter& writer, const BackendRow& row, const std::string& labels) {
    for (const NamedFactor& factor : row.member.explained_factors())
      writer.add(labels, factor.value, label("factor", factor.name));
  });
}

/// `value(state)` of a row that is checked, if it has been.
template <typename Value>
auto of_checks(Value value) {
  return [value](const BackendRow& row) -> decltype(value(*row.checks)) {
    if (!row.checks || !row.checks->last) return std::nullopt;
    return value(*row.checks);
  };
}

double seconds_of(const health::Verdict& verdict) {
  constexpr double kUsPerSecond = 1e6;
  return std::accumulate(verdict.times.begin(), verdict.times.end(), 0.0,
                         [](double sum, const health::StepTime& step) { return sum + step.us; }) /
         kUsPerSecond;
}

void add_checks(SeriesTable<BackendRow>& table) {
  using health::TargetState;
  table.begin("checks_total", MetricType::kCounter, "health checks by result");
  table.cells(of_checks([](const TargetState& state) { return std::optional(state.passed); }), R"(result="passed")");
  table.cells(of_checks([](const TargetState& state) { return std::optional(state.failed); }), R"(result="failed")");
  table.begin("check_result", MetricType::kGauge, "always 1; its label is what the newest health check found");
  table.each([](MetricsWriter& writer, const BackendRow& row, const std::string& labels) {
    if (row.checks && row.checks->last)
      writer.add(labels, 1.0, label("result", health::name_of(row.checks->last->fact)));
  });
  table.column("unwatched", MetricType::kGauge, "1 if its health checks cannot be run, so that it is not watched",
               [](const BackendRow& row) { return std::optional(as_number(!row.member.not_run.empty())); });
  table.column("check_seconds", MetricType::kGauge, "duration of the newest health check",
               of_checks([](const TargetState& state) { return std::optional(seconds_of(*state.last)); }));
  table.column("certificate_expiry_timestamp_seconds", MetricType::kGauge,
               "when the certificate that the newest health check saw ends, in Unix time",
               of_checks([](const TargetState& state) -> std::optional<double> {
                 const auto& certificate = state.last->certificate;
                 if (!certificate) return std::nullopt;
                 return static_cast<double>(certificate->not_after.time_since_epoch().count());
               }));
}

size_t usable(const Model& model, const Placement& placement) {
  return static_cast<size_t>(
      std::ranges::count_if(placement.members, [&](size_t i) { return model.members()[i].is_usable(); }));
}

}  // namespace

template <typename Row>
void LabelledRows<Row>::add(Row row) {
  labels.push_back(labels_of(row));
  rows.push_back(std::move(row));
}
template struct LabelledRows<ServiceRow>;
template struct LabelledRows<BackendRow>;

void add_services(MetricsPage& page, std::shared_ptr<const LabelledRows<ServiceRow>> rows, size_t count) {
  SeriesTable<ServiceRow> table(page, "service", std::move(rows), count);
  table.begin("info", MetricType::kGauge,
              "always 1; speaks_first is server, client (implicit TLS), or unseen where replies pass us by");
  table.each([](MetricsWriter& writer, const ServiceRow& row, const std::string& labels) {
    writer.add(labels, 1.0, info_labels(row.service.config));
  });
  table.column("in_service", MetricType::kGauge,
               "1 if new flows are placed, 0 if they are refused; none while control has just begun and does not know",
               [](const ServiceRow& row) {
                 return row.placement.is_judged ? std::optional(as_number(row.placement.in_service)) : std::nullopt;
               });
  table.traffic<channel::ServiceCounters>();
  table.counted("flows_refused_total", MetricType::kCounter, "new flows that found no backend",
                &channel::ServiceCounters::flows_refused);
  table.smtp(true);
}

void write_pools(MetricsWriter& writer, const Model& model) {
  std::vector<const Placement*> pools;
  std::set<std::string> seen;  // placements that differ in their tables alone have the same labels, and the same health
  for (const Placement& placement : model.placements())
    if (seen.insert(labels_of(placement)).second) pools.push_back(&placement);
  const auto gauge = [&](std::string_view name, std::string_view help, auto value) {
    writer.begin(name, MetricType::kGauge, help);
    for (const Placement* pool : pools) writer.add(labels_of(*pool), static_cast<double>(value(*pool)));
  };
  writer.begin("sluice_pool_in_service", MetricType::kGauge,
               "1 if the pool takes traffic; none while control has just begun and does not know");
  for (const Placement* pool : pools)
    if (pool->is_judged) writer.add(labels_of(*pool), pool->in_service ? 1.0 : 0.0);
  gauge("sluice_pool_panic", "1 if backends of the pool fail and go on as before",
        [](const Placement& pool) { return pool.panic.has_value(); });
  gauge("sluice_pool_backends", "backends in the pool", [](const Placement& pool) { return pool.members.size(); });
  gauge("sluice_pool_usable_backends", "backends that are enabled, healthy and reachable",
        [&](const Placement& pool) { return usable(model, pool); });
  gauge("sluice_pool_min_healthy_backends", "below so many usable backends the pool is out of service",
        [](const Placement& pool) { return pool.min_healthy; });
}

void add_backends(MetricsPage& page, std::shared_ptr<const LabelledRows<BackendRow>> rows, size_t count) {
  SeriesTable<BackendRow> table(page, "backend", std::move(rows), count);
  add_states(table);
  add_weights(table);
  add_checks(table);
  table.traffic<channel::BackendCounters>();
  table.smtp(false);
}

}  // namespace sluice::control

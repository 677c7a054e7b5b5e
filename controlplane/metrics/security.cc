// SPDX-License-Identifier: Apache-2.0
//
// What domains publish of mail security, and whether backends agree with it. Nothing is written where no check asks.
#include "controlplane/discovery/dns_types.h"
#include "controlplane/metrics/metrics.h"

namespace sluice::control {

namespace {

std::string labels_of(const PoolSecurity& pool, const BackendSecurity& backend) {
  const std::string place = joined(label("pool", pool.pool), label("backend", backend.name));
  return joined(joined(place, label("port", std::to_string(pool.port))), label("check", pool.check));
}

/// A sample of each backend of which `state` is something, with that as a label.
template <typename State>
void write_states(MetricsWriter& writer, const SecurityRows& rows, std::string_view name, std::string_view help,
                  State state) {
  writer.begin(name, MetricType::kGauge, help);
  for (const PoolSecurity& pool : rows.pools)
    for (const BackendSecurity& backend : pool.backends)
      if (const auto word = state(backend)) writer.add(joined(labels_of(pool, backend), label("state", *word)), 1.0);
}

double age_s(const std::optional<SystemTime>& since, SystemTime now) {
  return since ? std::chrono::duration<double>(now - *since).count() : -1;
}

void write_records(MetricsWriter& writer, const SecurityRows& rows, SystemTime now) {
  writer.begin("sluice_tlsa_refused", MetricType::kGauge,
               "1 while the DNS does not answer for the TLSA records of a name, and what was known stays");
  for (const auto& [name, known] : rows.records) writer.add(label("name", name), known.fault.empty() ? 0.0 : 1.0);
  writer.begin("sluice_tlsa_age_seconds", MetricType::kGauge,
               "since the DNS answered for the TLSA records of a name; -1 = never yet");
  for (const auto& [name, known] : rows.records) writer.add(label("name", name), age_s(known.answered, now));
}

void write_signatures(MetricsWriter& writer, const SecurityRows& rows) {
  writer.begin("sluice_mail_records_signed", MetricType::kGauge,
               "always 1; whether the DNS's records that lead to a name of DANE are signed");
  for (const auto& [of, known] : rows.signatures) {
    const std::string labels = joined(label("name", of.name), label("type", name_of_wire_type(of.wire_type)));
    writer.add(joined(labels, label("state", name_of(known.state))), 1.0);
  }
  writer.begin("sluice_mail_records_refused", MetricType::kGauge,
               "1 while the DNS does not answer for these records, and what was known stays");
  for (const auto& [of, known] : rows.signatures)
    writer.add(joined(label("name", of.name), label("type", name_of_wire_type(of.wire_type))),
               known.fault.empty() ? 0.0 : 1.0);
}

void write_policies(MetricsWriter& writer, const SecurityRows& rows, SystemTime now) {
  writer.begin("sluice_mta_sts_refused", MetricType::kGauge,
               "1 while a domain's MTA-STS policy cannot be had or read, and what was known stays");
  for (const auto& [domain, known] : rows.policies)
    writer.add(label("domain", domain), known->fault().empty() ? 0.0 : 1.0);
  writer.begin("sluice_mta_sts_policy_info", MetricType::kGauge, "always 1; the mode of a domain's MTA-STS policy");
  for (const auto& [domain, known] : rows.policies)
    if (known->policy())
      writer.add(joined(label("domain", domain), label("mode", name_of(known->policy()->mode))), 1.0);
  writer.begin("sluice_mta_sts_age_seconds", MetricType::kGauge,
               "since a domain's MTA-STS policy was fetched; -1 = never yet");
  for (const auto& [domain, known] : rows.policies) writer.add(label("domain", domain), age_s(known->fetched(), now));
}

}  // namespace

void write_security(MetricsWriter& writer, const SecurityRows& rows, SystemTime now) {
  write_states(writer, rows, "sluice_backend_dane",
               "always 1; whether its certificate matches the TLSA records of the port that clients connect to",
               [](const BackendSecurity& backend) {
                 return backend.dane ? std::optional(name_of(backend.dane->dane)) : std::nullopt;
               });
  write_states(writer, rows, "sluice_backend_mta_sts", "always 1; whether it agrees with the domain's MTA-STS policy",
               [](const BackendSecurity& backend) {
                 return backend.sts ? std::optional(name_of(backend.sts->sts)) : std::nullopt;
               });
  write_states(writer, rows, "sluice_backend_starttls", "always 1; whether it offers STARTTLS",
               [](const BackendSecurity& backend) -> std::optional<std::string_view> {
                 if (!backend.offers_starttls) return std::nullopt;
                 return *backend.offers_starttls ? "offered" : "missing";
               });
  write_records(writer, rows, now);
  write_signatures(writer, rows);
  write_policies(writer, rows, now);
}

}  // namespace sluice::control
